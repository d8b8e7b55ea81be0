import { joinBytes } from './bytes.ts'
import { PAX_MEDIA_TYPE, PAX_SHA256, TAR_BLOCK } from './tar-header.ts'

/*
 * Writes tar archives in the pax format (POSIX.1-2017, pax "pax Interchange Format"). No module of Node's is used, so that browsers can. A whole archive:
 *
 *     for (const entry of entries) {
 *       yield tarHead(entry)
 *       if (entry.kind === 'file') {
 *         yield* contentOf(entry) // exactly entry.size bytes
 *         yield tarPadding(entry.size)
 *       }
 *     }
 *     yield TAR_END
 */

/** What is written of an entry. Times, owners and other modes are always the same, so that equal trees give equal archives. */
export type TarEntryFacts =
  | {
      readonly kind: 'file'
      readonly path: string
      readonly executable: boolean
      /** Bytes of content. */
      readonly size: number
      /** Told to a reader that knows the vendor's records ({@link PAX_MEDIA_TYPE}); others pass over it. */
      readonly mediaType?: string
      /** SHA-256 of the content, 64 hexadecimal digits, told the same way ({@link PAX_SHA256}). */
      readonly sha256?: string
    }
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'directory'; readonly path: string }

/** The mark at the end of an archive: two blocks of zeros. */
export const TAR_END: Uint8Array = new Uint8Array(2 * TAR_BLOCK)

const TYPES = { file: '0', symlink: '2', directory: '5' } as const
const NAME_BYTES = 100
const PREFIX_BYTES = 155
const LARGEST_OCTAL_SIZE = 0o77777777777
const SLASH = 0x2f
const PADDING = new Uint8Array(TAR_BLOCK)
const encoder = new TextEncoder()

/**
 * Everything in front of an entry's content: its header, and a pax header before that where the plain one cannot say it (names and targets that
 * are long or not ASCII, sizes of 8 GiB and more, the vendor's records).
 */
export function tarHead(entry: TarEntryFacts): Uint8Array {
  const path = encoder.encode(entry.kind === 'directory' ? `${entry.path}/` : entry.path)
  const target = encoder.encode(entry.kind === 'symlink' ? entry.target : '')
  const size = entry.kind === 'file' ? entry.size : 0
  const split = isAscii(path) ? splitAt(path) : undefined
  const targetFits = target.length <= NAME_BYTES && isAscii(target)
  const records = [
    ...(split === undefined ? [paxRecord('path', path)] : []),
    ...(targetFits ? [] : [paxRecord('linkpath', target)]),
    ...(size > LARGEST_OCTAL_SIZE ? [paxRecord('size', encoder.encode(String(size)))] : []),
    ...(entry.kind === 'file' && entry.mediaType !== undefined ? [paxRecord(PAX_MEDIA_TYPE, encoder.encode(entry.mediaType))] : []),
    ...(entry.kind === 'file' && entry.sha256 !== undefined ? [paxRecord(PAX_SHA256, encoder.encode(entry.sha256))] : []),
  ]
  const at = split ?? 0
  const header = headerBlock({
    prefix: path.subarray(0, at),
    name: path.subarray(at === 0 ? 0 : at + 1, (at === 0 ? 0 : at + 1) + NAME_BYTES),
    target: target.subarray(0, NAME_BYTES),
    type: TYPES[entry.kind],
    mode: modeOf(entry),
    size: size > LARGEST_OCTAL_SIZE ? 0 : size,
  })
  return records.length === 0 ? header : joinBytes([paxHeader(records), header])
}

/** The zeros behind the content of a file of this size, up to the next block. */
export function tarPadding(size: number): Uint8Array {
  return PADDING.subarray(0, (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK)
}

function modeOf(entry: TarEntryFacts): number {
  if (entry.kind === 'symlink') return 0o777
  return entry.kind === 'directory' || entry.executable ? 0o755 : 0o644
}

/** Where a path is cut into prefix and name, 0 when it need not be, undefined when it is too long for both. */
function splitAt(path: Uint8Array): number | undefined {
  if (path.length <= NAME_BYTES) return 0
  // The last slash of a directory belongs to its name.
  const from = Math.min(PREFIX_BYTES, path.length - 2)
  const slash = path.lastIndexOf(SLASH, from)
  return slash > 0 && path.length - slash - 1 <= NAME_BYTES ? slash : undefined
}

function isAscii(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte > 0x7f) return false
  return true
}

/** `<length> <keyword>=<value>\n`, the length in bytes and its own digits included. */
function paxRecord(keyword: string, value: Uint8Array): Uint8Array {
  const rest = joinBytes([encoder.encode(` ${keyword}=`), value, encoder.encode('\n')])
  let length = rest.length + 1
  while (String(length).length + rest.length !== length) length++
  return joinBytes([encoder.encode(String(length)), rest])
}

function paxHeader(records: readonly Uint8Array[]): Uint8Array {
  const content = joinBytes(records)
  const name = encoder.encode('PaxHeader')
  const header = headerBlock({ prefix: new Uint8Array(0), name, target: new Uint8Array(0), type: 'x', mode: 0o644, size: content.length })
  return joinBytes([header, content, tarPadding(content.length)])
}

interface HeaderFields {
  readonly prefix: Uint8Array
  readonly name: Uint8Array
  readonly target: Uint8Array
  readonly type: string
  readonly mode: number
  readonly size: number
}

function headerBlock({ prefix, name, target, type, mode, size }: HeaderFields): Uint8Array {
  const block = new Uint8Array(TAR_BLOCK)
  const put = (text: string, at: number): void => void encoder.encodeInto(text, block.subarray(at))
  block.set(name, 0)
  put(`${octal(mode, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0${octal(size, 11)}\0${octal(0, 11)}\0        ${type}`, 100)
  block.set(target, 157)
  put('ustar\x0000', 257)
  put(`${octal(0, 7)}\0${octal(0, 7)}\0`, 329)
  block.set(prefix, 345)
  let sum = 0
  for (const byte of block) sum += byte
  put(`${octal(sum, 6)}\0 `, 148)
  return block
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0')
}
