import { LimitExceededError, NotFoundError, StateConflictError } from '../core/errors.ts'
import type { PackageId, RepositoryName } from '../core/name.ts'
import { parsePath } from '../core/path.ts'
import type {
  ArchiveReport,
  Draft,
  FinalizedPackage,
  FinalizePackage,
  KnownFile,
  PutArchiveOptions,
  PutFileOptions,
  PutItem,
  PutOutcome,
  PutSource,
} from '../store/interface.ts'
import { Members, type Read, readCount } from './answer.ts'
import { type Connection, NEVER } from './connection.ts'
import { contentOf } from './content.ts'
import { FileTransfer, type StoredFile } from './file-transfer.ts'
import { jsonBody } from './json-body.ts'
import { askMissing } from './missing.ts'
import { type OpenedPackage, readReceipt } from './package-answer.ts'
import { BatchSender } from './put-batches.ts'
import { fileFacts, fileLine } from './put-item.ts'
import { PutMany } from './put-many.ts'
import { RemoteUploads } from './remote-uploads.ts'
import { requestPath } from './request-url.ts'

/** Files of one find-missing call. */
const ATTACH_LIMIT = 10_000
/** Files of one request. */
const ATTACH_BATCH = 1_000
/** What is held of a stream, so that it can be sent again; longer ones are uploaded. */
const HELD_BYTES = 8 * 1024 * 1024

/** An open package of a store behind a server. */
export class RemoteDraft implements Draft {
  readonly id: PackageId
  readonly repository: RepositoryName
  readonly status: 'open' | 'finalized'
  readonly reusedExisting: boolean
  readonly #connection: Connection
  readonly #transfer: FileTransfer
  readonly #isRepeated: boolean

  /** @param isRepeated whether it was opened as a run that is sealed already: its receipt then is that of another push */
  constructor(connection: Connection, { id, repository, status, reusedExisting }: OpenedPackage, isRepeated = false) {
    this.id = id
    this.repository = repository
    this.status = status
    this.reusedExisting = reusedExisting
    this.#connection = connection
    this.#isRepeated = isRepeated
    this.#transfer = new FileTransfer(connection, new RemoteUploads(connection), id)
  }

  async put(path: string, source: PutSource, options: PutFileOptions = {}): Promise<StoredFile> {
    const { onlyIfAbsent = false, signal = NEVER, ...said } = options
    const facts = fileFacts(path, said)
    return this.#filling(this.#transfer.send(facts, await contentOf(source, HELD_BYTES), { onlyIfAbsent, signal }))
  }

  async *putMany(
    items: AsyncIterable<PutItem> | Iterable<PutItem>,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<readonly PutOutcome[], void, undefined> {
    const ended = new AbortController()
    const signal = options.signal === undefined ? ended.signal : AbortSignal.any([options.signal, ended.signal])
    try {
      yield* new PutMany(new BatchSender(this.#connection, this.id, this.#transfer, signal), items, signal).run()
    } catch (error) {
      throw this.#closed(error)
    } finally {
      ended.abort()
    }
  }

  async attach(files: readonly KnownFile[]): Promise<readonly boolean[]> {
    if (files.length > ATTACH_LIMIT) throw new LimitExceededError(`at most ${ATTACH_LIMIT} files can be asked for at once; ${files.length} were`)
    const lines = files.map(fileLine)
    const answers: boolean[] = []
    for (let start = 0; start < lines.length; start += ATTACH_BATCH) {
      const missing = await this.#filling(askMissing(this.#connection, this.id, lines.slice(start, start + ATTACH_BATCH)))
      answers.push(...missing.map((isMissing) => !isMissing))
    }
    return answers
  }

  async putArchive(source: AsyncIterable<Uint8Array>, options: PutArchiveOptions = {}): Promise<ArchiveReport> {
    const { format, signal, onProgress } = options
    const stored = this.#connection.json(
      {
        method: 'POST',
        path: requestPath(['packages', this.id, 'files']),
        headers: { 'content-type': format === undefined ? 'application/octet-stream' : MEDIA_TYPES[format] },
        body: { once: told(source, onProgress) },
        signal,
      },
      readReport,
    )
    return this.#filling(stored)
  }

  async remove(path: string): Promise<void> {
    await this.#connection.done({ method: 'DELETE', path: requestPath(['packages', this.id, 'files', ...parsePath(path).split('/')]) })
  }

  async finalize(request: FinalizePackage = {}): Promise<FinalizedPackage> {
    const path = requestPath(['packages', this.id, 'finalize'])
    const receipt = await this.#connection.json({ method: 'POST', path, ...jsonBody(request), repeatable: true }, readReceipt)
    return this.#isRepeated ? { ...receipt, reusedExisting: true } : receipt
  }

  async abort(): Promise<void> {
    await this.#connection.done({ method: 'DELETE', path: requestPath(['packages', this.id]) })
  }

  async #filling<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      throw this.#closed(error)
    }
  }

  /** A package that was open and is not found was given up. */
  #closed(error: unknown): unknown {
    if (!(error instanceof NotFoundError)) return error
    return new StateConflictError(`package ${this.id} takes no more content: it was given up, or expired`, { cause: error })
  }
}

const MEDIA_TYPES = { tar: 'application/x-tar', zip: 'application/zip' } as const

const readReport: Read<ArchiveReport> = (value, where) => {
  const members = new Members(value, where)
  return {
    files: members.one('files', readCount),
    symlinks: members.one('symlinks', readCount),
    directories: members.one('directories', readCount),
    bytes: members.one('bytes', readCount),
  }
}

/** The number of files is known to the server alone, until it answers. */
async function* told(source: AsyncIterable<Uint8Array>, onProgress: PutArchiveOptions['onProgress']): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0
  for await (const piece of source) {
    bytes += piece.length
    yield piece
    onProgress?.({ files: 0, bytes })
  }
}
