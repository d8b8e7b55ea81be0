import { FileNotFoundError, PurgedError, type StoreError } from '../core/errors.ts'
import { parsePath } from '../core/path.ts'
import type { ArchiveRequest, ExpiredFileSet, FileInfo, Files, OpenFile, ReadFile, ReadRange } from '../store/interface.ts'
import { Members, readList, readPage } from './answer.ts'
import type { Connection } from './connection.ts'
import { readExpired, readFileInfo, type RemoteFile } from './file-answer.ts'
import { downloadFile } from './file-download.ts'
import { jsonLines } from './json-lines.ts'
import { PackageDownload } from './package-download.ts'
import type { RemotePackages } from './remote-packages.ts'
import { requestPath } from './request-url.ts'
import { behindBytes, behindItems, resumedStream } from './resumed-stream.ts'

/** Entries of a page. */
const PAGE = 1_000
/** An archive that breaks off is sent from its beginning, and often it breaks off since something in it is damaged. */
const ARCHIVE_RETRIES = 2

/** The files of packages of a store behind a server. */
export class RemoteFiles implements Files {
  readonly #connection: Connection
  readonly #packages: RemotePackages

  constructor(connection: Connection, packages: RemotePackages) {
    this.#connection = connection
    this.#packages = packages
  }

  async *list(ref: string, options: { readonly prefix?: string } = {}): AsyncGenerator<FileInfo, void, undefined> {
    yield* this.#list(await this.#packages.idOf(ref), options.prefix)
  }

  async expired(ref: string): Promise<readonly ExpiredFileSet[]> {
    return (await this.#page(await this.#packages.idOf(ref), { limit: 1 })).expired
  }

  /** A page of what is there, and the tombstones of what is not. */
  #page(
    id: string,
    query: { readonly prefix?: string; readonly limit: number },
  ): Promise<{ readonly items: readonly FileInfo[]; readonly expired: readonly ExpiredFileSet[] }> {
    return this.#connection.json({ method: 'GET', path: requestPath(['packages', id, 'files'], query) }, (value, where) => {
      const { expired = [] } = new Members(value, where).maybe('expired', readList(readExpired))
      return { items: readPage(readFileInfo)(value, where).items, expired }
    })
  }

  async stat(ref: string, path: string): Promise<RemoteFile> {
    return (await this.open(ref, path)).file
  }

  async open(ref: string, path: string): Promise<OpenFile> {
    const wanted = parsePath(path)
    const packageId = await this.#packages.idOf(ref)
    const { items, expired } = await this.#page(packageId, { prefix: wanted, limit: 1 })
    const file = items.find((entry) => entry.kind === 'file' && entry.path === wanted)
    if (file?.kind !== 'file') throw missingFile(packageId, path, expired)
    return { packageId, file, read: (range) => downloadFile(this.#connection, packageId, path, range) }
  }

  async *read(ref: string, path: string, range: ReadRange = {}): AsyncGenerator<Uint8Array, void, undefined> {
    yield* downloadFile(this.#connection, await this.#packages.idOf(ref, range.signal), parsePath(path), range)
  }

  async *readMany(ref: string, options: { readonly prefix?: string; readonly signal?: AbortSignal } = {}): AsyncGenerator<ReadFile, void, undefined> {
    const { prefix, signal } = options
    const id = await this.#packages.idOf(ref, signal)
    const download = new PackageDownload(this.#connection, id, this.#list(id, prefix, signal), signal)
    yield* download.run(() => this.#openArchive(id, { format: 'tar', ...options }))
  }

  async *archive(ref: string, request: ArchiveRequest): AsyncGenerator<Uint8Array, void, undefined> {
    const { signal } = request
    const id = await this.#packages.idOf(ref, signal)
    // The same package gives the same bytes, so that those that are known can be passed over.
    const open = async (position: number): Promise<AsyncIterable<Uint8Array>> => behindBytes(await this.#openArchive(id, request), position)
    yield* resumedStream(this.#connection, { open, lengthOf: ({ length }) => length, start: 0, retries: ARCHIVE_RETRIES, signal })
  }

  /** What is in a sealed package never changes, so that entries can be counted. */
  #list(id: string, prefix: string | undefined, signal?: AbortSignal): AsyncGenerator<FileInfo, void, undefined> {
    let opened: number | undefined
    const open = async (position: number): Promise<AsyncIterable<FileInfo>> => {
      const isStuck = position === opened
      opened = position
      // A server that meets damage in the middle of a list can only cut the connection; of a page it says what is wrong.
      return behindItems(isStuck ? this.#pages(id, prefix, signal) : await this.#lines(id, prefix, signal), position)
    }
    return resumedStream(this.#connection, { open, lengthOf: () => 1, start: 0, signal })
  }

  async #lines(id: string, prefix: string | undefined, signal: AbortSignal | undefined): Promise<AsyncIterable<FileInfo>> {
    const path = requestPath(['packages', id, 'files'], { prefix: prefix === '' ? undefined : prefix })
    const response = await this.#connection.call({ method: 'GET', path, headers: { accept: 'application/jsonl' }, signal }, (answer) => answer)
    return entriesOf(jsonLines(this.#connection.pieces(response, signal)))
  }

  async *#pages(id: string, prefix: string | undefined, signal: AbortSignal | undefined): AsyncGenerator<FileInfo, void, undefined> {
    let after: string | undefined
    do {
      const path = requestPath(['packages', id, 'files'], { prefix: prefix === '' ? undefined : prefix, limit: PAGE, after })
      const page = await this.#connection.json({ method: 'GET', path, signal }, readPage(readFileInfo))
      yield* page.items
      after = page.next
    } while (after !== undefined)
  }

  async #openArchive(id: string, { format, prefix, signal }: ArchiveRequest): Promise<AsyncIterable<Uint8Array>> {
    const path = requestPath(['packages', id, 'archive'], { format, path: prefix === '' ? undefined : prefix })
    const response = await this.#connection.call({ method: 'GET', path, headers: { 'accept-encoding': 'identity' }, signal }, (answer) => answer)
    return this.#connection.pieces(response, signal)
  }
}

function missingFile(packageId: string, path: string, expired: readonly ExpiredFileSet[]): StoreError {
  if (expired.length === 0) return new FileNotFoundError(`package ${packageId} has no file '${path}'`, { detail: { packageId, path } })
  const sets = expired.map(({ fileSets, count, size }) => ({ fileSets, count, size }))
  return new PurgedError(`package ${packageId} has no file '${path}' any more, or never had: ${expired.length} of its file sets expired`, {
    detail: { packageId, path, expired: sets },
  })
}

async function* entriesOf(lines: AsyncIterable<unknown>): AsyncGenerator<FileInfo, void, undefined> {
  for await (const line of lines) yield readFileInfo(line, 'line')
}
