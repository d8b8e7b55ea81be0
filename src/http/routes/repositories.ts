import { linkToNext } from '../next-link.ts'
import { pageOf } from '../schema/page-schema.ts'
import { namePrefixQuery, repositoryParameters } from '../schema/parameter-schema.ts'
import { answers } from '../schema/problem-schema.ts'
import { repositoryInfo, repositoryPolicy } from '../schema/repository-schema.ts'
import type { Application, ServerParts } from '../server-parts.ts'

const tags = ['repositories']

/** Repositories and their policies. */
export function repositoryRoutes(app: Application, { storeFor }: ServerParts): void {
  app.get(
    '/repositories',
    { schema: { tags, summary: 'Repositories by name', querystring: namePrefixQuery, response: answers({ 200: pageOf(repositoryInfo) }) } },
    async (request, reply) => {
      const { prefix, ...page } = request.query
      return linkToNext(request, reply, await storeFor(request).repositories.list(prefix, page))
    },
  )
  app.get(
    '/repositories/:name',
    { schema: { tags, summary: 'A repository', params: repositoryParameters, response: answers({ 200: repositoryInfo }) } },
    (request) => storeFor(request).repositories.get(request.params.name),
  )
  app.put(
    '/repositories/:name',
    {
      schema: {
        tags,
        summary: 'Set the policy of a repository',
        description: 'Replaces the policy as a whole; makes the repository when there is none. What was sealed before keeps what it was promised.',
        params: repositoryParameters,
        body: repositoryPolicy,
        response: answers({ 200: repositoryInfo }),
      },
    },
    (request) => storeFor(request).repositories.set(request.params.name, request.body),
  )
}
