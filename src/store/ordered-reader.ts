import { StoreError } from '../core/errors.ts'
import type { BlobLocation, ChunkLocation } from '../ports/data-plane.ts'
import { throwIfAborted } from './push-report.ts'
import type { FileInfo } from './interface.ts'
import type { PackageReader } from './package-reader.ts'
import { type PackedFile, WHOLE_BYTES } from './packed-entry.ts'

/** What is read together. Two such batches are held: one that is being written, and the next. */
const BATCH_FILES = 500
const BATCH_BYTES = 8 * 1024 * 1024

type StoredFile = Extract<FileInfo, { kind: 'file' }>

/** A file whose content is read together with that of its neighbours. */
interface Small {
  readonly file: StoredFile
  readonly chunk: ChunkLocation
}

/** Reads many files in the order in which they are given: small ones together, a batch ahead of whoever takes them. */
export class OrderedReader {
  readonly #packages: PackageReader
  readonly #signal: AbortSignal | undefined

  constructor(packages: PackageReader, signal: AbortSignal | undefined) {
    this.#packages = packages
    this.#signal = signal
  }

  /** Each file once, with its content. @throws DamagedError, ObjectMissingError where a file cannot be read */
  async *read(files: AsyncIterable<StoredFile>): AsyncGenerator<PackedFile, void, undefined> {
    let ahead: Promise<readonly (PackedFile | StoreError)[]> = Promise.resolve([])
    try {
      for await (const batch of this.#batches(files)) {
        const ready = await ahead
        ahead = 'content' in batch ? Promise.resolve([batch]) : this.#readBatch(batch)
        // Whether it fails is asked when it is its turn.
        ahead.catch(() => undefined)
        yield* readable(ready)
      }
      yield* readable(await ahead)
    } finally {
      await ahead.catch(() => undefined)
    }
  }

  /** Neighbours that are read together, and large files between them. */
  async *#batches(files: AsyncIterable<StoredFile>): AsyncGenerator<readonly Small[] | PackedFile, void, undefined> {
    let batch: Small[] = []
    let bytes = 0
    for await (const file of files) {
      throwIfAborted(this.#signal)
      const location = await this.#packages.locate(file.digest)
      const [chunk] = location
      const isSmall = file.size <= WHOLE_BYTES && location.length === 1 && chunk !== undefined
      if (isSmall) {
        batch.push({ file, chunk })
        bytes += file.size
      }
      if (batch.length > 0 && (!isSmall || batch.length >= BATCH_FILES || bytes >= BATCH_BYTES)) {
        yield batch
        batch = []
        bytes = 0
      }
      if (!isSmall) yield { ...file, content: await this.#apart(file, location) }
    }
    if (batch.length > 0) yield batch
  }

  /** The content of a file that is not read with others: as a stream, or, when it is short but composed of several chunks, as a whole. */
  async #apart(file: StoredFile, location: BlobLocation): Promise<PackedFile['content']> {
    const content = this.#packages.read(file.digest, location, this.#signal === undefined ? {} : { signal: this.#signal })
    return file.size > WHOLE_BYTES ? content : Buffer.concat(await Array.fromAsync(content))
  }

  async #readBatch(batch: readonly Small[]): Promise<readonly (PackedFile | StoreError)[]> {
    const contents: (PackedFile | StoreError)[] = []
    const blobs = batch.map(({ file, chunk }) => ({ file, digest: file.digest, chunk }))
    for await (const outcome of this.#packages.readMany(blobs, this.#signal === undefined ? {} : { signal: this.#signal })) {
      const file = blobs[outcome.index]?.file
      if (file !== undefined) contents[outcome.index] = 'error' in outcome ? outcome.error : { ...file, content: outcome.bytes }
    }
    return contents
  }
}

/** What comes before a file that cannot be read is still given. */
function* readable(contents: readonly (PackedFile | StoreError)[]): Generator<PackedFile, void, undefined> {
  for (const content of contents) {
    if (content instanceof StoreError) throw content
    yield content
  }
}
