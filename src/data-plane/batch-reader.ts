import { crc32 } from 'node:zlib'
import { sha256Digest, DigestStream } from '../core/digest.ts'
import { ObjectMissingError, PackCorruptError } from '../core/errors.ts'
import type { DamagedError, StoreError } from '../core/errors.ts'
import type { Backend, ObjectKey } from '../ports/backend.ts'
import type { ChunkLocation, Verified } from '../ports/data-plane.ts'
import { abortedError } from '../ports/source.ts'
import { runAhead } from './ahead.ts'
import { blocksOf, BlockSums, readChunk } from './blob-reader.ts'
import { checkedChunk, damaged, readFailure } from './chunk-check.ts'
import { free } from './memory.ts'
import { readRange } from './object-range.ts'
import { CODEC, ENTRY_HEADER_BYTES, EntryCodec, objectIdOf, view } from './pack-format.ts'
import type { PackEntry } from './pack-format.ts'

/** What `readMany` makes of one chunk. */
export type ReadOutcome = { readonly index: number; readonly bytes: Uint8Array } | { readonly index: number; readonly error: StoreError }

/** Neighbours are read together up to this many bytes. */
const GROUP_BYTES = 1024 * 1024
/** A gap up to this many bytes is read too: cheaper than another call. */
const GAP_BYTES = 64 * 1024
/** Groups that are read ahead of the consumer. */
const AHEAD = 2
/** The longest chunk that is read into memory at once, bytes. */
const LONGEST_CHUNK = 2 * 1024 * 1024

interface Member {
  readonly index: number
  readonly chunk: ChunkLocation
}

/** Chunks of one object, and the bytes that cover them. A whole object is a group of its own. */
interface Group {
  readonly key: ObjectKey
  readonly start: number
  end: number
  readonly members: Member[]
}

/** Reads many chunks, in the order in which they lie; see `DataPlane.readMany`. */
export async function* readChunks(backend: Backend, chunks: readonly ChunkLocation[], signal: AbortSignal | undefined): AsyncGenerator<ReadOutcome> {
  const read = async (group: Group): Promise<readonly ReadOutcome[]> => {
    const bytes = await bytesOfGroup(backend, group)
    return Promise.all(
      group.members.map(async ({ index, chunk }) => {
        try {
          return { index, bytes: await chunkIn(backend, group, bytes, chunk) }
        } catch (error) {
          return { index, error: readFailure(chunk, error) }
        }
      }),
    )
  }
  for await (const outcomes of runAhead(groupsOf(chunks, 0), AHEAD, read)) {
    if (signal?.aborted === true) throw abortedError(signal)
    yield* outcomes
  }
}

/** Re-reads chunks and compares everything that is known of them; see `DataPlane.verify`. */
export async function* verifyChunks(backend: Backend, chunks: readonly ChunkLocation[], signal: AbortSignal | undefined): AsyncGenerator<Verified> {
  const verify = async (group: Group): Promise<readonly Verified[]> => {
    const bytes = await bytesOfGroup(backend, group)
    const outcomes = await Promise.all(
      group.members.map(async ({ index, chunk }) => {
        try {
          if (chunk.kind === 'whole') await verifyWhole(backend, chunk, signal)
          else await verifyEntry(backend, group, bytes, chunk)
          return { index }
        } catch (error) {
          return { index, problem: readFailure(chunk, error) }
        }
      }),
    )
    if (bytes !== undefined) free(bytes)
    return outcomes
  }
  for await (const outcomes of runAhead(groupsOf(chunks, ENTRY_HEADER_BYTES), AHEAD, verify)) {
    if (signal?.aborted === true) throw abortedError(signal)
    yield* outcomes
  }
}

/** @param before how many bytes in front of each chunk are wanted too */
function* groupsOf(chunks: readonly ChunkLocation[], before: number): Generator<Group> {
  const members = chunks.map((chunk, index) => ({ index, chunk }))
  members.sort((a, b) => (a.chunk.key === b.chunk.key ? a.chunk.offset - b.chunk.offset : a.chunk.key < b.chunk.key ? -1 : 1))
  let group: Group | undefined
  for (const member of members) {
    const { chunk } = member
    const start = Math.max(0, chunk.offset - before)
    const end = chunk.offset + chunk.storedLength
    const near =
      group !== undefined && group.key === chunk.key && start - group.end <= GAP_BYTES && Math.max(end, group.end) - group.start <= GROUP_BYTES
    if (group !== undefined && near && chunk.kind === 'pack') {
      group.members.push(member)
      group.end = Math.max(end, group.end)
      continue
    }
    if (group !== undefined) yield group
    group = { key: chunk.key, start, end, members: [member] }
  }
  if (group !== undefined) yield group
}

/** The bytes of a group; undefined when they cannot be read together, so that each chunk is tried on its own and only the bad ones fail. */
async function bytesOfGroup(backend: Backend, group: Group): Promise<Uint8Array | undefined> {
  if (group.members.length === 1) return undefined
  try {
    return await readRange(backend, group.key, group.start, group.end)
  } catch {
    return undefined
  }
}

async function chunkIn(backend: Backend, group: Group, bytes: Uint8Array | undefined, chunk: ChunkLocation): Promise<Uint8Array> {
  if (chunk.kind === 'whole' || chunk.size > LONGEST_CHUNK) return readChunk(backend, chunk, LONGEST_CHUNK)
  return checkedChunk(chunk, await partIn(backend, group, bytes, chunk, 0))
}

async function partIn(backend: Backend, group: Group, bytes: Uint8Array | undefined, chunk: ChunkLocation, before: number): Promise<Uint8Array> {
  const start = chunk.offset - before
  const end = chunk.offset + chunk.storedLength
  return bytes?.subarray(start - group.start, end - group.start) ?? readRange(backend, chunk.key, start, end)
}

/** An entry with its header: from that the registry is rebuilt when it is lost. */
async function verifyEntry(backend: Backend, group: Group, bytes: Uint8Array | undefined, chunk: ChunkLocation): Promise<void> {
  if (chunk.offset < ENTRY_HEADER_BYTES) throw damaged(chunk, 'no entry can be there')
  const whole = await partIn(backend, group, bytes, chunk, ENTRY_HEADER_BYTES)
  free(checkedChunk(chunk, whole.subarray(ENTRY_HEADER_BYTES)))
  try {
    const entry = new EntryCodec(objectIdOf(chunk.key)).decode(whole.subarray(0, ENTRY_HEADER_BYTES), chunk.offset - ENTRY_HEADER_BYTES)
    if (!describes(entry, chunk) || crc32(whole.subarray(ENTRY_HEADER_BYTES)) !== entry.payloadCrc) {
      throw new PackCorruptError('the header of the entry says something else')
    }
  } catch (error) {
    throw error instanceof PackCorruptError ? damaged(chunk, 'the header of its pack entry is not what was stored', error) : error
  }
  if (bytes === undefined) free(whole)
}

function describes(entry: PackEntry, chunk: ChunkLocation): boolean {
  const codec = chunk.codec === 'zstd' ? CODEC.zstd : CODEC.raw
  const lengths = entry.rawLength === chunk.size && entry.storedLength === chunk.storedLength
  return lengths && entry.codec === codec && view(entry.digest).equals(chunk.digest)
}

async function verifyWhole(backend: Backend, chunk: ChunkLocation, signal: AbortSignal | undefined): Promise<void> {
  const info = await backend.head(chunk.key)
  if (info === undefined) throw new ObjectMissingError(`there is no object ${chunk.key}`)
  if (info.size !== chunk.offset + chunk.size) throw damaged(chunk, `its object has ${String(info.size)} bytes`)
  const digest = new DigestStream()
  const checksums = new BlockSums(chunk)
  let block = 0
  let wrongSum: DamagedError | undefined
  for await (const bytes of blocksOf(backend, chunk, { start: chunk.offset, end: chunk.offset + chunk.size })) {
    if (signal?.aborted === true) throw abortedError(signal)
    digest.update(bytes)
    if (crc32(bytes) !== (await checksums.of(block))) wrongSum ??= damaged(chunk, `the block ${String(block)} and its checksum differ`)
    block += 1
    free(bytes)
  }
  if (digest.digest() !== sha256Digest(chunk.digest)) throw damaged(chunk, 'the stored bytes have another digest', wrongSum)
  if (wrongSum !== undefined) throw wrongSum
}
