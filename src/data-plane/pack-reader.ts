import { crc32 } from 'node:zlib'
import { ObjectMissingError, PackCorruptError } from '../core/errors.ts'
import type { Backend, ObjectKey } from '../ports/backend.ts'
import { ObjectCursor, readRange } from './object-range.ts'
import { decodeContents } from './pack-contents.ts'
import {
  checkFileHeader,
  decodeFooter,
  ENTRY_HEADER_BYTES,
  ENTRY_KIND,
  ENTRY_MAGIC,
  EntryCodec,
  FILE_HEADER_BYTES,
  FOOTER_BYTES,
  objectIdOf,
  uuidBytes,
  view,
} from './pack-format.ts'
import type { PackEntry } from './pack-format.ts'
import { decodePayload } from './payload.ts'

/**
 * What a pack is made of, in the order of the offsets. `start` (inclusive) and `end` (exclusive) are offsets in the pack.
 * - `entry`: one that is whole; its payload decoded and checked if it was wanted. The table of contents is not among them.
 * - `damage`: a range that cannot be understood, and the entry in it if its header or the table of contents still tells.
 * - `tail`: what lies behind the last entry of a pack without a footer. Bytes that were never acknowledged (a torn tail) and damage look the same;
 *   whoever knows the highest offset that is named can tell.
 */
export type PackPart =
  | { readonly kind: 'entry'; readonly entry: PackEntry; readonly payload?: Uint8Array }
  | { readonly kind: 'damage'; readonly start: number; readonly end: number; readonly reason: PackCorruptError; readonly entry?: PackEntry }
  | { readonly kind: 'tail'; readonly start: number; readonly end: number }

/** How to read a pack. */
export interface PackReading {
  /** UUID of the store that must have written it. */
  readonly storeId: string
  /** Which payloads to read. Default: none. */
  readonly wants?: (entry: PackEntry) => boolean
  /** Reads every byte although there is a table of contents, so that every damage is found. */
  readonly scan?: boolean
}

/**
 * Reads a pack: by its table of contents where there is a valid one, else from one entry to the next; after damage it goes on at the next valid
 * header. Holds at most one payload and one piece in memory.
 * @throws ObjectMissingError; StoreMismatchError when it is another's pack; VersionUnsupportedError; BackendFailedError. Damage is never thrown.
 */
export async function* readPack(backend: Backend, key: ObjectKey, reading: PackReading): AsyncGenerator<PackPart, void, undefined> {
  const info = await backend.head(key)
  if (info === undefined) throw new ObjectMissingError(`there is no object ${key}`)
  const pack: Pack = { backend, key, size: info.size, objectId: objectIdOf(key), wants: reading.wants ?? (() => false) }
  const headerProblem = await fileHeaderProblem(pack, uuidBytes(reading.storeId))
  if (headerProblem !== undefined && info.size >= FILE_HEADER_BYTES) {
    yield { kind: 'damage', start: 0, end: FILE_HEADER_BYTES, reason: headerProblem }
  }
  const ending = await readEnding(pack)
  const listing = ending?.contents
  if (listing !== undefined && reading.scan !== true) yield* listed(pack, listing)
  else yield* scanned(pack, ending?.start ?? pack.size, ending !== undefined)
  if (ending?.problem !== undefined) yield { kind: 'damage', start: ending.start, end: pack.size, reason: ending.problem }
}

interface Pack {
  readonly backend: Backend
  readonly key: ObjectKey
  readonly size: number
  readonly objectId: Uint8Array
  readonly wants: (entry: PackEntry) => boolean
}

async function fileHeaderProblem(pack: Pack, storeId: Uint8Array): Promise<PackCorruptError | undefined> {
  try {
    checkFileHeader(await readRange(pack.backend, pack.key, 0, FILE_HEADER_BYTES), { storeId, objectId: pack.objectId })
    return undefined
  } catch (error) {
    if (error instanceof PackCorruptError) return error
    throw error
  }
}

/** The last part of a sealed pack: where it starts, and what it lists or why it cannot be used. */
interface Ending {
  readonly start: number
  readonly contents?: readonly PackEntry[]
  readonly problem?: PackCorruptError
}

/** @returns undefined when the pack is not sealed, or its footer is damaged */
async function readEnding(pack: Pack): Promise<Ending | undefined> {
  const end = pack.size - FOOTER_BYTES
  if (end < FILE_HEADER_BYTES + ENTRY_HEADER_BYTES) return undefined
  const footer = decodeFooter(await readRange(pack.backend, pack.key, end, pack.size), pack.objectId)
  if (footer === undefined) return undefined
  const start = footer.contentsStart
  if (start < FILE_HEADER_BYTES || start > end - ENTRY_HEADER_BYTES) return { start: end, problem: new PackCorruptError('the footer points nowhere') }
  try {
    const header = await readRange(pack.backend, pack.key, start, start + ENTRY_HEADER_BYTES)
    const entry = new EntryCodec(pack.objectId).decode(header, start)
    if (entry.kind !== ENTRY_KIND.contents || entry.offset + entry.storedLength !== end) {
      throw new PackCorruptError('the footer points to no table of contents')
    }
    const contents = decodeContents(decodePayload(entry, await readRange(pack.backend, pack.key, entry.offset, end)), start)
    if (contents.length !== footer.entries) throw new PackCorruptError('footer and table of contents differ')
    return { start, contents }
  } catch (error) {
    if (error instanceof PackCorruptError) return { start, problem: error }
    throw error
  }
}

async function* listed(pack: Pack, entries: readonly PackEntry[]): AsyncGenerator<PackPart> {
  const codec = new EntryCodec(pack.objectId)
  for (const entry of entries) {
    if (!pack.wants(entry)) {
      yield { kind: 'entry', entry }
      continue
    }
    const start = entry.offset - ENTRY_HEADER_BYTES
    const bytes = await readRange(pack.backend, pack.key, start, entry.offset + entry.storedLength)
    yield understood(entry, () => {
      assertSame(codec.decode(bytes, start), entry)
      return decodePayload(entry, bytes.subarray(ENTRY_HEADER_BYTES))
    })
  }
}

function assertSame(found: PackEntry, listedEntry: PackEntry): void {
  const sameForm = found.kind === listedEntry.kind && found.codec === listedEntry.codec && found.keyId === listedEntry.keyId
  const sameLengths = found.rawLength === listedEntry.rawLength && found.storedLength === listedEntry.storedLength
  if (sameForm && sameLengths && found.payloadCrc === listedEntry.payloadCrc && view(found.digest).equals(listedEntry.digest)) return
  throw new PackCorruptError('an entry is not what the table of contents says', { detail: { offset: found.offset } })
}

/**
 * @param end where the entries end at the latest
 * @param sealed whether `end` is known from a footer, so that nothing before it can be a torn tail
 */
async function* scanned(pack: Pack, end: number, sealed: boolean): AsyncGenerator<PackPart> {
  const cursor = new ObjectCursor(pack.backend, pack.key)
  const codec = new EntryCodec(pack.objectId)
  let position = end < FILE_HEADER_BYTES ? 0 : FILE_HEADER_BYTES
  let lost: { readonly start: number; readonly reason: PackCorruptError } | undefined
  let closed = sealed
  try {
    while (position < end) {
      const header = headerAt(codec, await cursor.peek(position, ENTRY_HEADER_BYTES), position, end)
      if (header instanceof PackCorruptError) {
        lost ??= { start: position, reason: header }
        position = await nextMagic(cursor, position + 1, end)
        continue
      }
      if (lost !== undefined) yield { kind: 'damage', start: lost.start, end: position, reason: lost.reason }
      lost = undefined
      const bytes = await cursor.peek(position, ENTRY_HEADER_BYTES + header.storedLength)
      const part = scannedPart(pack, header, bytes.subarray(ENTRY_HEADER_BYTES, ENTRY_HEADER_BYTES + header.storedLength))
      if (header.kind !== ENTRY_KIND.contents || part.kind === 'damage') yield part
      closed ||= header.kind === ENTRY_KIND.contents
      position = header.offset + header.storedLength
    }
  } finally {
    await cursor.close()
  }
  if (lost === undefined) return
  // Behind a table of contents nothing is ever appended: what is there was the footer.
  yield closed ? { kind: 'damage', start: lost.start, end, reason: lost.reason } : { kind: 'tail', start: lost.start, end }
}

function headerAt(codec: EntryCodec, bytes: Uint8Array, position: number, end: number): PackEntry | PackCorruptError {
  try {
    const entry = codec.decode(bytes.subarray(0, ENTRY_HEADER_BYTES), position)
    return entry.offset + entry.storedLength <= end ? entry : new PackCorruptError('an entry is cut short', { detail: { offset: position } })
  } catch (error) {
    if (error instanceof PackCorruptError) return error
    throw error
  }
}

function scannedPart(pack: Pack, entry: PackEntry, stored: Uint8Array): PackPart {
  if (pack.wants(entry)) return understood(entry, () => decodePayload(entry, stored))
  if (stored.length === entry.storedLength && crc32(stored) === entry.payloadCrc) return { kind: 'entry', entry }
  return damagedPart(entry, new PackCorruptError('the payload of an entry is damaged', { detail: { offset: entry.offset } }))
}

function understood(entry: PackEntry, payload: () => Uint8Array): PackPart {
  try {
    return { kind: 'entry', entry, payload: payload() }
  } catch (error) {
    if (error instanceof PackCorruptError) return damagedPart(entry, error)
    throw error
  }
}

function damagedPart(entry: PackEntry, reason: PackCorruptError): PackPart {
  return { kind: 'damage', start: entry.offset - ENTRY_HEADER_BYTES, end: entry.offset + entry.storedLength, reason, entry }
}

/** Where the next magic of an entry starts, from `position` on; `end` when there is none. */
async function nextMagic(cursor: ObjectCursor, position: number, end: number): Promise<number> {
  for (let from = position; from < end;) {
    const bytes = view(await cursor.peek(from, ENTRY_MAGIC.length))
    if (bytes.length < ENTRY_MAGIC.length) return end
    const found = bytes.indexOf(ENTRY_MAGIC)
    if (found >= 0) return Math.min(from + found, end)
    from += bytes.length - (ENTRY_MAGIC.length - 1)
  }
  return end
}
