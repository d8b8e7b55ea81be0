import { joinBytes } from '../core/bytes.ts'
import {
  DamagedError,
  DigestMismatchError,
  InputInvalidError,
  ObjectMissingError,
  PackCorruptError,
  ServerUnreachableError,
  type StoreError,
} from '../core/errors.ts'
import type { PackageId } from '../core/name.ts'
import type { ArchiveEntry } from '../core/archive-entry.ts'
import { readTar } from '../core/tar-reader.ts'
import type { FileInfo, ReadFile } from '../store/interface.ts'
import type { Connection } from './connection.ts'
import type { RemoteFile } from './file-answer.ts'
import { checked, downloadFile } from './file-download.ts'
import { loadSha256, type NewSha256 } from './sha256.ts'

/** Files that come whole, rather than as a stream of their own. */
const SMALL_BYTES = 2 * 1024 * 1024
/** Requests at once for files that did not come with the archive. */
const SINGLE_REQUESTS = 4

const utf8 = new TextDecoder()

/**
 * Reads the files of a package: all in one archive, and one by one what did not come with it, be it that the connection broke off or that a file is damaged
 * (which ends an archive). Each file is checked against its digest.
 */
export class PackageDownload {
  readonly #connection: Connection
  readonly #id: PackageId
  readonly #signal: AbortSignal | undefined
  readonly #listing: AsyncIterator<FileInfo>
  /** Files that the listing named and the archive did not bring yet, by path. */
  readonly #awaited = new Map<string, RemoteFile>()

  constructor(connection: Connection, id: PackageId, listing: AsyncIterable<FileInfo>, signal: AbortSignal | undefined) {
    this.#connection = connection
    this.#id = id
    this.#listing = listing[Symbol.asyncIterator]()
    this.#signal = signal
  }

  /** @param open gives the tar archive of the same entries */
  async *run(open: () => Promise<AsyncIterable<Uint8Array>>): AsyncGenerator<ReadFile, void, undefined> {
    const newSha256 = await loadSha256()
    try {
      yield* this.#archived(open, newSha256)
      yield* this.#singles(newSha256)
    } finally {
      await this.#listing.return?.()
    }
  }

  async *#archived(open: () => Promise<AsyncIterable<Uint8Array>>, newSha256: NewSha256): AsyncGenerator<ReadFile, void, undefined> {
    try {
      for await (const entry of readTar(await open())) {
        if (entry.kind !== 'file' || entry.problem !== undefined) continue
        const file = await this.#listed(utf8.decode(entry.name))
        if (file === undefined || file.size !== entry.size) continue
        if (file.size > SMALL_BYTES) {
          this.#awaited.delete(file.path)
          yield { file, stream: checked(this.#continued(entry, file), newSha256, () => file.digest, file.path) }
          continue
        }
        const bytes = await collected(entry.content())
        if (!matches(bytes, file, newSha256)) continue
        this.#awaited.delete(file.path)
        yield { file, bytes }
      }
    } catch (error) {
      if (!isBreak(error)) throw error
    }
  }

  /** Large files that break off with their archive go on by themselves. */
  async *#continued(entry: ArchiveEntry, file: RemoteFile): AsyncGenerator<Uint8Array, void, undefined> {
    let position = 0
    try {
      for await (const piece of entry.content()) {
        position += piece.length
        yield piece
      }
    } catch (error) {
      if (!isBreak(error)) throw error
      yield* downloadFile(this.#connection, this.#id, file.path, { start: position, ...this.#withSignal() })
    }
  }

  /** The file of a path. The listing has the order of the archive, so that few are remembered. */
  async #listed(path: string): Promise<RemoteFile | undefined> {
    for (;;) {
      const known = this.#awaited.get(path)
      if (known !== undefined) return known
      const next = await this.#nextFile()
      if (next === undefined) return undefined
      this.#awaited.set(next.path, next)
    }
  }

  async #nextFile(): Promise<RemoteFile | undefined> {
    for (;;) {
      const step = await this.#listing.next()
      if (step.done === true) return undefined
      if (step.value.kind === 'file') return step.value
    }
  }

  /** Whatever did not come, a few at a time, in their order. */
  async *#singles(newSha256: NewSha256): AsyncGenerator<ReadFile, void, undefined> {
    const rest = this.#rest()
    const ahead: Promise<ReadFile>[] = []
    for (;;) {
      while (ahead.length < SINGLE_REQUESTS) {
        const step = await rest.next()
        if (step.done === true) break
        const read = this.#single(step.value, newSha256)
        // Whoever stops early does not wait for it.
        read.catch(() => undefined)
        ahead.push(read)
      }
      const first = ahead.shift()
      if (first === undefined) return
      yield await first
    }
  }

  async *#rest(): AsyncGenerator<RemoteFile, void, undefined> {
    yield* this.#awaited.values()
    for (let file = await this.#nextFile(); file !== undefined; file = await this.#nextFile()) yield file
  }

  async #single(file: RemoteFile, newSha256: NewSha256): Promise<ReadFile> {
    const stream = downloadFile(this.#connection, this.#id, file.path, this.#withSignal())
    if (file.size > SMALL_BYTES) return { file, stream }
    try {
      const bytes = await collected(stream)
      if (matches(bytes, file, newSha256)) return { file, bytes }
      return { file, error: new DigestMismatchError(`'${file.path}' did not arrive as ${file.digest}`) }
    } catch (error) {
      if (isDamage(error)) return { file, error }
      throw error
    }
  }

  #withSignal(): { readonly signal?: AbortSignal } {
    return this.#signal === undefined ? {} : { signal: this.#signal }
  }
}

/** Ways in which an archive ends before its end: the connection broke, or it makes no sense any more. */
function isBreak(error: unknown): boolean {
  return error instanceof ServerUnreachableError || error instanceof InputInvalidError || isDamage(error)
}

function isDamage(error: unknown): error is StoreError {
  return (
    error instanceof DamagedError || error instanceof ObjectMissingError || error instanceof PackCorruptError || error instanceof DigestMismatchError
  )
}

function matches(bytes: Uint8Array, file: RemoteFile, newSha256: NewSha256): boolean {
  if (bytes.length !== file.size) return false
  if (!file.digest.startsWith('sha256:')) return true
  const hash = newSha256()
  hash.update(bytes)
  return hash.digest() === file.digest
}

/** The pieces as one, a copy of its own. */
async function collected(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const piece of pieces) parts.push(piece)
  return parts.length === 1 ? Uint8Array.from(parts[0] ?? []) : joinBytes(parts)
}
