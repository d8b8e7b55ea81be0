import { NotFoundError } from '../../core/errors.ts'
import type { Store } from '../../store/interface.ts'
import { linkToNext } from '../next-link.ts'
import { metadataSchema, newMetadataSchema, schemaParameters } from '../schema/metadata-schema.ts'
import { pageOf, pageRequest } from '../schema/page-schema.ts'
import { answers } from '../schema/problem-schema.ts'
import type { Application, ServerParts } from '../server-parts.ts'

const tags = ['metadata schemas']

/** Schemas that packages name by `metadataSchema`. */
export function metadataSchemaRoutes(app: Application, { storeFor }: ServerParts): void {
  app.post(
    '/metadata-schemas',
    {
      schema: {
        tags,
        summary: 'Register a schema',
        description: 'What a name stands for never changes: the same again is 200, another one 409.',
        body: newMetadataSchema,
        response: answers({ 200: metadataSchema, 201: metadataSchema }),
      },
    },
    async (request, reply) => {
      const { name, schema } = request.body
      const { schemas } = storeFor(request)
      const isKnown = await exists(schemas, name)
      const registered = await schemas.register(name, schema)
      return reply
        .code(isKnown ? 200 : 201)
        .header('Location', `/metadata-schemas/${registered.name}`)
        .send(registered)
    },
  )
  app.get(
    '/metadata-schemas',
    { schema: { tags, summary: 'Schemas by name', querystring: pageRequest, response: answers({ 200: pageOf(metadataSchema) }) } },
    async (request, reply) => linkToNext(request, reply, await storeFor(request).schemas.list(request.query)),
  )
  app.get(
    '/metadata-schemas/:name',
    { schema: { tags, summary: 'A schema', params: schemaParameters, response: answers({ 200: metadataSchema }) } },
    (request) => storeFor(request).schemas.get(request.params.name),
  )
}

async function exists(schemas: Store['schemas'], name: string): Promise<boolean> {
  try {
    await schemas.get(name)
    return true
  } catch (error) {
    if (error instanceof NotFoundError) return false
    throw error
  }
}
