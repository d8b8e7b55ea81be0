import { AlreadyExistsError, InputInvalidError } from '../../core/errors.ts'
import { type FilePath, parsePath } from '../../core/path.ts'
import type { Draft, KnownFile, PutItem } from '../../store/interface.ts'
import { announcedDigest } from '../digest-field.ts'
import { sendJsonLines } from '../json-lines.ts'
import { ProtocolError } from '../problem.ts'
import { bodyOf, readJsonLines, refuseContentCoding } from '../request-body.ts'
import { type KnownEntry, type MissingFile, storedFile } from '../schema/file-schema.ts'
import { parseKnownEntry } from '../known-entry.ts'
import { fileParameters, packageParameters, putQuery } from '../schema/parameter-schema.ts'
import { answers, empty, stream } from '../schema/problem-schema.ts'
import type { Application, ServerParts } from '../server-parts.ts'

const tags = ['content']
/** Lines of the question that are answered together. */
const MISSING_BATCH = 1_000

/** Filling an open package. */
export function draftRoutes(app: Application, { storeFor }: ServerParts): void {
  app.put(
    '/packages/:id/files/:path',
    {
      schema: {
        tags,
        summary: 'Store a file',
        description:
          'The body is the file as it is; its `Content-Type` is kept. `Repr-Digest` or `Content-Digest` (`sha-256`) are checked. `If-None-Match: *` only creates.',
        consumes: ['*/*'],
        params: fileParameters,
        querystring: putQuery,
        response: answers({ 201: storedFile }),
      },
    },
    async (request, reply) => {
      const { raw, params, query } = request
      const path = parsePath(params.path)
      refuseContentCoding(raw)
      const digest = announcedDigest(header(raw.headers['repr-digest']), header(raw.headers['content-digest']))
      const length = raw.headers['content-length']
      const mediaType = raw.headers['content-type']
      const draft = await storeFor(request).packages.resume(params.id)
      const stored = await draft
        .put(path, bodyOf(raw), {
          executable: query.executable === 'true',
          onlyIfAbsent: onlyCreates(raw.headers['if-none-match']),
          ...(mediaType === undefined ? {} : { mediaType }),
          ...(digest === undefined ? {} : { digest }),
          ...(length === undefined ? {} : { size: Number(length) }),
        })
        .catch((error: unknown) => {
          if (error instanceof AlreadyExistsError) throw new ProtocolError('precondition_failed', error.message)
          throw error
        })
      return reply.code(201).send({ path, ...stored })
    },
  )
  app.delete(
    '/packages/:id/files/:path',
    { schema: { tags, summary: 'Remove a file', params: fileParameters, response: answers({ 204: empty('It is gone.') }) } },
    async (request, reply) => {
      const draft = await storeFor(request).packages.resume(request.params.id)
      await draft.remove(request.params.path)
      return reply.code(204).send()
    },
  )
  app.post(
    '/packages/:id/missing',
    {
      schema: {
        tags,
        summary: 'Which files must be sent',
        description:
          'JSON Lines of `{path, type, digest, size, mediaType?, executable?, target?}`, any number. Files whose bytes are here, as far as the caller may know, are attached; links and directories are recorded. A line `{path}` is answered for each file that must be sent.',
        consumes: ['application/jsonl'],
        params: packageParameters,
        response: answers({ 200: stream('The files that must be sent, as JSON Lines of `{path}`.', 'application/jsonl') }),
      },
    },
    async (request, reply) => {
      const draft = await storeFor(request).packages.resume(request.params.id)
      const batches = readJsonLines(request.raw, MISSING_BATCH)
      return sendJsonLines(reply, missingOf(draft, batches))
    },
  )
}

async function* missingOf(draft: Draft, batches: AsyncIterable<readonly unknown[]>): AsyncGenerator<readonly MissingFile[], void, undefined> {
  for await (const batch of batches) {
    const entries = batch.map(parseKnownEntry)
    const files = entries.filter((entry) => entry.type === 'file').map(knownFile)
    const others = entries.filter((entry) => entry.type !== 'file').map(otherItem)
    for await (const outcomes of draft.putMany(others)) {
      for (const outcome of outcomes) if ('error' in outcome) throw outcome.error
    }
    const attached = await draft.attach(files)
    yield files.filter((_file, index) => attached[index] !== true).map(({ path }) => ({ path }))
  }
}

function knownFile({ path, digest, size, mediaType, executable, target }: KnownEntry): KnownFile & { readonly path: FilePath } {
  if (digest === undefined || size === undefined || target !== undefined)
    throw new InputInvalidError(`a file needs digest and size, and has no target: '${path}'`)
  return {
    path: parsePath(path),
    digest,
    size,
    ...(mediaType === undefined ? {} : { mediaType }),
    ...(executable === undefined ? {} : { executable }),
  }
}

function otherItem({ path, type, target }: KnownEntry): PutItem {
  if (type === 'directory') return { kind: 'directory', path }
  if (target === undefined) throw new InputInvalidError(`a link needs a target: '${path}'`)
  return { kind: 'symlink', path, target }
}

function header(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.join(',')
}

/** The only condition that makes sense for what is being made. */
function onlyCreates(ifNoneMatch: string | undefined): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch.trim() === '*') return true
  throw new ProtocolError('precondition_failed', 'of a file that is stored, If-None-Match can only be *')
}
