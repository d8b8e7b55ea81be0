import type { FastifyReply } from 'fastify'
import { parsePackageId } from '../../core/name.ts'
import type { FileInfo, OpenFile, Store } from '../../store/interface.ts'
import { attachmentHeaders } from '../attachment.ts'
import { digestField } from '../digest-field.ts'
import { Downloads } from '../downloads.ts'
import { weighConditions } from '../entity-tag.ts'
import { inBatches, JSON_LINES, sendJsonLines } from '../json-lines.ts'
import { linkToNext } from '../next-link.ts'
import { packageAt } from '../package-at.ts'
import { MovedPackage } from '../moved-package.ts'
import { ProtocolError } from '../problem.ts'
import { parseRange } from '../range.ts'
import { filePage, type FilePage } from '../schema/file-schema.ts'
import { fileParameters, packageParameters, pathPrefixQuery, type PrefixQuery } from '../schema/parameter-schema.ts'
import { answers, empty, stream } from '../schema/problem-schema.ts'
import { downloadBytes } from '../server-limits.ts'
import type { Application, ServerParts } from '../server-parts.ts'

const tags = ['files']
/** A file up to this size is sent in one piece. */
const SMALL_BYTES = 128 * 1024
const DEFAULT_PAGE = 100

/** Listing and downloading the files of sealed packages. */
export function fileRoutes(app: Application, { storeFor, report }: ServerParts): void {
  const downloads = new Downloads(downloadBytes())
  app.get(
    '/packages/:id/files',
    {
      schema: {
        tags,
        summary: 'What is in a package',
        description:
          'Files by file set and path, then links, then empty directories. `expired` has a tombstone for each file set that is gone. `Accept: application/jsonl` gives all entries, a line each.',
        params: packageParameters,
        querystring: pathPrefixQuery,
        response: answers({ 200: filePage }),
      },
    },
    async (request, reply) => {
      const store = storeFor(request)
      const { id } = await packageAt(store, request.params.id)
      const { prefix } = request.query
      if (request.headers.accept !== JSON_LINES) return linkToNext(request, reply, await pageOfFiles(store, id, request.query))
      return sendJsonLines(reply.serializer(String), inBatches(store.files.list(id, prefix === undefined ? {} : { prefix })))
    },
  )
  app.route({
    method: ['GET', 'HEAD'],
    url: '/packages/:id/files/:path',
    schema: {
      tags,
      summary: 'Download a file',
      description: 'One `Range`, `If-Range`, `If-Match` and `If-None-Match` are honoured; the `ETag` is the digest.',
      params: fileParameters,
      response: answers({
        200: stream('The file.', '*/*'),
        206: stream('A part of the file.', '*/*'),
        304: empty('What the caller has is current.'),
      }),
    },
    handler: async (request, reply) => {
      const { id, path } = request.params
      const opened = await storeFor(request).files.open(parsePackageId(id), path)
      if (opened.packageId !== id) throw new MovedPackage(id, opened.packageId)
      return sendFile(reply, opened, request.headers, request.method === 'HEAD', { downloads, report })
    },
  })
}

interface DownloadHeaders {
  readonly range?: string | undefined
  readonly 'if-match'?: string | undefined
  readonly 'if-none-match'?: string | undefined
  readonly 'if-range'?: string | undefined
}

async function sendFile(
  reply: FastifyReply,
  opened: OpenFile,
  headers: DownloadHeaders,
  isHead: boolean,
  { downloads, report }: { readonly downloads: Downloads } & Pick<ServerParts, 'report'>,
): Promise<FastifyReply> {
  const { file } = opened
  const tag = `"${file.digest}"`
  const verdict = weighConditions(headers, tag)
  if (verdict === 'precondition_failed') throw new ProtocolError('precondition_failed', `the file is ${tag}, which If-Match does not list`)
  reply.header('ETag', tag).headers(attachmentHeaders(file.path))
  if (verdict === 'not_modified') return reply.code(304).send()
  const range = verdict === 'whole' || isHead ? undefined : parseRange(headers.range, file.size)
  if (range === 'unsatisfiable') {
    throw new ProtocolError('range_not_satisfiable', `the file has ${file.size} bytes`, { 'Content-Range': `bytes */${file.size}` })
  }
  const length = range === undefined ? file.size : range.end - range.start + 1
  reply
    .headers({ 'Content-Type': file.mediaType, 'Content-Length': String(length), 'Accept-Ranges': 'bytes', 'Repr-Digest': digestField(file.digest) })
    .serializer(String)
  if (range !== undefined) reply.code(206).header('Content-Range', `bytes ${range.start}-${range.end}/${file.size}`)
  if (isHead) return reply.send()
  if (length <= SMALL_BYTES) return reply.send(await whole(opened.read(range ?? {})))
  const start = range?.start ?? 0
  const download = await downloads.begin(({ start, end }) => opened.read({ start, end: end - 1 }), { start, end: start + length })
  // The framework would send a stream; its memory could not be given back before it is found to be garbage.
  reply.hijack()
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) reply.raw.setHeader(name, value)
  reply.raw.writeHead(reply.statusCode)
  // It is too late to tell the client.
  download.sendTo(reply.raw).catch(report)
  return reply
}

async function whole(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const piece of pieces) parts.push(piece)
  return Buffer.concat(parts)
}

/** The list of a sealed package never changes, so a position in it is a number of entries. */
async function pageOfFiles(store: Store, id: string, { prefix, limit = DEFAULT_PAGE, after }: PrefixQuery): Promise<FilePage> {
  const skip = filePosition(after)
  const expired = await store.files.expired(id)
  const tombstones = expired.length === 0 ? {} : { expired }
  const items: FileInfo[] = []
  let position = 0
  for await (const entry of store.files.list(id, prefix === undefined ? {} : { prefix })) {
    if (position++ < skip) continue
    if (items.length === limit) return { items, next: String(skip + limit), ...tombstones }
    items.push(entry)
  }
  return { items, ...tombstones }
}

function filePosition(after: string | undefined): number {
  if (after === undefined) return 0
  if (/^\d{1,9}$/.test(after)) return Number(after)
  throw new ProtocolError('malformed_request', 'after is not a position that this list gave out')
}
