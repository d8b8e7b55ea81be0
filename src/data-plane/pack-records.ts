import { Buffer } from 'node:buffer'
import { PackCorruptError } from '../core/errors.ts'
import { isObjectKey } from '../ports/backend.ts'
import type { ObjectKey } from '../ports/backend.ts'
import type { ContentKind } from '../ports/data-plane.ts'
import { ENTRY_KIND, readUInt64, view, writeUInt64 } from './pack-format.ts'

/**
 * The payloads of the entries that say where a blob lies, so that packs and whole objects alone rebuild the registry. Both come in segments, so that
 * none grows with the size of the blob. The digest of the blob is in the entry header.
 */

/** A whole object is checked in blocks of this many bytes. */
export const BLOCK_BYTES: number = 1024 * 1024
/** Blocks whose checksums are kept together. */
export const SEGMENT_BLOCKS = 1024
/** Bytes of the checksums of one full segment. */
export const SEGMENT_BYTES: number = SEGMENT_BLOCKS * 4
/** Chunks in one segment of a recipe. */
export const SEGMENT_CHUNKS = 4096

/** One segment of the placement of a whole object. */
export interface PlacementRecord {
  readonly key: ObjectKey
  readonly content: ContentKind
  /** Length of the blob, bytes. */
  readonly size: number
  readonly segment: number
  readonly segments: number
  /** CRC-32s of this segment's blocks, 4 bytes each, little-endian. */
  readonly checksums: Uint8Array
}

/** One segment of a recipe: the next chunks of a blob, in order. */
export interface RecipeRecord {
  readonly content: ContentKind
  /** Length of the blob, bytes. */
  readonly size: number
  readonly segment: number
  readonly segments: number
  readonly chunks: readonly { readonly digest: Uint8Array; readonly size: number }[]
}

const HEAD_BYTES = 24
const CHUNK_BYTES = 40

/** The payload of a placement entry. */
export function encodePlacement(record: PlacementRecord): Uint8Array {
  const key = Buffer.from(record.key, 'ascii')
  const head = encodeHead(record, key.length, record.checksums.length / 4)
  return Buffer.concat([head, key, record.checksums])
}

/** Reads the payload of a placement entry. @throws PackCorruptError */
export function decodePlacement(payload: Uint8Array): PlacementRecord {
  const bytes = view(payload)
  const { keyLength, count, ...head } = decodeHead(bytes)
  const blocks = Math.ceil(head.size / BLOCK_BYTES)
  const key = bytes.toString('latin1', HEAD_BYTES, HEAD_BYTES + keyLength)
  const expected = Math.min(SEGMENT_BLOCKS, blocks - head.segment * SEGMENT_BLOCKS)
  const fits = head.segments === Math.ceil(blocks / SEGMENT_BLOCKS) && count === expected
  if (!fits || bytes.length !== HEAD_BYTES + keyLength + count * 4) throw new PackCorruptError('a placement has the wrong length')
  if (!isObjectKey(key)) throw new PackCorruptError('a placement names no object')
  return { ...head, key, checksums: bytes.subarray(HEAD_BYTES + keyLength) }
}

/** The payload of a recipe entry. */
export function encodeRecipe(record: RecipeRecord): Uint8Array {
  const body = Buffer.alloc(record.chunks.length * CHUNK_BYTES)
  record.chunks.forEach((chunk, index) => {
    writeUInt64(body, chunk.size, index * CHUNK_BYTES)
    body.set(chunk.digest, index * CHUNK_BYTES + 8)
  })
  return Buffer.concat([encodeHead(record, 0, record.chunks.length), body])
}

/** Reads the payload of a recipe entry. @throws PackCorruptError */
export function decodeRecipe(payload: Uint8Array): RecipeRecord {
  const bytes = view(payload)
  const { keyLength, count, ...head } = decodeHead(bytes)
  const full = head.segment < head.segments - 1
  if (keyLength !== 0 || count > SEGMENT_CHUNKS || (full && count < SEGMENT_CHUNKS) || bytes.length !== HEAD_BYTES + count * CHUNK_BYTES) {
    throw new PackCorruptError('a recipe has the wrong length')
  }
  const chunks = Array.from({ length: count }, (_, index) => {
    const offset = HEAD_BYTES + index * CHUNK_BYTES
    return { size: readUInt64(bytes, offset), digest: bytes.subarray(offset + 8, offset + CHUNK_BYTES) }
  })
  const sum = chunks.reduce((total, chunk) => total + chunk.size, 0)
  if (head.segments === 1 ? sum !== head.size : sum > head.size) throw new PackCorruptError('the chunks of a recipe do not make up its blob')
  return { ...head, chunks }
}

type Head = Omit<PlacementRecord, 'key' | 'checksums'>

function encodeHead(record: Head, keyLength: number, count: number): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  writeUInt64(head, record.size, 0)
  head.writeUInt32LE(record.segment, 8)
  head.writeUInt32LE(record.segments, 12)
  head.writeUInt8(ENTRY_KIND[record.content], 16)
  head.writeUInt16LE(keyLength, 18)
  head.writeUInt32LE(count, 20)
  return head
}

function decodeHead(bytes: Buffer): Head & { readonly keyLength: number; readonly count: number } {
  if (bytes.length < HEAD_BYTES) throw new PackCorruptError('a record is too short')
  const size = readUInt64(bytes, 0)
  const segment = bytes.readUInt32LE(8)
  const segments = bytes.readUInt32LE(12)
  const content = contentOf(bytes.readUInt8(16))
  if (content === undefined || !Number.isFinite(size) || segment >= segments) throw new PackCorruptError('a record says what cannot be')
  return { size, segment, segments, content, keyLength: bytes.readUInt16LE(18), count: bytes.readUInt32LE(20) }
}

function contentOf(kind: number): ContentKind | undefined {
  if (kind === ENTRY_KIND.chunk) return 'chunk'
  return kind === ENTRY_KIND.manifest ? 'manifest' : undefined
}
