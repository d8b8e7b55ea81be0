import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { InputInvalidError, PackCorruptError, StoreMismatchError, VersionUnsupportedError } from '../core/errors.ts'

/**
 * The bytes of a pack, version 1, as docs/format/pack.md specifies them: a file header, entries without gaps, and in a sealed pack a table of
 * contents (an entry itself) and a footer. All integers are little-endian. Pure; nothing here reads or writes.
 */

/** The version written here and the newest that is understood. */
const PACK_VERSION = 1
/** Length of the header that every pack starts with, bytes. */
export const FILE_HEADER_BYTES = 64
/** Length of the header in front of every payload, bytes. */
export const ENTRY_HEADER_BYTES = 64
/** Length of what a sealed pack ends in, bytes. */
export const FOOTER_BYTES = 64
/** No payload is longer, stored or decoded: what a reader must be able to hold. */
const MAX_PAYLOAD_BYTES: number = 8 * 1024 * 1024

/** Numbers of the kinds of entries. A reader skips a number that it does not know. */
export const ENTRY_KIND = { chunk: 1, manifest: 2, recipe: 3, placement: 4, contents: 5 } as const
/** Numbers of the codecs. */
export const CODEC = { raw: 0, zstd: 1 } as const

/** What an entry header says. */
export interface EntryHeader {
  /** One of {@link ENTRY_KIND}, or a number that a later release gave a meaning. */
  readonly kind: number
  /** One of {@link CODEC}, or a number that a later release gave a meaning. */
  readonly codec: number
  /** The key the payload is encrypted with; 0: none. */
  readonly keyId: number
  /** Length of the decoded payload, bytes. */
  readonly rawLength: number
  /** Length of the payload as it stands in the pack, bytes. */
  readonly storedLength: number
  /** SHA-256 of the decoded payload; in recipes and placements, of the blob they are about. */
  readonly digest: Uint8Array
  /** CRC-32 of the payload as it stands in the pack. */
  readonly payloadCrc: number
}

/** An entry and where it is. `offset` is that of the first payload byte. */
export interface PackEntry extends EntryHeader {
  readonly offset: number
}

/** Who a pack belongs to: the store and the object, 16 bytes each. */
export interface PackIdentity {
  readonly storeId: Uint8Array
  readonly objectId: Uint8Array
}

/** Where the table of contents of a sealed pack starts (its entry header), and how many entries it lists. */
export interface Footer {
  readonly contentsStart: number
  readonly entries: number
}

const FILE_MAGIC = Buffer.from([0x89, 0x41, 0x53, 0x50, 0x41, 0x43, 0x4b, 0x0a])
const FOOTER_MAGIC = Buffer.from([0x89, 0x41, 0x53, 0x50, 0x45, 0x4e, 0x44, 0x0a])
/** Starts every entry header; not valid UTF-8, so that no text holds it. */
export const ENTRY_MAGIC: Buffer = Buffer.from([0xf5, 0x61, 0x73, 0x65])

/** Offset of the CRC-32 in all three kinds of headers, in every version. */
const CRC_OFFSET = 60
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** The 16 bytes of a UUID in its usual form. @throws InputInvalidError */
export function uuidBytes(uuid: string): Uint8Array {
  if (UUID.test(uuid)) return Buffer.from(uuid.replaceAll('-', ''), 'hex')
  throw new InputInvalidError(`${JSON.stringify(uuid.slice(0, 100))} is not a UUID in lower case`)
}

/** The id of an object, which is the last component of its key. @throws InputInvalidError when that is not a UUID */
export function objectIdOf(key: string): Uint8Array {
  return uuidBytes(key.slice(key.lastIndexOf('/') + 1))
}

/** The 64 bytes a pack starts with. */
export function encodeFileHeader(identity: PackIdentity): Uint8Array {
  const bytes = Buffer.alloc(FILE_HEADER_BYTES)
  FILE_MAGIC.copy(bytes)
  bytes.writeUInt16LE(PACK_VERSION, 8)
  bytes.set(identity.storeId, 16)
  bytes.set(identity.objectId, 32)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_OFFSET)), CRC_OFFSET)
  return bytes
}

/**
 * Checks the start of a pack.
 * @throws PackCorruptError when these are not the 64 bytes of a header; VersionUnsupportedError; StoreMismatchError when it is another's pack
 */
export function checkFileHeader(source: Uint8Array, identity: PackIdentity): void {
  const bytes = view(source)
  if (!isIntact(bytes, FILE_MAGIC, crc32(bytes.subarray(0, CRC_OFFSET)))) throw new PackCorruptError('the file header is damaged', at(0))
  checkVersion(bytes.readUInt16LE(8))
  if (!bytes.subarray(16, 32).equals(identity.storeId)) {
    throw new StoreMismatchError('this pack belongs to another store; a backend must not be shared or mixed with that of another one', {
      detail: { found: bytes.toString('hex', 16, 32), expected: view(identity.storeId).toString('hex') },
    })
  }
  if (!bytes.subarray(32, 48).equals(identity.objectId)) {
    throw new StoreMismatchError('this pack was stored under another key; it was renamed or copied behind the store', {
      detail: { found: bytes.toString('hex', 32, 48), expected: view(identity.objectId).toString('hex') },
    })
  }
}

/**
 * Writes and reads the entry headers of one pack. Their CRC-32 also covers the id of the pack and the offset, so that bytes that look like an entry
 * (a pack stored as a file, old blocks of the disk) are none.
 */
export class EntryCodec {
  readonly #seed: number
  readonly #position = Buffer.alloc(8)

  constructor(objectId: Uint8Array) {
    this.#seed = crc32(objectId)
  }

  /** Writes a header into the 64 bytes at `to`. @param start where in the pack the header will be */
  encode(header: EntryHeader, start: number, target: Buffer, to: number): void {
    ENTRY_MAGIC.copy(target, to)
    target[to + 4] = PACK_VERSION
    target[to + 5] = header.kind
    target[to + 6] = header.codec
    target[to + 7] = 0
    target.writeUInt32LE(header.keyId, to + 8)
    target.writeUInt32LE(header.storedLength, to + 12)
    writeUInt64(target, header.rawLength, to + 16)
    target.set(header.digest, to + 24)
    target.writeUInt32LE(header.payloadCrc, to + 56)
    target.writeUInt32LE(this.#crc(target.subarray(to, to + CRC_OFFSET), start), to + CRC_OFFSET)
  }

  /**
   * Reads the header that starts at `start` of the pack.
   * @throws PackCorruptError when there is none, or one of impossible lengths; VersionUnsupportedError
   */
  decode(source: Uint8Array, start: number): PackEntry {
    const bytes = view(source)
    if (bytes.length < ENTRY_HEADER_BYTES || !isIntact(bytes, ENTRY_MAGIC, this.#crc(bytes.subarray(0, CRC_OFFSET), start))) {
      throw new PackCorruptError('there is no entry, or its header is damaged', at(start))
    }
    checkVersion(bytes.readUInt8(4))
    return checkLengths({
      kind: bytes.readUInt8(5),
      codec: bytes.readUInt8(6),
      keyId: bytes.readUInt32LE(8),
      storedLength: bytes.readUInt32LE(12),
      rawLength: readUInt64(bytes, 16),
      // A copy: an entry must not keep a whole piece of the pack in memory.
      digest: Uint8Array.prototype.slice.call(bytes, 24, 56),
      payloadCrc: bytes.readUInt32LE(56),
      offset: start + ENTRY_HEADER_BYTES,
    })
  }

  #crc(header: Uint8Array, start: number): number {
    writeUInt64(this.#position, start, 0)
    return crc32(header, crc32(this.#position, this.#seed))
  }
}

/** The 64 bytes a sealed pack ends in. */
export function encodeFooter(footer: Footer, objectId: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(FOOTER_BYTES)
  FOOTER_MAGIC.copy(bytes)
  bytes.writeUInt16LE(PACK_VERSION, 8)
  bytes.writeUInt32LE(footer.entries, 12)
  writeUInt64(bytes, footer.contentsStart, 16)
  bytes.set(objectId, 32)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_OFFSET)), CRC_OFFSET)
  return bytes
}

/** Reads the last 64 bytes of a pack. @returns undefined when they are no footer of this pack @throws VersionUnsupportedError */
export function decodeFooter(source: Uint8Array, objectId: Uint8Array): Footer | undefined {
  const bytes = view(source)
  if (!isIntact(bytes, FOOTER_MAGIC, crc32(bytes.subarray(0, CRC_OFFSET))) || !bytes.subarray(32, 48).equals(objectId)) return undefined
  checkVersion(bytes.readUInt16LE(8))
  return { entries: bytes.readUInt32LE(12), contentsStart: readUInt64(bytes, 16) }
}

/** `n` as 8 bytes. */
export function writeUInt64(target: Buffer, n: number, offset: number): void {
  target.writeUInt32LE(n % 0x1_0000_0000, offset)
  target.writeUInt32LE(Math.floor(n / 0x1_0000_0000), offset + 4)
}

/** 8 bytes as a number; Infinity when it is beyond what a number can count. */
export function readUInt64(source: Buffer, offset: number): number {
  const n = source.readUInt32LE(offset) + source.readUInt32LE(offset + 4) * 0x1_0000_0000
  return Number.isSafeInteger(n) ? n : Number.POSITIVE_INFINITY
}

/** The same bytes as a Buffer, which has the readers of integers. */
export function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** @throws PackCorruptError when the lengths pass what a reader must be able to hold, or a raw payload is not as long as it says */
export function checkLengths(entry: PackEntry): PackEntry {
  const fits = entry.storedLength <= MAX_PAYLOAD_BYTES && entry.rawLength <= MAX_PAYLOAD_BYTES
  if (fits && (entry.codec !== CODEC.raw || entry.storedLength === entry.rawLength)) return entry
  throw new PackCorruptError(
    `an entry has impossible lengths: ${String(entry.storedLength)} bytes stored, ${String(entry.rawLength)} decoded`,
    at(entry.offset - ENTRY_HEADER_BYTES),
  )
}

function isIntact(bytes: Buffer, magic: Buffer, crc: number): boolean {
  return bytes.length >= CRC_OFFSET + 4 && bytes.subarray(0, magic.length).equals(magic) && bytes.readUInt32LE(CRC_OFFSET) === crc
}

function checkVersion(version: number): void {
  if (version === PACK_VERSION) return
  if (version > PACK_VERSION) {
    throw new VersionUnsupportedError(
      `a pack of format version ${String(version)} was written by a newer release; this one reads up to version ${String(PACK_VERSION)}: upgrade`,
    )
  }
  throw new PackCorruptError('a pack of format version 0 cannot exist')
}

function at(offset: number): { readonly detail: { readonly offset: number } } {
  return { detail: { offset } }
}
