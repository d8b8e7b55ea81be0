import { crc32, createInflateRaw, inflateRawSync } from 'node:zlib'
import { type ArchiveEntry, type ArchiveEntryKind, DamagedEntryError } from '../core/archive-entry.ts'
import { InputInvalidError, LimitExceededError, type StoreError } from '../core/errors.ts'
import { displayBytes } from '../core/path.ts'
import type { SpoolFile } from './spool-file.ts'
import { transformed } from './transformed.ts'
import {
  CENTRAL_RECORD_BYTES,
  findZipDirectory,
  LOCAL_HEADER_BYTES,
  LONGEST_END_BYTES,
  parseZipLocal,
  parseZipRecord,
  zipFlag,
  type ZipLocalHeader,
  zipLocalBytes,
  zipMethod,
  type ZipRecord,
  zipRecordBytes,
} from './zip-header.ts'

/** What an archive may ask for. */
export interface ZipLimits {
  readonly entries: number
  /** Most bytes of content, as the archive declares them. */
  readonly contentBytes: number
}

const PIECE_BYTES = 1 << 20
/** Content up to this size is decompressed at once: cheaper than a stream, and short enough for the event loop. */
const AT_ONCE_BYTES = 128 * 1024
/** Longer targets are refused anyhow. */
const LONGEST_TARGET = 8 * 1024
const SLASH = 0x2f
const BACKSLASH = 0x5c
/** `st_mode` of Unix, in the upper half of the attributes. */
const TYPE_BITS = 0o170000
const TYPES: Readonly<Record<number, ArchiveEntryKind>> = { 0o100000: 'file', 0o040000: 'directory', 0o120000: 'symlink' }
const OTHER_TYPES: Readonly<Record<number, string>> = {
  0o010000: 'a FIFO',
  0o020000: 'a character device',
  0o060000: 'a block device',
  0o140000: 'a socket',
}
const UNIX_SYSTEMS: readonly number[] = [3, 19]
const DOS_DIRECTORY = 0x10
const UNREADABLE_FLAGS = zipFlag.encrypted | zipFlag.strongEncryption | zipFlag.masked

/**
 * Reads a zip archive by its central directory, in the order in which the entries lie. Stricter than what is at hand (yauzl 3.4 was tried: it ends at the
 * first entry that it does not like, and neither compares local headers nor sees entries that overlap), because an archive may be refused here but never
 * stored as something that another program would not find in it: what the directory says must be what stands in front of the content, no byte
 * belongs to two entries, and sizes and checksums must be true.
 * @throws InputInvalidError when the archive cannot be understood; LimitExceededError
 */
export async function* readZip(file: SpoolFile, limits: ZipLimits): AsyncGenerator<ArchiveEntry, void, undefined> {
  const tailBytes = Math.min(file.size, LONGEST_END_BYTES)
  const directory = findZipDirectory(await file.read(file.size - tailBytes, tailBytes), file.size)
  if (directory.entries > limits.entries) throw new LimitExceededError(`the archive has more than ${limits.entries} entries`)
  const records = await readDirectory(file, directory)
  const declared = records.reduce((sum, { size }) => sum + size, 0)
  if (declared > limits.contentBytes)
    throw new LimitExceededError(`the entries of the archive have ${declared} bytes together; ${limits.contentBytes} are allowed for its size`)
  for (const [position, record] of records.entries()) {
    yield await openEntry(file, record, records[position + 1]?.start ?? directory.start)
  }
}

async function readDirectory(
  file: SpoolFile,
  directory: { readonly entries: number; readonly start: number; readonly end: number },
): Promise<ZipRecord[]> {
  const records: ZipRecord[] = []
  let at = directory.start
  while (at < directory.end) {
    const bytes = zipRecordBytes(await file.read(at, Math.min(CENTRAL_RECORD_BYTES, directory.end - at)))
    if (at + bytes > directory.end || records.length === directory.entries) break
    records.push(parseZipRecord(await file.read(at, bytes)))
    at += bytes
  }
  if (at !== directory.end || records.length !== directory.entries)
    throw new InputInvalidError('the directory of the zip archive is damaged: it has another number of entries than it says')
  return records.sort((left, right) => left.start - right.start)
}

/** @param limit where the next entry, or the directory, begins */
async function openEntry(file: SpoolFile, record: ZipRecord, limit: number): Promise<ArchiveEntry> {
  const header = await readLocal(file, record, limit)
  const { kind, mode, problem: typeProblem } = typeOf(record)
  const recordProblem = problemOf(record) ?? typeProblem ?? (typeof header === 'string' ? header : undefined)
  const dataStart = typeof header === 'string' ? 0 : header.dataStart
  const link = kind === 'symlink' && recordProblem === undefined ? await readTarget(file, record, dataStart) : {}
  const problem = recordProblem ?? link.problem
  let asked = false
  return {
    kind,
    name: nameOf(record),
    linkName: link.target ?? new Uint8Array(0),
    size: kind === 'file' ? record.size : 0,
    mode,
    mediaType: undefined,
    sha256: undefined,
    problem,
    async *content() {
      if (asked || problem !== undefined) throw new Error('the content of an archive entry was asked for twice, or in spite of its problem')
      asked = true
      yield* checkedContent(file, record, dataStart)
    },
  }
}

function nameOf({ name, unicodeName, flags }: ZipRecord): Uint8Array {
  return (flags & zipFlag.utf8) === 0 && unicodeName !== undefined ? unicodeName : name
}

/** What makes an entry unreadable, as far as its record tells. */
function problemOf(record: ZipRecord): string | undefined {
  const { flags, method, size, packedSize, system } = record
  if ((flags & UNREADABLE_FLAGS) !== 0) return 'is encrypted'
  if ((flags & zipFlag.patch) !== 0) return 'is a patch of something else'
  if (method !== zipMethod.stored && method !== zipMethod.deflated) return `is compressed by method ${method}, which is not read (0 and 8 are)`
  if (method === zipMethod.stored && size !== packedSize) return 'is stored as it is, but with another size'
  // Where folders are separated by it, programs disagree on what such a name means.
  if (!UNIX_SYSTEMS.includes(system) && nameOf(record).includes(BACKSLASH)) return 'has a backslash in its name, and was not packed on Unix'
  return undefined
}

function typeOf(record: ZipRecord): { readonly kind: ArchiveEntryKind; readonly mode: number; readonly problem?: string } {
  const isNamedDirectory = record.name.at(-1) === SLASH
  const isUnix = UNIX_SYSTEMS.includes(record.system)
  const mode = isUnix ? record.attributes >>> 16 : 0o644
  const type = isUnix ? mode & TYPE_BITS : 0
  const isMarkedDirectory = !isUnix && (record.attributes & DOS_DIRECTORY) !== 0
  const kind = type === 0 ? (isNamedDirectory || isMarkedDirectory ? 'directory' : 'file') : (TYPES[type] ?? 'other')
  if (kind === 'other') return { kind, mode, problem: `is ${OTHER_TYPES[type] ?? 'of an unknown type'}, which a package cannot hold` }
  if (isNamedDirectory && kind !== 'directory') return { kind, mode, problem: 'is named as a directory but is none' }
  if (kind === 'directory' && record.size > 0) return { kind, mode, problem: 'is no file but has content' }
  return { kind, mode }
}

/** Compares what stands in front of the content with the record. @returns where the content begins, or what is wrong */
async function readLocal(file: SpoolFile, record: ZipRecord, limit: number): Promise<{ readonly dataStart: number } | string> {
  const bytes = zipLocalBytes(await file.read(record.start, LOCAL_HEADER_BYTES))
  if (bytes === undefined) return 'is not where the directory of the archive says'
  const dataStart = record.start + bytes
  if (dataStart + record.packedSize > limit) return 'shares bytes with another entry, or with the directory of the archive'
  const local = parseZipLocal(await file.read(record.start, bytes))
  if (!local.name.equals(record.name)) return `is called "${displayBytes(local.name)}" in front of its content`
  if (!isSame(local, record)) return 'is described differently in the directory of the archive and in front of its content'
  return { dataStart }
}

function isSame(local: ZipLocalHeader, record: ZipRecord): boolean {
  if (local.method !== record.method || ((local.flags ^ record.flags) & UNREADABLE_FLAGS) !== 0) return false
  const hasDescriptor = (local.flags & zipFlag.descriptor) !== 0
  // What was not known yet when the header was written follows the content.
  const agrees = (said: number, value: number): boolean => said === value || (hasDescriptor && said === 0)
  return agrees(local.crc, record.crc) && agrees(local.packedSize, record.packedSize) && agrees(local.size, record.size)
}

async function readTarget(
  file: SpoolFile,
  record: ZipRecord,
  dataStart: number,
): Promise<{ readonly target?: Uint8Array; readonly problem?: string }> {
  if (record.size > LONGEST_TARGET) return { problem: `is a link with a target of ${record.size} bytes` }
  try {
    return { target: Buffer.concat(await Array.fromAsync(checkedContent(file, record, dataStart))) }
  } catch (error) {
    if (error instanceof DamagedEntryError) return { problem: error.message }
    throw error
  }
}

/** @throws DamagedEntryError when the content is not what the record says */
async function* checkedContent(file: SpoolFile, record: ZipRecord, dataStart: number): AsyncGenerator<Uint8Array, void, undefined> {
  const { size, packedSize, method, crc } = record
  const pieces =
    method === zipMethod.stored
      ? storedPieces(file, dataStart, packedSize)
      : size <= AT_ONCE_BYTES && packedSize <= AT_ONCE_BYTES
        ? inflatedAtOnce(await file.read(dataStart, packedSize), size)
        : inflated(file, dataStart, record)
  let length = 0
  let sum = 0
  for await (const piece of pieces) {
    length += piece.length
    if (length > size) throw new DamagedEntryError(`is longer than the ${size} bytes that the archive says`)
    sum = crc32(piece, sum)
    yield piece
  }
  if (length !== size) throw new DamagedEntryError(`has ${length} bytes, not the ${size} that the archive says`)
  if (sum !== crc) throw new DamagedEntryError('is damaged: its checksum does not match')
}

async function* storedPieces(file: SpoolFile, start: number, length: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let done = 0; done < length;) {
    const piece = await file.read(start + done, Math.min(length - done, PIECE_BYTES))
    if (piece.length === 0) throw new DamagedEntryError('is cut off')
    done += piece.length
    yield piece
  }
}

function* inflatedAtOnce(packed: Buffer, size: number): Generator<Uint8Array, void, undefined> {
  // Sound: with `info`, a pair comes back (zlib documentation, "Class: Options").
  const inflate = inflateRawSync as unknown as (
    bytes: Buffer,
    options: { readonly info: true; readonly maxOutputLength: number },
  ) => { readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } }
  let result: ReturnType<typeof inflate>
  try {
    result = inflate(packed, { info: true, maxOutputLength: Math.max(size, 1) })
  } catch (cause) {
    throw new DamagedEntryError('is damaged: it cannot be decompressed', { cause })
  }
  if (result.engine.bytesWritten !== packed.length) throw new DamagedEntryError('has something behind its compressed content')
  if (result.buffer.length > 0) yield result.buffer
}

async function* inflated(file: SpoolFile, start: number, { packedSize }: ZipRecord): AsyncGenerator<Uint8Array, void, undefined> {
  const inflate = createInflateRaw({ chunkSize: 256 * 1024 })
  const failure = (cause: unknown): StoreError => new DamagedEntryError('is damaged: it cannot be decompressed', { cause })
  yield* transformed(storedPieces(file, start, packedSize), inflate, failure)
  if (inflate.bytesWritten !== packedSize) throw new DamagedEntryError('has something behind its compressed content')
}
