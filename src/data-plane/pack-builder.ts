import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { sha256 } from '../core/digest.ts'
import type { ObjectKey } from '../ports/backend.ts'
import { ContentsBuilder } from './pack-contents.ts'
import {
  CODEC,
  encodeFileHeader,
  encodeFooter,
  ENTRY_HEADER_BYTES,
  ENTRY_KIND,
  EntryCodec,
  FILE_HEADER_BYTES,
  FOOTER_BYTES,
  objectIdOf,
} from './pack-format.ts'
import type { EntryHeader } from './pack-format.ts'

/** An entry to be written; its CRC-32 and key id are filled in. */
export interface NewEntry extends Pick<EntryHeader, 'kind' | 'codec' | 'rawLength' | 'digest'> {
  readonly stored: Uint8Array
}

/** When a pack is full. */
export interface PackLimit {
  /** Bytes before the table of contents. */
  readonly bytes: number
  readonly entries: number
}

/** STORAGE section 2. */
export const PACK_LIMIT: PackLimit = { bytes: 64 * 1024 * 1024, entries: 8192 }

/** Bytes to append to a pack, and where the payload of each entry will be. */
export interface Extension {
  readonly pieces: readonly Uint8Array[]
  readonly offsets: readonly number[]
}

/** Lays out one pack. Pure: what it returns is to be appended, in order. */
export class PackBuilder {
  readonly #objectId: Uint8Array
  readonly #storeId: Uint8Array
  readonly #limit: PackLimit
  readonly #codec: EntryCodec
  readonly #contents = new ContentsBuilder()
  #size = FILE_HEADER_BYTES

  /** @throws InputInvalidError when the key does not end in a UUID */
  constructor(key: ObjectKey, storeId: Uint8Array, limit: PackLimit) {
    this.#objectId = objectIdOf(key)
    this.#storeId = storeId
    this.#limit = limit
    this.#codec = new EntryCodec(this.#objectId)
  }

  /** Bytes laid out so far. */
  get size(): number {
    return this.#size
  }

  get entries(): number {
    return this.#contents.count
  }

  /** The first bytes of the pack. */
  start(): Uint8Array {
    return encodeFileHeader({ storeId: this.#storeId, objectId: this.#objectId })
  }

  /** How many of these entries, from `from` on, still fit. An empty pack takes at least one, however long. */
  room(entries: readonly NewEntry[], from: number): number {
    let count = 0
    let { size } = this
    for (const entry of entries.slice(from, from + this.#limit.entries - this.entries)) {
      size += ENTRY_HEADER_BYTES + entry.stored.length
      if (size > this.#limit.bytes && this.entries + count > 0) break
      count += 1
    }
    return count
  }

  /** Lays out entries, without copying their payloads. If they cannot be written, {@link rewind} forgets them. */
  add(entries: readonly NewEntry[]): Extension {
    const headers = Buffer.allocUnsafeSlow(entries.length * ENTRY_HEADER_BYTES)
    const pieces: Uint8Array[] = []
    const offsets = entries.map(({ kind, codec, rawLength, digest, stored }, index) => {
      const start = this.#size
      const offset = start + ENTRY_HEADER_BYTES
      const entry = { kind, codec, keyId: 0, rawLength, storedLength: stored.length, digest, payloadCrc: crc32(stored), offset }
      const to = index * ENTRY_HEADER_BYTES
      this.#codec.encode(entry, start, headers, to)
      this.#contents.add(entry)
      this.#size = offset + stored.length
      pieces.push(headers.subarray(to, to + ENTRY_HEADER_BYTES), stored)
      return offset
    })
    return { pieces, offsets }
  }

  /** Goes back to an earlier state, given by its size and number of entries. */
  rewind(to: { readonly size: number; readonly entries: number }): void {
    this.#size = to.size
    this.#contents.truncate(to.entries)
  }

  /** The last bytes of the pack: its table of contents and the footer. Nothing may follow. */
  finish(): readonly Uint8Array[] {
    const stored = this.#contents.encode()
    const header = Buffer.alloc(ENTRY_HEADER_BYTES)
    const entry = { kind: ENTRY_KIND.contents, codec: CODEC.raw, keyId: 0, rawLength: stored.length, storedLength: stored.length }
    this.#codec.encode({ ...entry, digest: sha256(stored), payloadCrc: crc32(stored) }, this.#size, header, 0)
    const footer = encodeFooter({ contentsStart: this.#size, entries: this.entries }, this.#objectId)
    this.#size += ENTRY_HEADER_BYTES + stored.length + FOOTER_BYTES
    return [header, stored, footer]
  }
}
