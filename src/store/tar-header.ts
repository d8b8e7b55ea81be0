import { InputInvalidError } from '../core/errors.ts'

/** Everything in a tar archive is laid out in blocks of this many bytes. */
export const TAR_BLOCK: number = 512

/** One header block, as written. Names are raw bytes, as tar knows no encoding. */
export interface TarHeader {
  readonly name: Uint8Array
  readonly linkName: Uint8Array
  readonly mode: number
  /** Bytes of data that follow, without padding. */
  readonly size: number
  /** The type flag as one character; NUL is given as `0`. */
  readonly type: string
  /** Of the old GNU sparse format (type `S`); undefined otherwise. */
  readonly sparse: TarSparseHeader | undefined
}

/** Where the data of a sparse file belongs: `length` bytes at `offset`, ascending; everything else is zeros. */
export interface TarSegment {
  readonly offset: number
  readonly length: number
}

/** The beginning of an old GNU sparse map. */
export interface TarSparseHeader {
  readonly segments: readonly TarSegment[]
  /** Whether a block with more of the map follows. */
  readonly extended: boolean
  /** Bytes of the whole file, zeros included. */
  readonly realSize: number
}

/** What a pax header says, by keyword. Values are raw bytes. */
export type PaxRecords = ReadonlyMap<string, Uint8Array>

const SPACE = 0x20
const NEWLINE = 0x0a
const EQUALS = 0x3d
const USTAR = Buffer.from('ustar\0')
const GNU = Buffer.from('ustar  \0')

/**
 * Reads a header block (POSIX.1-2017 pax "ustar Interchange Format"; GNU tar manual "Basic Tar Format"; also the older form without a magic).
 * @returns undefined for a block of zeros, the end of an archive
 * @throws InputInvalidError when it is no header
 */
export function parseTarHeader(block: Buffer): TarHeader | undefined {
  const sums = checksums(block)
  if (sums === undefined) return undefined
  const expected = octal(block.subarray(148, 156))
  if (expected !== sums.unsigned && expected !== sums.signed)
    throw new InputInvalidError('a header of the archive is damaged: its checksum does not match')
  const posix = block.subarray(257, 263).equals(USTAR)
  const gnu = block.subarray(257, 265).equals(GNU)
  const prefix = posix ? text(block, 345, 155) : Buffer.alloc(0)
  const name = text(block, 0, 100)
  const flag = block[156] ?? 0
  const type = flag === 0 ? '0' : String.fromCharCode(flag)
  return {
    name: prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]),
    linkName: text(block, 157, 100),
    mode: number(block, 100, 8),
    size: number(block, 124, 12),
    type,
    sparse: gnu && type === 'S' ? { segments: segments(block, 386, 4), extended: block[482] !== 0, realSize: number(block, 483, 12) } : undefined,
  }
}

/** Reads a block that continues an old GNU sparse map. @throws InputInvalidError */
export function parseSparseExtension(block: Buffer): { readonly segments: readonly TarSegment[]; readonly extended: boolean } {
  return { segments: segments(block, 0, 21), extended: block[504] !== 0 }
}

/**
 * Reads the records of a pax header: `<length> <keyword>=<value>\n` each. A record that does not add up is an error, as leaving it out would give
 * a file another name.
 * @throws InputInvalidError
 */
export function parsePaxRecords(bytes: Buffer): PaxRecords {
  const records = new Map<string, Uint8Array>()
  let start = 0
  while (start < bytes.length) {
    const space = bytes.indexOf(SPACE, start)
    const digits = space === -1 ? '' : bytes.toString('latin1', start, space)
    const end = /^[0-9]{1,10}$/.test(digits) ? start + Number(digits) : -1
    const equals = bytes.indexOf(EQUALS, space)
    if (end <= space + 1 || end > bytes.length || equals === -1 || equals >= end || bytes[end - 1] !== NEWLINE) {
      throw new InputInvalidError('a pax header of the archive is damaged')
    }
    records.set(bytes.toString('utf8', space + 1, equals), bytes.subarray(equals + 1, end - 1))
    start = end
  }
  return records
}

/** Reads a decimal number of a pax header or sparse map. @throws InputInvalidError */
export function decimal(digits: string): number {
  const value = Number(digits)
  if (!/^[0-9]{1,16}$/.test(digits) || !Number.isSafeInteger(value))
    throw new InputInvalidError(`the archive holds "${digits.slice(0, 40)}" where a number belongs`)
  return value
}

/** Up to the first NUL. */
function text(block: Buffer, start: number, length: number): Buffer {
  const field = block.subarray(start, start + length)
  const end = field.indexOf(0)
  return end === -1 ? field : field.subarray(0, end)
}

/** Octal digits; or, if the first bit is set, a big-endian number, which GNU tar uses from 8 GiB on. */
function number(block: Buffer, start: number, length: number): number {
  const field = block.subarray(start, start + length)
  const value = ((field[0] ?? 0) & 0x80) === 0 ? octal(field) : binary(field)
  if (value === undefined) throw new InputInvalidError('a header of the archive is damaged: a number in it is none, negative or too large')
  return value
}

/** Digits among blanks and NULs; nothing is 0. */
function octal(field: Buffer): number | undefined {
  const digits = field.toString('latin1').replace(/^[ \0]+|[ \0].*$/gs, '')
  if (!/^[0-7]*$/.test(digits)) return undefined
  return digits === '' ? 0 : Number.parseInt(digits, 8)
}

function binary(field: Buffer): number | undefined {
  let value = (field[0] ?? 0) & 0x7f
  for (const byte of field.subarray(1)) value = value * 256 + byte
  return Number.isSafeInteger(value) ? value : undefined
}

function segments(block: Buffer, start: number, count: number): TarSegment[] {
  const result: TarSegment[] = []
  for (let index = 0; index < count; index++) {
    const at = start + index * 24
    if (block[at] === 0) break
    result.push({ offset: number(block, at, 12), length: number(block, at + 12, 12) })
  }
  return result
}

/** Sums of all bytes with the checksum's own taken as spaces; some old tars summed signed bytes. Undefined if all bytes are zero. */
function checksums(block: Buffer): { readonly unsigned: number; readonly signed: number } | undefined {
  let unsigned = 0
  let high = 0
  for (let index = 0; index < TAR_BLOCK; index++) {
    const byte = index >= 148 && index < 156 ? SPACE : (block[index] ?? 0)
    unsigned += byte
    high += byte >> 7
  }
  if (unsigned === 8 * SPACE && block.every((byte) => byte === 0)) return undefined
  return { unsigned, signed: unsigned - high * 256 }
}
