import { linkToNext } from '../next-link.ts'
import { pageOf, pageRequest } from '../schema/page-schema.ts'
import { repositoryParameters, tagParameters } from '../schema/parameter-schema.ts'
import { answers, empty } from '../schema/problem-schema.ts'
import { tagInfo, tagTarget } from '../schema/repository-schema.ts'
import type { Application, ServerParts } from '../server-parts.ts'

const tags = ['tags']

/** Movable names of packages. */
export function tagRoutes(app: Application, { storeFor }: ServerParts): void {
  app.get(
    '/repositories/:name/tags',
    {
      schema: {
        tags,
        summary: 'Tags by name',
        params: repositoryParameters,
        querystring: pageRequest,
        response: answers({ 200: pageOf(tagInfo) }),
      },
    },
    async (request, reply) => linkToNext(request, reply, await storeFor(request).tags.list(request.params.name, request.query)),
  )
  app.get(
    '/repositories/:name/tags/:tag',
    { schema: { tags, summary: 'A tag', params: tagParameters, response: answers({ 200: tagInfo }) } },
    (request) => storeFor(request).tags.get(request.params.name, request.params.tag),
  )
  app.put(
    '/repositories/:name/tags/:tag',
    {
      schema: {
        tags,
        summary: 'Point a tag at a package of its repository',
        params: tagParameters,
        body: tagTarget,
        response: answers({ 200: tagInfo }),
      },
    },
    async (request) => {
      const { name, tag } = request.params
      const store = storeFor(request)
      await store.tags.set(name, tag, request.body.ref)
      return store.tags.get(name, tag)
    },
  )
  app.delete(
    '/repositories/:name/tags/:tag',
    { schema: { tags, summary: 'Take a tag away', params: tagParameters, response: answers({ 204: empty('It is gone.') }) } },
    async (request, reply) => {
      await storeFor(request).tags.remove(request.params.name, request.params.tag)
      return reply.code(204).send()
    },
  )
}
