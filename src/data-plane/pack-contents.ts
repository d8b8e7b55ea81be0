import { Buffer } from 'node:buffer'
import { PackCorruptError } from '../core/errors.ts'
import { checkLengths, ENTRY_HEADER_BYTES, FILE_HEADER_BYTES, readUInt64, view, writeUInt64 } from './pack-format.ts'
import type { PackEntry } from './pack-format.ts'

/** Length of what the table of contents says of one entry, bytes. */
const RECORD_BYTES = 64
/** A reader accepts no longer table: 4 MiB. Writers stop at 8,192 entries. */
const MAX_RECORDS = 65_536

/** The table of contents of a pack, as it grows: a record of 64 bytes for each entry, in the order of their offsets. */
export class ContentsBuilder {
  #records = Buffer.alloc(RECORD_BYTES * 64)
  #count = 0

  get count(): number {
    return this.#count
  }

  add(entry: PackEntry): void {
    const offset = this.#count * RECORD_BYTES
    if (offset === this.#records.length) this.#records = Buffer.concat([this.#records, Buffer.alloc(this.#records.length)])
    const to = this.#records
    writeUInt64(to, entry.offset, offset)
    writeUInt64(to, entry.rawLength, offset + 8)
    to.writeUInt32LE(entry.storedLength, offset + 16)
    to[offset + 20] = entry.kind
    to[offset + 21] = entry.codec
    to.writeUInt16LE(0, offset + 22)
    to.writeUInt32LE(entry.keyId, offset + 24)
    to.writeUInt32LE(entry.payloadCrc, offset + 28)
    to.set(entry.digest, offset + 32)
    this.#count += 1
  }

  /** Forgets the entries after the first `count`: their bytes could not be written. */
  truncate(count: number): void {
    this.#count = Math.min(this.#count, count)
  }

  /** The payload of the contents entry. */
  encode(): Uint8Array {
    return this.#records.subarray(0, this.#count * RECORD_BYTES)
  }
}

/**
 * Reads a table of contents. The entries it lists follow one another without gaps, from the file header up to itself.
 * @param start where the entry of the table itself starts
 * @throws PackCorruptError
 */
export function decodeContents(payload: Uint8Array, start: number): readonly PackEntry[] {
  const bytes = view(payload)
  const count = bytes.length / RECORD_BYTES
  if (!Number.isInteger(count) || count > MAX_RECORDS) throw new PackCorruptError('the table of contents has an impossible length')
  let expected = FILE_HEADER_BYTES
  const entries = Array.from({ length: count }, (_, index) => {
    const entry = decodeRecord(bytes, index * RECORD_BYTES)
    if (entry.offset !== expected + ENTRY_HEADER_BYTES) throw new PackCorruptError(`entry ${String(index)} of the table of contents is out of place`)
    expected = entry.offset + entry.storedLength
    return entry
  })
  if (expected !== start) throw new PackCorruptError('the table of contents does not list what lies before it')
  return entries
}

function decodeRecord(bytes: Buffer, offset: number): PackEntry {
  return checkLengths({
    offset: readUInt64(bytes, offset),
    rawLength: readUInt64(bytes, offset + 8),
    storedLength: bytes.readUInt32LE(offset + 16),
    kind: bytes.readUInt8(offset + 20),
    codec: bytes.readUInt8(offset + 21),
    keyId: bytes.readUInt32LE(offset + 24),
    payloadCrc: bytes.readUInt32LE(offset + 28),
    digest: bytes.subarray(offset + 32, offset + 64),
  })
}
