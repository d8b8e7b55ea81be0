import { Buffer } from 'node:buffer'
import { sha256Digest } from '../core/digest.ts'
import { DamagedError, ObjectMissingError, PackCorruptError, VersionUnsupportedError } from '../core/errors.ts'
import type { Backend, ObjectKey } from '../ports/backend.ts'
import type { Codec, MovedEntry, PackContents, PackedEntry } from '../ports/data-plane.ts'
import { abortedError } from '../ports/source.ts'
import { runAhead } from './ahead.ts'
import type { FileThreads } from './file-threads.ts'
import { free } from './memory.ts'
import { readRange } from './object-range.ts'
import type { NewEntry } from './pack-builder.ts'
import { CODEC, ENTRY_HEADER_BYTES, ENTRY_KIND, EntryCodec, objectIdOf, type PackEntry } from './pack-format.ts'
import { readPack } from './pack-reader.ts'
import { decodePlacement } from './pack-records.ts'
import type { PackSink } from './pack-writer.ts'
import { decodePayload } from './payload.ts'

/** What compaction works with. */
export interface CompactionContext {
  readonly backend: Backend
  readonly storeId: string
  readonly sink: PackSink
  readonly threads: FileThreads
}

/** Neighbours are read together up to this many bytes, over gaps up to that many. */
const GROUP_BYTES = 1024 * 1024
const GAP_BYTES = 128 * 1024
/** Groups that are read and checked ahead. Each is as long as this, or as its only entry. */
const AHEAD = 3
/** Copies are flushed together. */
const FLUSH_BYTES = 32 * 1024 * 1024
const FLUSH_ENTRIES = 4_096

/** Kinds and codecs that can be moved; anything else is a newer release's, and must not be lost by an older one. */
const kinds: Readonly<Record<number, PackedEntry['kind']>> = {
  [ENTRY_KIND.chunk]: 'chunk',
  [ENTRY_KIND.manifest]: 'manifest',
  [ENTRY_KIND.placement]: 'placement',
  [ENTRY_KIND.recipe]: 'recipe',
}
const codecs: Readonly<Record<number, Codec>> = { [CODEC.raw]: 'raw', [CODEC.zstd]: 'zstd' }

/** Lists what is in a pack; see `DataPlane.contents`. */
export async function readContents({ backend, storeId }: CompactionContext, key: ObjectKey): Promise<PackContents> {
  const info = await backend.head(key)
  if (info === undefined) throw new ObjectMissingError(`there is no object ${key}`)
  const entries: PackedEntry[] = []
  const damage: { start: number; end: number }[] = []
  let end = 0
  let hasTail = false
  for await (const part of readPack(backend, key, { storeId, wants: ({ kind }) => kind === ENTRY_KIND.placement })) {
    if (part.kind === 'entry') {
      entries.push(packedEntry(key, part.entry, part.payload))
      end = part.entry.offset + part.entry.storedLength
    } else if (part.kind === 'damage') damage.push({ start: part.start, end: part.end })
    else hasTail = true
  }
  // Without a table of contents the entries are what counts; behind the last one a writer that was taken for dead may still add to the object.
  const isComplete = !hasTail && damage.length === 0 && end + ENTRY_HEADER_BYTES < info.size
  return { size: isComplete ? info.size : end, isComplete, entries, damage }
}

function packedEntry(key: ObjectKey, entry: PackEntry, payload: Uint8Array | undefined): PackedEntry {
  const kind = kinds[entry.kind]
  const codec = codecs[entry.codec]
  if (kind === undefined || codec === undefined || entry.keyId !== 0) {
    throw new VersionUnsupportedError(`pack ${key} holds an entry of a kind that this release does not know; it is left as it is`, {
      detail: { key, kind: entry.kind, codec: entry.codec },
    })
  }
  const { digest, offset, storedLength, rawLength: size } = entry
  const packed = { kind, digest, size, offset, storedLength, codec }
  return kind === 'placement' && payload !== undefined ? { ...packed, object: decodePlacement(payload).key } : packed
}

interface Group {
  readonly start: number
  end: number
  readonly entries: PackedEntry[]
}

/** Copies entries into packs of this writer; see `DataPlane.compact`. */
export async function* compactEntries(
  context: CompactionContext,
  key: ObjectKey,
  entries: readonly PackedEntry[],
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly MovedEntry[], void, undefined> {
  const { sink } = context
  let moved: MovedEntry[] = []
  let packs = new Set<number>()
  let bytes = 0
  /** What is flushed while more is read. */
  let flushing: Promise<readonly MovedEntry[]> | undefined
  const flush = (): Promise<readonly MovedEntry[]> => {
    const durable = moved
    const flushed = sink.flush(packs).then(() => durable)
    moved = []
    packs = new Set()
    bytes = 0
    // Whether it failed is asked when it is its turn.
    flushed.catch(() => undefined)
    return flushed
  }
  for await (const { group, stored, found } of runAhead(groupsOf(entries), AHEAD, (group) => readGroup(context, key, group))) {
    if (signal?.aborted === true) throw abortedError(signal)
    const places = await sink.append(found)
    for (const [position, { objectId, offset }] of places.entries()) {
      const entry = group.entries[position]
      if (entry === undefined) continue
      packs.add(objectId)
      moved.push({ entry, placement: { objectId, kind: 'pack', offset, storedLength: entry.storedLength, codec: entry.codec } })
    }
    bytes += found.reduce((sum, entry) => sum + entry.stored.length, 0)
    free(stored)
    if (bytes < FLUSH_BYTES && moved.length < FLUSH_ENTRIES) continue
    const before = flushing
    flushing = flush()
    if (before !== undefined) yield await before
  }
  if (flushing !== undefined) yield await flushing
  if (moved.length > 0) yield await flush()
}

function* groupsOf(entries: readonly PackedEntry[]): Generator<Group> {
  let group: Group | undefined
  for (const entry of entries.toSorted((left, right) => left.offset - right.offset)) {
    const start = entry.offset - ENTRY_HEADER_BYTES
    const end = entry.offset + entry.storedLength
    if (group !== undefined && start - group.end <= GAP_BYTES && end - group.start <= GROUP_BYTES) {
      group.entries.push(entry)
      group.end = end
      continue
    }
    if (group !== undefined) yield group
    group = { start, end, entries: [entry] }
  }
  if (group !== undefined) yield group
}

interface ReadGroup {
  readonly group: Group
  readonly stored: Uint8Array
  /** The entries as they are to be written again. */
  readonly found: readonly NewEntry[]
}

/** Reads a group. Everything that is known of its entries is compared: damage is not copied. */
async function readGroup({ backend, threads }: CompactionContext, key: ObjectKey, group: Group): Promise<ReadGroup> {
  const codec = new EntryCodec(objectIdOf(key))
  const read = ownMemory(await readRange(backend, key, group.start, group.end))
  const found = group.entries.map((entry) => {
    const at = entry.offset - group.start
    return problemAware(key, entry, () => {
      const header = codec.decode(read.subarray(at - ENTRY_HEADER_BYTES, at), entry.offset - ENTRY_HEADER_BYTES)
      const stored = read.subarray(at, at + entry.storedLength)
      if (!isSame(header, entry) || stored.length !== entry.storedLength) throw new PackCorruptError('an entry is not what it was')
      // The digest of a record is not that of its bytes.
      if (isRecord(entry)) decodePayload(header, stored)
      return { entry, at, header }
    })
  })
  const chunks = found.filter(({ entry }) => !isRecord(entry))
  const parts = chunks.map(({ at, header }) => ({ offset: at, length: header.storedLength, ...pick(header) }))
  const { memory, sound } = await threads.run({ kind: 'check', parts, memory: read.buffer })
  for (const [index, { entry }] of chunks.entries()) if (sound[index] !== true) throw damagedEntry(key, entry, 'the stored bytes have another digest')
  const stored = new Uint8Array(memory)
  return {
    group,
    stored,
    found: found.map(({ at, header }) => {
      const { kind, codec: codecNumber, rawLength, digest } = header
      return { kind, codec: codecNumber, rawLength, digest, stored: stored.subarray(at, at + header.storedLength) }
    }),
  }
}

function pick({ codec, rawLength, digest }: PackEntry): { readonly codec: number; readonly rawLength: number; readonly digest: Uint8Array } {
  return { codec, rawLength, digest }
}

function isRecord({ kind }: PackedEntry): boolean {
  return kind === 'placement' || kind === 'recipe'
}

/** The same bytes in memory that nobody else looks at, so that it can go to another thread. */
function ownMemory(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes
  if (buffer instanceof ArrayBuffer && bytes.byteLength === buffer.byteLength) return new Uint8Array(buffer)
  return new Uint8Array(bytes)
}

function problemAware<T>(key: ObjectKey, entry: PackedEntry, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof PackCorruptError) throw damagedEntry(key, entry, error.message, error)
    throw error
  }
}

function damagedEntry(key: ObjectKey, entry: PackedEntry, reason: string, cause?: unknown): DamagedError {
  const digest = sha256Digest(entry.digest)
  return new DamagedError(`${digest} is damaged: ${reason} (object ${key}, offset ${entry.offset}); store the same bytes again to heal it`, {
    cause,
    detail: { digest, key, offset: entry.offset },
  })
}

function isSame(found: PackEntry, entry: PackedEntry): boolean {
  const isLike = kinds[found.kind] === entry.kind && codecs[found.codec] === entry.codec && found.keyId === 0
  return isLike && found.rawLength === entry.size && found.storedLength === entry.storedLength && Buffer.compare(found.digest, entry.digest) === 0
}
