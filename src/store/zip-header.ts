import { crc32 } from 'node:zlib'
import { InputInvalidError } from '../core/errors.ts'

/*
 * The records of zip archives, read (PKWARE APPNOTE 6.3.10, sections 4.3 to 4.5). All numbers are little-endian.
 */

/** Bytes of a local header in front of the name. */
export const LOCAL_HEADER_BYTES: number = 30
/** Bytes of a central record in front of the name. */
export const CENTRAL_RECORD_BYTES: number = 46
/** The most that can lie between the first record of an archive's end and its last byte: both zip64 records and a comment. */
export const LONGEST_END_BYTES: number = 56 + 20 + 22 + 0xffff

/** `method` of an entry: as it is, or deflated. */
export const zipMethod = { stored: 0, deflated: 8 } as const
/** Bits of an entry's flags that matter here. */
export const zipFlag = { encrypted: 0x0001, descriptor: 0x0008, patch: 0x0020, strongEncryption: 0x0040, utf8: 0x0800, masked: 0x2000 } as const

const LOCAL_MAGIC = 0x04034b50
const CENTRAL_MAGIC = 0x02014b50
const END_MAGIC = 0x06054b50
const END64_MAGIC = 0x06064b50
const LOCATOR64_MAGIC = 0x07064b50
const END_BYTES = 22
const END64_BYTES = 56
const LOCATOR64_BYTES = 20
const NONE_16 = 0xffff
const NONE_32 = 0xffffffff
const EXTRA_ZIP64 = 0x0001
const EXTRA_UNICODE_PATH = 0x7075

/** Where the central directory lies. */
export interface ZipDirectory {
  readonly entries: number
  readonly start: number
  readonly end: number
}

/** What the central directory says of an entry. Names are raw bytes. */
export interface ZipRecord {
  readonly name: Buffer
  /** The name in UTF-8, where the raw one is in some other encoding. */
  readonly unicodeName: Buffer | undefined
  /** Which system's attributes these are: 3 Unix, 19 macOS. */
  readonly system: number
  /** Attributes as that system has them. */
  readonly attributes: number
  readonly flags: number
  readonly method: number
  readonly crc: number
  readonly packedSize: number
  readonly size: number
  /** Of the local header. */
  readonly start: number
}

/** What stands in front of an entry's content. */
export interface ZipLocalHeader {
  readonly flags: number
  readonly method: number
  readonly crc: number
  readonly packedSize: number
  readonly size: number
  readonly name: Buffer
}

/**
 * Finds the central directory. Stricter than what is at hand: an archive has one reading only, so nothing may be in front of, between or behind the
 * records of its end.
 * @param tail the last bytes of the archive, {@link LONGEST_END_BYTES} of them if it has so many
 * @throws InputInvalidError
 */
export function findZipDirectory(tail: Buffer, archiveBytes: number): ZipDirectory {
  const tailStart = archiveBytes - tail.length
  const at = lastEndRecord(tail)
  if (at === undefined) throw new InputInvalidError('this is no zip archive, or it is cut off: it has no end record')
  if (at + END_BYTES + tail.readUInt16LE(at + 20) !== tail.length) throw new InputInvalidError('more follows behind the end of the zip archive')
  const end = {
    disk: tail.readUInt16LE(at + 4),
    directoryDisk: tail.readUInt16LE(at + 6),
    entriesHere: tail.readUInt16LE(at + 8),
    entries: tail.readUInt16LE(at + 10),
    bytes: tail.readUInt32LE(at + 12),
    start: tail.readUInt32LE(at + 16),
  }
  const locator = at - LOCATOR64_BYTES
  const isZip64 = locator >= 0 && tail.readUInt32LE(locator) === LOCATOR64_MAGIC
  const found = isZip64 ? zip64End(tail, locator, tailStart, end) : { ...end, follows: tailStart + at }
  if (found.disk !== 0 || found.directoryDisk !== 0 || found.entriesHere !== found.entries)
    throw new InputInvalidError('the zip archive is one of several parts, which cannot be read one by one')
  if (found.start + found.bytes !== found.follows)
    throw new InputInvalidError(
      `the zip archive has its directory elsewhere than it says (${found.start + found.bytes - found.follows} bytes off): it is damaged, or joined with something else`,
    )
  return { entries: found.entries, start: found.start, end: found.follows }
}

interface EndRecord {
  readonly disk: number
  readonly directoryDisk: number
  readonly entriesHere: number
  readonly entries: number
  readonly bytes: number
  readonly start: number
}

function lastEndRecord(tail: Buffer): number | undefined {
  for (let at = tail.length - END_BYTES; at >= 0; at--) if (tail[at] === 0x50 && tail.readUInt32LE(at) === END_MAGIC) return at
  return undefined
}

/** The record for large archives, which must say the same as the small one wherever that says anything. */
function zip64End(tail: Buffer, locator: number, tailStart: number, end: EndRecord): EndRecord & { readonly follows: number } {
  const follows = uint64(tail, locator + 8)
  const at = follows - tailStart
  if (tail.readUInt32LE(locator + 4) !== 0 || at < 0 || at + END64_BYTES > locator || tail.readUInt32LE(at) !== END64_MAGIC)
    throw new InputInvalidError('the zip archive is damaged: its zip64 end record is not where it should be')
  if (at + 12 + uint64(tail, at + 4) !== locator) throw new InputInvalidError('the zip archive is damaged: its zip64 end record has another length')
  const large = {
    disk: tail.readUInt32LE(at + 16),
    directoryDisk: tail.readUInt32LE(at + 20),
    entriesHere: uint64(tail, at + 24),
    entries: uint64(tail, at + 32),
    bytes: uint64(tail, at + 40),
    start: uint64(tail, at + 48),
    follows,
  }
  const agrees =
    (end.entries === NONE_16 || end.entries === large.entries) &&
    (end.bytes === NONE_32 || end.bytes === large.bytes) &&
    (end.start === NONE_32 || end.start === large.start)
  if (!agrees) throw new InputInvalidError('the zip archive is damaged: its two end records contradict each other')
  return large
}

/** Bytes of the central record that begins here, if at least {@link CENTRAL_RECORD_BYTES} are there. @throws InputInvalidError when none does */
export function zipRecordBytes(bytes: Buffer): number {
  if (bytes.length < CENTRAL_RECORD_BYTES || bytes.readUInt32LE(0) !== CENTRAL_MAGIC)
    throw new InputInvalidError('the directory of the zip archive is damaged: a record is not where it should be')
  return CENTRAL_RECORD_BYTES + bytes.readUInt16LE(28) + bytes.readUInt16LE(30) + bytes.readUInt16LE(32)
}

/** Reads a central record, of which all bytes are there. @throws InputInvalidError */
export function parseZipRecord(bytes: Buffer): ZipRecord {
  const nameEnd = CENTRAL_RECORD_BYTES + bytes.readUInt16LE(28)
  const name = bytes.subarray(CENTRAL_RECORD_BYTES, nameEnd)
  const extra = bytes.subarray(nameEnd, nameEnd + bytes.readUInt16LE(30))
  const [size, packedSize, start, disk] = large(
    extra,
    [bytes.readUInt32LE(24), bytes.readUInt32LE(20), bytes.readUInt32LE(42)],
    bytes.readUInt16LE(34),
  )
  if (disk !== 0) throw new InputInvalidError('the zip archive is one of several parts, which cannot be read one by one')
  return {
    // A copy, so that a name does not keep the whole directory in memory.
    name: Buffer.from(name),
    unicodeName: unicodeNameOf(extra, name),
    system: bytes.readUInt8(5),
    attributes: bytes.readUInt32LE(38),
    flags: bytes.readUInt16LE(8),
    method: bytes.readUInt16LE(10),
    crc: bytes.readUInt32LE(16),
    packedSize,
    size,
    start,
  }
}

/** Bytes of the local header that begins here, or undefined when none does. */
export function zipLocalBytes(bytes: Buffer): number | undefined {
  if (bytes.length < LOCAL_HEADER_BYTES || bytes.readUInt32LE(0) !== LOCAL_MAGIC) return undefined
  return LOCAL_HEADER_BYTES + bytes.readUInt16LE(26) + bytes.readUInt16LE(28)
}

/** Reads a local header, of which all bytes are there. @throws InputInvalidError */
export function parseZipLocal(bytes: Buffer): ZipLocalHeader {
  const nameEnd = LOCAL_HEADER_BYTES + bytes.readUInt16LE(26)
  const extra = bytes.subarray(nameEnd, nameEnd + bytes.readUInt16LE(28))
  const flags = bytes.readUInt16LE(6)
  // Numbers that follow the content are zero here, or, in large archives, in the zip64 field.
  const follow = (flags & zipFlag.descriptor) !== 0 && bytes.readUInt32LE(22) === NONE_32
  const [size, packedSize] = follow ? [0, 0] : large(extra, [bytes.readUInt32LE(22), bytes.readUInt32LE(18), 0], 0)
  return {
    flags,
    method: bytes.readUInt16LE(8),
    crc: bytes.readUInt32LE(14),
    packedSize,
    size,
    name: bytes.subarray(LOCAL_HEADER_BYTES, nameEnd),
  }
}

/** Size, packed size, offset and disk; from the zip64 field where a header has no room for them (APPNOTE 4.5.3). */
function large(extra: Buffer, small: readonly [number, number, number], disk: number): [number, number, number, number] {
  const field = extraField(extra, EXTRA_ZIP64)
  let at = 0
  const next = (value: number): number => {
    if (value !== NONE_32) return value
    if (field === undefined || at + 8 > field.length) throw new InputInvalidError('a header of the zip archive is damaged: a zip64 number is missing')
    at += 8
    return uint64(field, at - 8)
  }
  const [size, packedSize, start] = small
  const numbers: [number, number, number] = [next(size), next(packedSize), next(start)]
  if (disk !== NONE_16) return [...numbers, disk]
  return [...numbers, field !== undefined && at + 4 <= field.length ? field.readUInt32LE(at) : disk]
}

/** The UTF-8 name of Info-ZIP, if it belongs to this raw name (APPNOTE 4.6.9). */
function unicodeNameOf(extra: Buffer, name: Buffer): Buffer | undefined {
  const field = extraField(extra, EXTRA_UNICODE_PATH)
  if (field === undefined || field.length < 5 || field[0] !== 1 || field.readUInt32LE(1) !== crc32(name)) return undefined
  return Buffer.from(field.subarray(5))
}

/** The first field with this id. What does not add up in the others is no matter of ours: some programs fill with zeros here. */
function extraField(extra: Buffer, id: number): Buffer | undefined {
  for (let at = 0; at + 4 <= extra.length;) {
    const end = at + 4 + extra.readUInt16LE(at + 2)
    if (end > extra.length) return undefined
    if (extra.readUInt16LE(at) === id) return extra.subarray(at + 4, end)
    at = end
  }
  return undefined
}

/** @throws InputInvalidError for what no file can have */
function uint64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32LE(at + 4) * 2 ** 32 + bytes.readUInt32LE(at)
  if (!Number.isSafeInteger(value)) throw new InputInvalidError('the zip archive is damaged: a number in it is far too large')
  return value
}
