import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { InputInvalidError } from '../core/errors.ts'
import type { Backend, ByteRange } from '../ports/backend.ts'
import { cutRange } from '../ports/backend.ts'
import type { BlobLocation, ChunkLocation } from '../ports/data-plane.ts'
import { abortedError } from '../ports/source.ts'
import { runAhead } from './ahead.ts'
import { checkedChunk, damaged, readFailure } from './chunk-check.ts'
import { joined, readRange } from './object-range.ts'
import { BLOCK_BYTES } from './pack-records.ts'
import { checksumAt } from './whole-object.ts'

/** A chunk and the part of it that is wanted, in bytes of the chunk. */
interface Part {
  readonly chunk: ChunkLocation
  readonly start: number
  readonly end: number
}

/** Streams a part of a blob, checked piece by piece; see `DataPlane.read`. A range past the end is cut. */
export async function* readBlob(
  backend: Backend,
  blob: BlobLocation,
  range: Partial<ByteRange>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const size = blob.reduce((sum, chunk) => sum + chunk.size, 0)
  const { start, end } = cutRange({ start: range.start ?? 0, end: range.end ?? Math.max(size, range.start ?? 0) }, size)
  for await (const pieces of runAhead(partsOf(blob, start, end), 1, async (part) => piecesOf(backend, part))) {
    for await (const piece of pieces) {
      if (signal?.aborted === true) throw abortedError(signal)
      yield piece
    }
  }
}

/** Reads a whole chunk into memory, checked. @param limit refuses longer ones, bytes @throws InputInvalidError; DamagedError; ObjectMissingError */
export async function readChunk(backend: Backend, chunk: ChunkLocation, limit: number): Promise<Uint8Array> {
  if (chunk.size > limit) throw new InputInvalidError(`a chunk of ${String(chunk.size)} bytes is too long to be read at once; stream it`)
  const pieces: Uint8Array[] = []
  for await (const piece of wholeBlocks(backend, { chunk, start: 0, end: chunk.size })) pieces.push(piece)
  return Buffer.concat(pieces)
}

function* partsOf(blob: BlobLocation, start: number, end: number): Generator<Part> {
  let position = 0
  for (const chunk of blob) {
    const part = { chunk, start: Math.max(0, start - position), end: Math.min(chunk.size, end - position) }
    if (part.start < part.end) yield part
    position += chunk.size
  }
}

async function piecesOf(backend: Backend, part: Part): Promise<Iterable<Uint8Array> | AsyncIterable<Uint8Array>> {
  const { chunk, start, end } = part
  if (chunk.kind === 'whole') return wholeBlocks(backend, part)
  const stored = await readRange(backend, chunk.key, chunk.offset, chunk.offset + chunk.storedLength).catch((error: unknown) => {
    throw readFailure(chunk, error)
  })
  return [checkedChunk(chunk, stored).subarray(start, end)]
}

/** The blocks of a whole object that a part touches, each checked before it is yielded. */
async function* wholeBlocks(backend: Backend, { chunk, start, end }: Part): AsyncGenerator<Uint8Array> {
  if (chunk.codec !== 'raw' || chunk.storedLength !== chunk.size) throw damaged(chunk, 'a whole object is never encoded')
  const first = Math.floor(start / BLOCK_BYTES)
  const last = Math.ceil(end / BLOCK_BYTES)
  const checksums = new BlockSums(chunk)
  const range = { start: chunk.offset + first * BLOCK_BYTES, end: chunk.offset + Math.min(chunk.size, last * BLOCK_BYTES) }
  let number = first
  for await (const block of blocksOf(backend, chunk, range)) {
    const from = number * BLOCK_BYTES
    if (block.length !== Math.min(BLOCK_BYTES, chunk.size - from)) throw damaged(chunk, 'its object ends too early')
    if (crc32(block) !== (await checksums.of(number))) throw damaged(chunk, `the block at ${String(from)} is not what was stored`)
    yield block.subarray(Math.max(0, start - from), Math.min(block.length, end - from))
    number += 1
  }
  if (number < last) throw damaged(chunk, 'its object ends too early')
}

/** The checksums of the blocks of one object, a segment at a time. */
export class BlockSums {
  readonly #chunk: ChunkLocation
  #segment = -1
  #sums: Buffer = Buffer.alloc(0)

  constructor(chunk: ChunkLocation) {
    this.#chunk = chunk
  }

  /** @throws DamagedError when the registry has none for this block */
  async of(block: number): Promise<number> {
    const { segment, offset } = checksumAt(block)
    if (segment !== this.#segment) {
      const sums = await this.#chunk.checksums?.(segment)
      this.#sums = Buffer.from(sums ?? [])
      this.#segment = segment
    }
    if (offset + 4 > this.#sums.length) throw damaged(this.#chunk, 'its checksums are missing')
    return this.#sums.readUInt32LE(offset)
  }
}

/** Cuts what a backend yields into blocks of 1 MiB, without copying where it comes in such pieces. The last one may be shorter. */
export async function* blocksOf(backend: Backend, chunk: ChunkLocation, range: Required<ByteRange>): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = []
  let length = 0
  try {
    for await (const piece of backend.get(chunk.key, range)) {
      for (let rest = piece; rest.length > 0;) {
        const part = rest.subarray(0, BLOCK_BYTES - length)
        held.push(part)
        length += part.length
        rest = rest.subarray(part.length)
        if (length < BLOCK_BYTES) continue
        yield joined(held)
        held = []
        length = 0
      }
    }
  } catch (error) {
    throw readFailure(chunk, error)
  }
  if (length > 0) yield joined(held)
}
