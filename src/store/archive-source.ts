import type { ArchiveEntry } from '../core/archive-entry.ts'
import { LimitExceededError } from '../core/errors.ts'
import { readTar } from '../core/tar-reader.ts'
import { piecesOf } from '../ports/source.ts'
import { beginningOf } from './beginning.ts'
import { decompress } from './decompress.ts'
import type { ArchiveFormat } from './interface.ts'
import { throwIfAborted } from './push-report.ts'
import { SpoolFile } from './spool-file.ts'
import { readZip } from './zip-reader.ts'

/** What an archive may ask for. */
export interface ArchiveLimits {
  /** Most entries. Each costs about 300 bytes of memory, and its name. */
  readonly entries: number
  /** Most bytes of all names together. */
  readonly nameBytes: number
  /** Most bytes that come out (zeros of sparse files included) for each byte that goes in … */
  readonly expansion: number
  /** … beyond these, which are always allowed. */
  readonly expandedBytes: number
  /** Most bytes of a zip archive, which must be there as a whole before it can be read. */
  readonly spooledBytes: number
  /** Most bytes of content, however large the archive is. */
  readonly contentBytes: number
}

/** Generous: what people pack passes, what was made to fill a disk or a memory does not. */
const LIMITS: ArchiveLimits = {
  entries: 2_000_000,
  nameBytes: 256 * 1024 ** 2,
  expansion: 1_000,
  expandedBytes: 4 * 1024 ** 3,
  spooledBytes: 64 * 1024 ** 3,
  contentBytes: 16 * 1024 ** 4,
}

/** How to read an archive. */
export interface ArchiveReading {
  /** Told by the first bytes when not given. */
  readonly format?: ArchiveFormat
  readonly limits?: Partial<ArchiveLimits>
  /** A folder for what must be there as a whole before it can be read. */
  readonly spoolFolder: string
  readonly signal?: AbortSignal
}

/** A local header, or the end record of an archive without entries. */
const ZIP_MAGIC = /^504b(?:0304|0506)/
const MAGIC_BYTES = 4

/**
 * Reads the entries of an archive that arrives as a stream: tar (plain, gzip or zstd) as it comes, zip after it has come, from a temporary file,
 * since what is in a zip archive is only known at its end.
 * @throws InputInvalidError when the archive is damaged, cut off, or none; LimitExceededError; AbortedError
 */
export async function* readArchive(source: AsyncIterable<Uint8Array>, reading: ArchiveReading): AsyncGenerator<ArchiveEntry, void, undefined> {
  const meter = new ArchiveMeter({ ...LIMITS, ...reading.limits })
  const { head, all } = await beginningOf(meter.packed(piecesOf(source, reading.signal)), MAGIC_BYTES)
  const isZip = reading.format === 'zip' || (reading.format === undefined && ZIP_MAGIC.test(head.toString('hex')))
  const entries = isZip ? zipEntries(all, meter, reading) : readTar(meter.unpacked(decompress(all)))
  for await (const entry of entries) {
    throwIfAborted(reading.signal)
    meter.count(entry)
    yield { ...entry, content: () => meter.content(entry) }
  }
}

async function* zipEntries(
  all: AsyncIterable<Uint8Array>,
  meter: ArchiveMeter,
  reading: ArchiveReading,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  const file = await SpoolFile.fill(reading.spoolFolder, meter.spooled(all))
  try {
    yield* readZip(file, { entries: meter.limits.entries, contentBytes: meter.mostContent() })
  } finally {
    await file.close()
  }
}

/** Counts what an archive costs. */
class ArchiveMeter {
  readonly limits: ArchiveLimits
  #in = 0
  #unpacked = 0
  #content = 0
  #entries = 0
  #names = 0

  constructor(limits: ArchiveLimits) {
    this.limits = limits
  }

  async *packed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of source) {
      this.#in += piece.length
      yield piece
    }
  }

  async *spooled(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    const { spooledBytes } = this.limits
    for await (const piece of source) {
      if (this.#in > spooledBytes) throw new LimitExceededError(`a zip archive has at most ${spooledBytes} bytes; a tar may have more`)
      yield piece
    }
  }

  async *unpacked(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of source) {
      this.#unpacked += piece.length
      this.#check()
      yield piece
    }
  }

  async *content(entry: ArchiveEntry): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of entry.content()) {
      this.#content += piece.length
      this.#check()
      yield piece
    }
  }

  count({ name, linkName }: ArchiveEntry): void {
    const { entries, nameBytes } = this.limits
    if (++this.#entries > entries) throw new LimitExceededError(`the archive has more than ${entries} entries`)
    this.#names += name.length + linkName.length
    if (this.#names > nameBytes) throw new LimitExceededError(`the names in the archive are longer than ${nameBytes} bytes together`)
  }

  /** Most bytes of content, as far as the archive has come. */
  mostContent(): number {
    const { expansion, expandedBytes, contentBytes } = this.limits
    return Math.min(contentBytes, expandedBytes + this.#in * expansion)
  }

  #check(): void {
    const { expansion, expandedBytes, contentBytes } = this.limits
    if (this.#content > contentBytes) throw new LimitExceededError(`the archive holds more than ${contentBytes} bytes of content`)
    if (Math.max(this.#unpacked, this.#content) <= expandedBytes + this.#in * expansion) return
    throw new LimitExceededError(`${this.#in} bytes of the archive became more than ${expandedBytes} bytes and ${expansion} times as many`)
  }
}
