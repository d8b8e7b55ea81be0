import type { FastifyReply } from 'fastify'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { type Digest, DigestStream } from '../../core/digest.ts'
import { DigestMismatchError } from '../../core/errors.ts'
import type { ArchiveFormat, ArchiveRequest, ExpiredFileSet, PackageInfo } from '../../store/interface.ts'
import { attachmentHeaders } from '../attachment.ts'
import { announcedDigest } from '../digest-field.ts'
import { packageAt } from '../package-at.ts'
import { ProtocolError } from '../problem.ts'
import { bodyOf, refuseContentCoding } from '../request-body.ts'
import { archiveQuery, archiveReport } from '../schema/archive-schema.ts'
import { packageParameters } from '../schema/parameter-schema.ts'
import { answers, stream } from '../schema/problem-schema.ts'
import type { Application, ServerParts } from '../server-parts.ts'

const tags = ['archives']

/** What a media type says of an archive. Undefined: its first bytes tell. What curl adds by itself counts as nothing said. */
const FORMATS: ReadonlyMap<string, ArchiveFormat | undefined> = new Map([
  ['', undefined],
  ['application/octet-stream', undefined],
  ['application/x-www-form-urlencoded', undefined],
  ['application/x-tar', 'tar'],
  ['application/gzip', 'tar'],
  ['application/x-gzip', 'tar'],
  ['application/zstd', 'tar'],
  ['application/zip', 'zip'],
  ['application/x-zip-compressed', 'zip'],
])
const MEDIA_TYPES: { readonly [Format in ArchiveRequest['format']]: string } = {
  tar: 'application/x-tar',
  'tar.zst': 'application/zstd',
  zip: 'application/zip',
}
/** Announced with every archive and sent behind it: which files are not in it any more, `none` if all are. Without it an archive was cut off. */
const OMITTED_TRAILER = 'artifact-store-omitted'

/** Whole packages as archives, in and out. */
export function archiveRoutes(app: Application, { storeFor }: ServerParts): void {
  app.post(
    '/packages/:id/files',
    {
      schema: {
        tags,
        summary: 'Store an archive',
        description:
          'The entries of a tar (plain, gzip or zstd) or zip archive; those of the same paths are replaced. Either all of them are stored or none: an archive that is refused leaves nothing, and the problem names every entry that cannot be stored. Several such requests may run at once. The pax records `ARTIFACTSTORE.sha256` and `ARTIFACTSTORE.mediaType` of a tar entry say what its content must be and is.',
        consumes: ['application/x-tar', 'application/gzip', 'application/zstd', 'application/zip', 'application/octet-stream'],
        params: packageParameters,
        response: answers({ 200: archiveReport }),
      },
    },
    async (request, reply) => {
      const { raw, params } = request
      const format = announcedFormat(raw)
      refuseContentCoding(raw)
      const digest = announcedDigest(fieldOf(raw, 'repr-digest'), fieldOf(raw, 'content-digest'))
      const draft = await storeFor(request).packages.resume(params.id)
      const body = digest === undefined ? bodyOf(raw) : checked(bodyOf(raw), digest)
      return reply.send(await draft.putArchive(body, format === undefined ? {} : { format }))
    },
  )
  app.route({
    method: ['GET', 'HEAD'],
    url: '/packages/:id/archive',
    schema: {
      tags,
      summary: 'Download a package as an archive',
      description:
        'The same package gives the same bytes. `path` leaves out what is not at or below it. What cannot be read ends the transfer before its end. The trailer `Artifact-Store-Omitted` says which files are not in the archive since their retention has ended: `none`, or a list such as `"raw";files=12;bytes=3456`.',
      params: packageParameters,
      querystring: archiveQuery,
      response: answers({ 200: stream('The archive.', ...Object.values(MEDIA_TYPES)) }),
    },
    handler: async (request, reply) => {
      const store = storeFor(request)
      const info = await packageAt(store, request.params.id)
      const { format = 'tar', path } = request.query
      reply.headers({ ...attachmentHeaders(nameOf(info, format)), 'Content-Type': MEDIA_TYPES[format] }).serializer(String)
      if (request.method === 'HEAD') {
        // Fails as the archive itself would, of a package that is still open for example.
        await store.files.expired(info.id)
        return reply.send()
      }
      const archive = store.files.archive(info.id, { format, ...(path === undefined ? {} : { prefix: path }) })
      // Asked behind the archive: what went meanwhile is told as well.
      return sendArchive(reply, archive, async () => omittedField(await store.files.expired(info.id)))
    },
  })
}

/** @throws ProtocolError 415 */
function announcedFormat(request: IncomingMessage): ArchiveFormat | undefined {
  const essence = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  if (FORMATS.has(essence)) return FORMATS.get(essence)
  const known = [...FORMATS.keys()].filter((type) => type !== '' && type !== 'application/x-www-form-urlencoded')
  throw new ProtocolError('unsupported_media_type', `an archive is ${known.join(', ')}, not ${essence.slice(0, 100)}`, { Accept: known.join(', ') })
}

function fieldOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' ? value : value?.join(',')
}

/** @throws DigestMismatchError at the end, which refuses the archive as a whole */
async function* checked(body: AsyncIterable<Uint8Array>, digest: Digest): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = new DigestStream()
  for await (const piece of body) {
    hash.update(piece)
    yield piece
  }
  if (hash.digest() !== digest)
    throw new DigestMismatchError(`the archive is ${hash.digest()}, not ${digest} as announced`, {
      detail: { expected: digest, actual: hash.digest() },
    })
}

/** Last component of the repository and the id: says what it is, and is a file name everywhere. */
function nameOf({ id, repository }: PackageInfo, format: string): string {
  return `${repository.slice(repository.lastIndexOf('/') + 1)}-${id}.${format}`
}

/** What fails before the first piece is a problem like any other; later, the connection is cut, so that nobody takes a part for the whole. */
async function sendArchive(reply: FastifyReply, archive: AsyncIterable<Uint8Array>, trailer: () => Promise<string>): Promise<FastifyReply> {
  const pieces = archive[Symbol.asyncIterator]()
  const first = await pieces.next()
  // Trailers belong to the chunks of HTTP/1.1.
  if (reply.request.raw.httpVersion === '1.1') reply.trailer(OMITTED_TRAILER, trailer)
  return reply.send(Readable.from(resumed(first, pieces), { objectMode: false }))
}

async function* resumed(
  first: IteratorResult<Uint8Array, unknown>,
  pieces: AsyncIterator<Uint8Array, unknown>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (let piece = first; piece.done !== true; piece = await pieces.next()) yield piece.value
  } finally {
    await pieces.return?.()
  }
}

/** A list of structured fields (RFC 9651): the name of each set (of several, joined), and what of it is left out. */
function omittedField(omitted: readonly ExpiredFileSet[]): string {
  if (omitted.length === 0) return 'none'
  return omitted.map(({ fileSets, count, size }) => `"${fileSets.join(',')}";files=${count};bytes=${size}`).join(', ')
}
