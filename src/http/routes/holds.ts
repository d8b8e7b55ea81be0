import { linkToNext } from '../next-link.ts'
import { holdInfo, holdParameters, holdQuery, holdRequest } from '../schema/hold-schema.ts'
import { pageOf } from '../schema/page-schema.ts'
import { answers } from '../schema/problem-schema.ts'
import { withReason } from '../schema/retention-schema.ts'
import type { Application, ServerParts } from '../server-parts.ts'

const tags = ['holds']

/** What is not to be deleted, whatever its retention says. */
export function holdRoutes(app: Application, { storeFor }: ServerParts): void {
  app.post(
    '/holds',
    {
      schema: {
        tags,
        summary: 'Place a hold',
        description: 'On a package, or on all that a selector catches, also what comes later.',
        body: holdRequest,
        response: answers({ 201: holdInfo }),
      },
    },
    async (request, reply) => {
      const hold = await storeFor(request).holds.place(request.body)
      return reply.code(201).header('Location', `/holds/${hold.id}`).send(hold)
    },
  )
  app.get(
    '/holds',
    {
      schema: {
        tags,
        summary: 'Holds, in the order in which they were placed',
        querystring: holdQuery,
        response: answers({ 200: pageOf(holdInfo) }),
      },
    },
    async (request, reply) => {
      const { released, ...page } = request.query
      return linkToNext(request, reply, await storeFor(request).holds.list({ ...page, released: released === 'true' }))
    },
  )
  app.get('/holds/:id', { schema: { tags, summary: 'A hold', params: holdParameters, response: answers({ 200: holdInfo }) } }, (request) =>
    storeFor(request).holds.get(request.params.id),
  )
  app.post(
    '/holds/:id/release',
    { schema: { tags, summary: 'Release a hold', params: holdParameters, body: withReason, response: answers({ 200: holdInfo }) } },
    (request) => storeFor(request).holds.release(request.params.id, request.body),
  )
}
