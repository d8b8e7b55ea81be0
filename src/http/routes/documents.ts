import { attachmentHeaders } from '../attachment.ts'
import { digestField } from '../digest-field.ts'
import { listsEntityTag } from '../entity-tag.ts'
import { packageAt } from '../package-at.ts'
import { childQuery, packageParameters } from '../schema/parameter-schema.ts'
import { packageDocument } from '../schema/package-schema.ts'
import { answers, empty, stream } from '../schema/problem-schema.ts'
import type { Application, ServerParts } from '../server-parts.ts'

const tags = ['documents']

/** The bytes that name and describe a package. */
export function documentRoutes(app: Application, { storeFor }: ServerParts): void {
  app.get(
    '/packages/:id/manifest',
    {
      schema: {
        tags,
        summary: 'The manifest, byte for byte',
        description: 'The package itself, or with `digest` one of the child manifests that its index names.',
        params: packageParameters,
        querystring: childQuery,
        response: answers({
          200: stream('The bytes that the digest is of: an OCI image manifest or image index.', '*/*'),
          304: empty('What the caller has is current.'),
        }),
      },
    },
    async (request, reply) => {
      const store = storeFor(request)
      const { id } = await packageAt(store, request.params.id)
      const { bytes, digest, mediaType } = await store.packages.manifest(id, request.query.digest)
      const tag = `"${digest}"`
      reply.headers({ ETag: tag, ...attachmentHeaders('manifest.json') })
      if (listsEntityTag(request.headers['if-none-match'] ?? '', tag)) return reply.code(304).send()
      reply.headers({ 'Content-Type': mediaType, 'Repr-Digest': digestField(digest) })
      return reply.serializer(String).send(Buffer.from(bytes))
    },
  )
  app.get(
    '/packages/:id/document',
    {
      schema: {
        tags,
        summary: 'The package document',
        description: 'What the package says of itself beside its files.',
        params: packageParameters,
        response: answers({ 200: packageDocument }),
      },
    },
    async (request, reply) => {
      const store = storeFor(request)
      const { id } = await packageAt(store, request.params.id)
      return reply
        .type('application/json')
        .serializer(String)
        .send(JSON.stringify(await store.packages.document(id)))
    },
  )
}
