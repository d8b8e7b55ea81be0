import type { FastifyReply, FastifyRequest } from 'fastify'
import { DigestMismatchError, LimitExceededError, OffsetConflictError } from '../../core/errors.ts'
import type { AppendToUpload, UploadInfo, Uploads } from '../../store/upload-interface.ts'
import { problemOf, ProtocolError } from '../problem.ts'
import { bodyOf, refuseContentCoding, requireMediaType } from '../request-body.ts'
import { answers, empty, PROBLEM_MEDIA_TYPE } from '../schema/problem-schema.ts'
import { tusHeaders, type UploadParameters, uploadParameters } from '../schema/upload-schema.ts'
import type { Application, ServerParts } from '../server-parts.ts'
import {
  announcedChecksum,
  announcedLength,
  byteCount,
  formatUploadMetadata,
  MAX_UPLOAD_BYTES,
  meantMethod,
  OFFSET_OCTETS,
  parseUploadMetadata,
  requireTusVersion,
  TUS_CHECKSUMS,
  TUS_EXTENSIONS,
  TUS_VERSION,
} from '../tus.ts'

const tags = ['uploads']
/** What tus calls Checksum Mismatch. */
const CHECKSUM_MISMATCH = 460

type UploadRequest = FastifyRequest<{ Params: UploadParameters }>

/** Resumable uploads: tus 1.0.0 with creation, creation-with-upload, creation-defer-length, checksum, expiration and termination. */
export function uploadRoutes(app: Application, { storeFor, maxUploadBytes = MAX_UPLOAD_BYTES }: ServerParts): void {
  const uploadsOf = (request: FastifyRequest): Uploads => storeFor(request).uploads
  app.addHook('onRequest', async (request, reply) => {
    reply.header('Tus-Resumable', TUS_VERSION)
    if (request.method !== 'OPTIONS') requireTusVersion(request.headers)
  })

  const create = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { raw } = request
    const length = announcedLength(raw.headers)
    if (length !== undefined && length > maxUploadBytes) throw tooLarge(maxUploadBytes)
    const facts = parseUploadMetadata(raw.headers['upload-metadata'])
    const hasBytes = raw.headers['content-type'] !== undefined
    if (hasBytes) checkBytes(request)
    const made = await uploadsOf(request).create({ ...facts, ...(length === undefined ? {} : { length }) })
    reply.header('Location', `/uploads/${made.id}`)
    const info = hasBytes ? await append(request, reply, uploadsOf(request), made, 0) : made
    return info === undefined ? reply : reply.code(201).headers(progressOf(info)).send()
  }

  const patch = async (request: UploadRequest, reply: FastifyReply): Promise<FastifyReply> => {
    checkBytes(request)
    const offset = byteCount(request.headers, 'upload-offset')
    if (offset === undefined) throw new ProtocolError('malformed_request', 'Upload-Offset says where these bytes begin, and is missing')
    const uploads = uploadsOf(request)
    const found = await uploads.get(request.params.id)
    const declared = byteCount(request.headers, 'upload-length')
    if (declared !== undefined && declared > maxUploadBytes) throw tooLarge(maxUploadBytes)
    const known = declared === undefined ? found : await uploads.declareLength(found.id, declared)
    const info = await append(request, reply, uploads, known, offset)
    return info === undefined ? reply : reply.code(204).headers(progressOf(info)).send()
  }

  /** @returns undefined when the answer was given: the checksum was wrong */
  const append = async (
    request: FastifyRequest,
    reply: FastifyReply,
    uploads: Uploads,
    upload: UploadInfo,
    offset: number,
  ): Promise<UploadInfo | undefined> => {
    const { raw } = request
    const checksum = announcedChecksum(raw.headers)
    if (offset !== upload.offset) {
      throw new OffsetConflictError(`upload ${upload.id} stands at ${upload.offset}, not at ${offset}`, { detail: { offset: upload.offset } })
    }
    const end = offset + Number(raw.headers['content-length'] ?? 0)
    if (end > (upload.length ?? maxUploadBytes)) throw tooLarge(upload.length ?? maxUploadBytes)
    const options: AppendToUpload = checksum === undefined ? {} : { checksum }
    // The store knows how long it may get, if anybody does.
    const bytes = upload.length === undefined ? upTo(bodyOf(raw), maxUploadBytes - offset) : bodyOf(raw)
    try {
      return await uploads.append(upload.id, offset, bytes, options)
    } catch (error) {
      if (!(error instanceof DigestMismatchError) || error.detail['algorithm'] === undefined) throw error
      const problem = { ...problemOf(error), status: CHECKSUM_MISMATCH }
      reply.code(CHECKSUM_MISMATCH).header('Content-Type', PROBLEM_MEDIA_TYPE).serializer(JSON.stringify)
      await reply.send(problem)
      return undefined
    }
  }

  const head = async (request: UploadRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const info = await uploadsOf(request).get(request.params.id)
    const metadata = formatUploadMetadata(info)
    reply.headers({ ...progressOf(info), 'Cache-Control': 'no-store' })
    if (info.length === undefined) reply.header('Upload-Defer-Length', '1')
    else reply.header('Upload-Length', String(info.length))
    if (metadata !== undefined) reply.header('Upload-Metadata', metadata)
    return reply.code(200).send()
  }

  const terminate = async (request: UploadRequest, reply: FastifyReply): Promise<FastifyReply> => {
    await uploadsOf(request).remove(request.params.id)
    return reply.code(204).send()
  }

  for (const [url, params] of [
    ['/uploads', {}],
    ['/uploads/:id', { params: uploadParameters }],
  ] as const) {
    const summary = 'What the protocol of uploads can do here'
    app.options(url, { schema: { tags, summary, ...params, response: answers({ 204: empty('See the header fields.') }) } }, async (_request, reply) =>
      reply
        .code(204)
        .headers({
          'Tus-Version': TUS_VERSION,
          'Tus-Extension': TUS_EXTENSIONS,
          'Tus-Checksum-Algorithm': TUS_CHECKSUMS,
          'Tus-Max-Size': String(maxUploadBytes),
        })
        .send(),
    )
  }
  app.post(
    '/uploads',
    {
      schema: {
        tags,
        summary: 'Begin a resumable upload',
        description:
          'tus 1.0.0. `Upload-Metadata` with `packageId` and `path` attaches the finished upload to an open package. A body of `application/offset+octet-stream` is its first bytes. `Location` is where the others go.',
        consumes: [OFFSET_OCTETS],
        headers: tusHeaders('tus-resumable', 'upload-length', 'upload-defer-length', 'upload-metadata', 'upload-checksum'),
        response: answers({ 201: empty('`Location`, `Upload-Offset`, `Upload-Expires`.') }),
      },
    },
    create,
  )
  app.patch(
    '/uploads/:id',
    {
      schema: {
        tags,
        summary: 'Add bytes to an upload',
        description:
          'What arrived before a connection broke off is kept; `HEAD` tells how much. The last byte completes the upload: then the digest is checked, and the file is in its package. `460`: the bytes are not what `Upload-Checksum` says, and none were kept.',
        consumes: [OFFSET_OCTETS],
        params: uploadParameters,
        headers: tusHeaders('tus-resumable', 'upload-offset', 'upload-checksum', 'upload-length'),
        response: answers({ 204: empty('`Upload-Offset`, `Upload-Expires`, and `Upload-Digest` when the upload is complete.') }),
      },
    },
    patch,
  )
  app.head(
    '/uploads/:id',
    {
      schema: {
        tags,
        summary: 'How far an upload is',
        params: uploadParameters,
        headers: tusHeaders('tus-resumable'),
        response: answers({ 200: empty('`Upload-Offset`, `Upload-Length` or `Upload-Defer-Length`, `Upload-Metadata`, `Upload-Expires`.') }),
      },
    },
    head,
  )
  app.delete(
    '/uploads/:id',
    {
      schema: {
        tags,
        summary: 'Give an upload up',
        params: uploadParameters,
        headers: tusHeaders('tus-resumable'),
        response: answers({ 204: empty('It is gone.') }),
      },
    },
    terminate,
  )
  app.post(
    '/uploads/:id',
    {
      schema: {
        tags,
        summary: 'Another method, for clients that may only POST',
        description: '`X-HTTP-Method-Override` says which: `PATCH`, `HEAD` or `DELETE`.',
        consumes: [OFFSET_OCTETS],
        params: uploadParameters,
        headers: tusHeaders('tus-resumable', 'upload-offset', 'upload-checksum', 'upload-length'),
        response: answers({ 200: empty('As of `HEAD`.'), 204: empty('As of `PATCH` and `DELETE`.') }),
      },
    },
    async (request, reply) => {
      const methods: Readonly<Record<string, typeof patch | undefined>> = { PATCH: patch, HEAD: head, DELETE: terminate }
      const method = methods[meantMethod(request.headers)]
      if (method === undefined) throw new ProtocolError('method_not_allowed', 'POST is not possible here.', { Allow: 'PATCH, HEAD, DELETE' })
      return method(request, reply)
    },
  )
}

function checkBytes({ raw }: FastifyRequest): void {
  requireMediaType(raw, OFFSET_OCTETS)
  refuseContentCoding(raw)
}

function progressOf({ offset, expiresAt, digest }: UploadInfo): Readonly<Record<string, string>> {
  const progress = { 'Upload-Offset': String(offset), 'Upload-Expires': new Date(expiresAt).toUTCString() }
  return digest === undefined ? progress : { ...progress, 'Upload-Digest': digest }
}

/** Passes on no more than so many bytes. @throws LimitExceededError */
async function* upTo(source: AsyncIterable<Uint8Array>, most: number): AsyncGenerator<Uint8Array, void, undefined> {
  let passed = 0
  for await (const piece of source) {
    passed += piece.length
    if (passed > most) throw tooLarge(most)
    yield piece
  }
}

function tooLarge(limit: number): LimitExceededError {
  return new LimitExceededError(`the upload would be longer than ${limit} bytes`, { detail: { limit } })
}
