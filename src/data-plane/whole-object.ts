import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { DigestStream } from '../core/digest.ts'
import type { Backend, ObjectKey } from '../ports/backend.ts'
import type { ContentKind } from '../ports/data-plane.ts'
import type { NewEntry } from './pack-builder.ts'
import { CODEC, ENTRY_KIND } from './pack-format.ts'
import { BLOCK_BYTES, encodePlacement, SEGMENT_BLOCKS, SEGMENT_BYTES } from './pack-records.ts'

/** What was written of a blob that has an object of its own. */
export interface WholeObject {
  readonly digest: Uint8Array
  readonly size: number
  /** CRC-32 of each block of 1 MiB, 4 bytes each, little-endian. */
  readonly checksums: Uint8Array
}

/** Computes the CRC-32 of each block of 1 MiB as bytes pass by, whatever pieces they come in. */
export class BlockChecksums {
  #checksums = Buffer.alloc(SEGMENT_BYTES)
  #blocks = 0
  #crc = 0
  #filled = 0

  update(bytes: Uint8Array): void {
    for (let offset = 0; offset < bytes.length;) {
      const part = bytes.subarray(offset, offset + BLOCK_BYTES - this.#filled)
      this.#crc = crc32(part, this.#crc)
      this.#filled += part.length
      offset += part.length
      if (this.#filled === BLOCK_BYTES) this.#endBlock()
    }
  }

  /** Ends the last block. */
  finish(): Uint8Array {
    if (this.#filled > 0) this.#endBlock()
    return this.#checksums.subarray(0, this.#blocks * 4)
  }

  #endBlock(): void {
    if (this.#blocks * 4 === this.#checksums.length) this.#checksums = Buffer.concat([this.#checksums, Buffer.alloc(this.#checksums.length)])
    this.#checksums.writeUInt32LE(this.#crc, this.#blocks * 4)
    this.#blocks += 1
    this.#crc = 0
    this.#filled = 0
  }
}

/**
 * Writes a blob as an object of its own, hashing it on the way; it is read once. Resolves when it is durable.
 * @throws what the source throws, unchanged, and what `put` throws; nothing is left behind then
 */
export async function putWhole(backend: Backend, key: ObjectKey, source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<WholeObject> {
  const digest = new DigestStream()
  const checksums = new BlockChecksums()
  async function* hashed(): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      digest.update(piece)
      checksums.update(piece)
      yield piece
    }
  }
  const { size } = await backend.put(key, hashed(), { signal })
  return { digest: digest.raw(), size, checksums: checksums.finish() }
}

/** The pack entries that say where the object is, one for each 1,024 blocks. */
export function placementEntries(whole: WholeObject, key: ObjectKey, content: ContentKind): readonly NewEntry[] {
  const segments = Math.ceil(whole.checksums.length / SEGMENT_BYTES)
  return Array.from({ length: segments }, (_, segment) => {
    const checksums = whole.checksums.subarray(segment * SEGMENT_BYTES, (segment + 1) * SEGMENT_BYTES)
    const stored = encodePlacement({ key, content, size: whole.size, segment, segments, checksums })
    return { kind: ENTRY_KIND.placement, codec: CODEC.raw, rawLength: stored.length, digest: whole.digest, stored }
  })
}

/** The segment that the block is in, and the offset of its checksum there. */
export function checksumAt(block: number): { readonly segment: number; readonly offset: number } {
  return { segment: Math.floor(block / SEGMENT_BLOCKS), offset: (block % SEGMENT_BLOCKS) * 4 }
}
