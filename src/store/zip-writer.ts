import { zipFlag, type zipMethod } from './zip-header.ts'

/*
 * The records of zip archives, written (PKWARE APPNOTE 6.3.10). Nothing in them depends on when or where they are written.
 */

/** What the records say of an entry. */
export interface ZipEntryFacts {
  /** With a slash at the end for a directory. */
  readonly name: string
  readonly method: (typeof zipMethod)[keyof typeof zipMethod]
  /** `st_mode` of Unix: type and permissions. */
  readonly mode: number
  readonly size: number
  readonly packedSize: number
  /** Undefined when it follows the content, in a descriptor. */
  readonly crc: number | undefined
}

const UNIX = 3 << 8
const VERSION = 20
const VERSION_ZIP64 = 45
/** The first of January 1980, the earliest day that the format knows. */
const DOS_DATE = 0x21
const DOS_DIRECTORY = 0x10
const DIRECTORY = 0o040000
const TYPE_BITS = 0o170000
const NONE_16 = 0xffff
const NONE_32 = 0xffffffff

/** The record in front of an entry's content. */
export function zipLocalHeader(facts: ZipEntryFacts): Buffer {
  const name = Buffer.from(facts.name)
  const isLarge = isTooLarge(facts)
  const follows = facts.crc === undefined
  const extra = isLarge ? zip64Field(follows ? [0, 0] : [facts.size, facts.packedSize]) : Buffer.alloc(0)
  const header = Buffer.alloc(30)
  header.writeUInt32LE(0x04034b50, 0)
  header.writeUInt16LE(isLarge ? VERSION_ZIP64 : VERSION, 4)
  header.writeUInt16LE(flagsOf(facts), 6)
  header.writeUInt16LE(facts.method, 8)
  header.writeUInt16LE(DOS_DATE, 12)
  header.writeUInt32LE(facts.crc ?? 0, 14)
  header.writeUInt32LE(isLarge ? NONE_32 : follows ? 0 : facts.packedSize, 18)
  header.writeUInt32LE(isLarge ? NONE_32 : follows ? 0 : facts.size, 22)
  header.writeUInt16LE(name.length, 26)
  header.writeUInt16LE(extra.length, 28)
  return Buffer.concat([header, name, extra])
}

/** The record behind an entry's content whose checksum was not known before. */
export function zipDescriptor(facts: ZipEntryFacts, crc: number): Buffer {
  const isLarge = isTooLarge(facts)
  const descriptor = Buffer.alloc(isLarge ? 24 : 16)
  descriptor.writeUInt32LE(0x08074b50, 0)
  descriptor.writeUInt32LE(crc, 4)
  if (isLarge) {
    descriptor.writeBigUInt64LE(BigInt(facts.packedSize), 8)
    descriptor.writeBigUInt64LE(BigInt(facts.size), 16)
  } else {
    descriptor.writeUInt32LE(facts.packedSize, 8)
    descriptor.writeUInt32LE(facts.size, 12)
  }
  return descriptor
}

/** What the directory at the end says of an entry whose local header is at `start`. */
export function zipCentralRecord(facts: ZipEntryFacts, crc: number, start: number): Buffer {
  const name = Buffer.from(facts.name)
  const isLarge = isTooLarge(facts)
  const isFar = start >= NONE_32
  const extra = isLarge || isFar ? zip64Field([...(isLarge ? [facts.size, facts.packedSize] : []), ...(isFar ? [start] : [])]) : Buffer.alloc(0)
  const version = isLarge || isFar ? VERSION_ZIP64 : VERSION
  const record = Buffer.alloc(46)
  record.writeUInt32LE(0x02014b50, 0)
  record.writeUInt16LE(UNIX | version, 4)
  record.writeUInt16LE(version, 6)
  record.writeUInt16LE(flagsOf(facts), 8)
  record.writeUInt16LE(facts.method, 10)
  record.writeUInt16LE(DOS_DATE, 14)
  record.writeUInt32LE(crc, 16)
  record.writeUInt32LE(isLarge ? NONE_32 : facts.packedSize, 20)
  record.writeUInt32LE(isLarge ? NONE_32 : facts.size, 24)
  record.writeUInt16LE(name.length, 28)
  record.writeUInt16LE(extra.length, 30)
  record.writeUInt32LE(((facts.mode << 16) | ((facts.mode & TYPE_BITS) === DIRECTORY ? DOS_DIRECTORY : 0)) >>> 0, 38)
  record.writeUInt32LE(isFar ? NONE_32 : start, 42)
  return Buffer.concat([record, name, extra])
}

/** The end of an archive: where its directory is, how long, and of how many entries. */
export function zipEnd(directory: { readonly start: number; readonly bytes: number; readonly entries: number }): Buffer {
  const { start, bytes, entries } = directory
  const isLarge = entries >= NONE_16 || bytes >= NONE_32 || start >= NONE_32
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(Math.min(entries, NONE_16), 8)
  end.writeUInt16LE(Math.min(entries, NONE_16), 10)
  end.writeUInt32LE(Math.min(bytes, NONE_32), 12)
  end.writeUInt32LE(Math.min(start, NONE_32), 16)
  return isLarge ? Buffer.concat([zip64End(directory), end]) : end
}

function zip64End({ start, bytes, entries }: { readonly start: number; readonly bytes: number; readonly entries: number }): Buffer {
  const records = Buffer.alloc(76)
  records.writeUInt32LE(0x06064b50, 0)
  records.writeBigUInt64LE(44n, 4)
  records.writeUInt16LE(UNIX | VERSION_ZIP64, 12)
  records.writeUInt16LE(VERSION_ZIP64, 14)
  records.writeBigUInt64LE(BigInt(entries), 24)
  records.writeBigUInt64LE(BigInt(entries), 32)
  records.writeBigUInt64LE(BigInt(bytes), 40)
  records.writeBigUInt64LE(BigInt(start), 48)
  records.writeUInt32LE(0x07064b50, 56)
  records.writeBigUInt64LE(BigInt(start + bytes), 64)
  records.writeUInt32LE(1, 72)
  return records
}

function flagsOf({ crc }: ZipEntryFacts): number {
  return zipFlag.utf8 | (crc === undefined ? zipFlag.descriptor : 0)
}

function isTooLarge({ size, packedSize }: ZipEntryFacts): boolean {
  return size >= NONE_32 || packedSize >= NONE_32
}

function zip64Field(numbers: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + numbers.length * 8)
  field.writeUInt16LE(0x0001, 0)
  field.writeUInt16LE(numbers.length * 8, 2)
  for (const [index, value] of numbers.entries()) field.writeBigUInt64LE(BigInt(value), 4 + index * 8)
  return field
}
