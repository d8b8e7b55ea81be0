import { bytesEqual, isZero, joinBytes } from './bytes.ts'
import { InputInvalidError } from './errors.ts'

/*
 * The headers of tar archives, read. No module of Node's is used here, nor in `tar-reader.ts` and `tar-writer.ts`, so that browsers can.
 */

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

/** pax keyword (of this vendor): SHA-256 of an entry's content as 64 hexadecimal digits, checked when it arrives. */
export const PAX_SHA256 = 'ARTIFACTSTORE.sha256'
/** pax keyword (of this vendor): media type of an entry. */
export const PAX_MEDIA_TYPE = 'ARTIFACTSTORE.mediaType'

const SPACE = 0x20
const NEWLINE = 0x0a
const EQUALS = 0x3d
const USTAR = new TextEncoder().encode('ustar\0')
const GNU = new TextEncoder().encode('ustar  \0')
const SEPARATOR = new TextEncoder().encode('/')
const singleBytes = new TextDecoder('latin1')
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/**
 * Reads a header block (POSIX.1-2017 pax "ustar Interchange Format"; GNU tar manual "Basic Tar Format"; also the older form without a magic).
 * @returns undefined for a block of zeros, the end of an archive
 * @throws InputInvalidError when it is no header
 */
export function parseTarHeader(block: Uint8Array): TarHeader | undefined {
  const sums = checksums(block)
  if (sums === undefined) return undefined
  const expected = octal(block.subarray(148, 156))
  if (expected !== sums.unsigned && expected !== sums.signed)
    throw new InputInvalidError('a header of the archive is damaged: its checksum does not match')
  const posix = bytesEqual(block.subarray(257, 263), USTAR)
  const gnu = bytesEqual(block.subarray(257, 265), GNU)
  const prefix = posix ? text(block, 345, 155) : new Uint8Array(0)
  const name = text(block, 0, 100)
  const flag = block[156] ?? 0
  const type = flag === 0 ? '0' : String.fromCharCode(flag)
  return {
    name: prefix.length === 0 ? name : joinBytes([prefix, SEPARATOR, name]),
    linkName: text(block, 157, 100),
    mode: number(block, 100, 8),
    size: number(block, 124, 12),
    type,
    sparse: gnu && type === 'S' ? { segments: segments(block, 386, 4), extended: block[482] !== 0, realSize: number(block, 483, 12) } : undefined,
  }
}

/** Reads a block that continues an old GNU sparse map. @throws InputInvalidError */
export function parseSparseExtension(block: Uint8Array): { readonly segments: readonly TarSegment[]; readonly extended: boolean } {
  return { segments: segments(block, 0, 21), extended: block[504] !== 0 }
}

/**
 * Reads the records of a pax header: `<length> <keyword>=<value>\n` each. A record that does not add up is an error, as leaving it out would give
 * a file another name.
 * @throws InputInvalidError
 */
export function parsePaxRecords(bytes: Uint8Array): PaxRecords {
  const records = new Map<string, Uint8Array>()
  let start = 0
  while (start < bytes.length) {
    const space = bytes.indexOf(SPACE, start)
    const digits = space === -1 ? '' : asciiOf(bytes.subarray(start, space))
    const end = /^[0-9]{1,10}$/.test(digits) ? start + Number(digits) : -1
    const equals = bytes.indexOf(EQUALS, space)
    if (end <= space + 1 || end > bytes.length || equals === -1 || equals >= end || bytes[end - 1] !== NEWLINE) {
      throw new InputInvalidError('a pax header of the archive is damaged')
    }
    records.set(utf8.decode(bytes.subarray(space + 1, equals)), bytes.subarray(equals + 1, end - 1))
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

/** Bytes as text, one character each; what is not ASCII may become any other character that is not. */
export function asciiOf(bytes: Uint8Array): string {
  return singleBytes.decode(bytes)
}

/** Up to the first NUL. */
function text(block: Uint8Array, start: number, length: number): Uint8Array {
  const field = block.subarray(start, start + length)
  const end = field.indexOf(0)
  return end === -1 ? field : field.subarray(0, end)
}

/** Octal digits; or, if the first bit is set, a big-endian number, which GNU tar uses from 8 GiB on. */
function number(block: Uint8Array, start: number, length: number): number {
  const field = block.subarray(start, start + length)
  const value = ((field[0] ?? 0) & 0x80) === 0 ? octal(field) : binary(field)
  if (value === undefined) throw new InputInvalidError('a header of the archive is damaged: a number in it is none, negative or too large')
  return value
}

/** Digits, blanks and NULs in front of them, anything behind a blank or NUL that ends them; nothing is 0. */
function octal(field: Uint8Array): number | undefined {
  let start = 0
  while (isBlank(field[start])) start++
  let value = 0
  for (const byte of field.subarray(start)) {
    if (isBlank(byte)) break
    if (byte < 0x30 || byte > 0x37) return undefined
    value = value * 8 + byte - 0x30
  }
  return value
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === 0
}

function binary(field: Uint8Array): number | undefined {
  let value = (field[0] ?? 0) & 0x7f
  for (const byte of field.subarray(1)) value = value * 256 + byte
  return Number.isSafeInteger(value) ? value : undefined
}

function segments(block: Uint8Array, start: number, count: number): TarSegment[] {
  const result: TarSegment[] = []
  for (let index = 0; index < count; index++) {
    const at = start + index * 24
    if (block[at] === 0) break
    result.push({ offset: number(block, at, 12), length: number(block, at + 12, 12) })
  }
  return result
}

/** Sums of all bytes with the checksum's own taken as spaces; some old tars summed signed bytes. Undefined if all bytes are zero. */
function checksums(block: Uint8Array): { readonly unsigned: number; readonly signed: number } | undefined {
  let unsigned = 0
  let high = 0
  for (let index = 0; index < TAR_BLOCK; index++) {
    const byte = index >= 148 && index < 156 ? SPACE : (block[index] ?? 0)
    unsigned += byte
    high += byte >> 7
  }
  if (unsigned === 8 * SPACE && isZero(block)) return undefined
  return { unsigned, signed: unsigned - high * 256 }
}
