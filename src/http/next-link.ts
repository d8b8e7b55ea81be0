import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Page } from '../store/interface.ts'

/** Tells where the next page is, in the header that generic clients know (RFC 8288). @returns the page */
export function linkToNext<T>(request: FastifyRequest, reply: FastifyReply, page: Page<T>): Page<T> {
  if (page.next === undefined) return page
  const [path = '', query = ''] = request.originalUrl.split('?')
  const parameters = new URLSearchParams(query)
  parameters.set('after', page.next)
  reply.header('Link', `<${path}?${parameters.toString()}>; rel="next"`)
  return page
}
