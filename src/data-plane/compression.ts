import * as zlib from 'node:zlib'
import { promisify } from 'node:util'
import { PackCorruptError } from '../core/errors.ts'

const { ZSTD_c_compressionLevel, ZSTD_d_windowLogMax } = zlib.constants

/** Shorter chunks stay raw: the call costs more than the bytes ([M] 20 µs at 1 KiB, nearly all of it setting up the compressor). */
const TINY_BYTES = 256
/** Longer chunks are compressed off the main thread ([M] 0.2 ms at 64 KiB, 3 ms at 1 MiB). */
const LONG_BYTES = 64 * 1024
/** What must be left of 100 bytes at most, for the reader's work to pay. */
const WORTH_PERCENT = 90
/** Level 1: [M] 350 MB/s a core, and within 3 % of level 3 on small sources. */
const LEVEL = 1
/** 8 MiB, the longest payload: a frame cannot make the reader allocate more. */
const WINDOW_LOG = 23

const compressAsync: (bytes: Uint8Array, options: zlib.ZstdOptions) => Promise<Uint8Array> = promisify(zlib.zstdCompress)

/**
 * Compresses a chunk if that saves a tenth. @returns undefined when it stays raw
 */
export function compress(bytes: Uint8Array): Uint8Array | undefined {
  return looksCompressible(bytes) ? worthwhile(bytes, zlib.zstdCompressSync(bytes, settings(bytes))) : undefined
}

/** As {@link compress}, long chunks on a thread of the pool. */
export async function compressInBackground(bytes: Uint8Array): Promise<Uint8Array | undefined> {
  if (bytes.length <= LONG_BYTES) return compress(bytes)
  return looksCompressible(bytes) ? worthwhile(bytes, await compressAsync(bytes, settings(bytes))) : undefined
}

/**
 * Undoes {@link compress}. Memory is bounded by `rawLength`, whatever the bytes are.
 * @throws PackCorruptError when they are not zstd of exactly that many bytes
 */
export function decompress(stored: Uint8Array, rawLength: number): Uint8Array {
  let bytes: Uint8Array
  try {
    bytes = zlib.zstdDecompressSync(stored, {
      chunkSize: Math.max(64, rawLength),
      maxOutputLength: Math.max(1, rawLength),
      params: { [ZSTD_d_windowLogMax]: WINDOW_LOG },
    })
  } catch (error) {
    throw new PackCorruptError('a compressed payload cannot be decompressed', { cause: error })
  }
  if (bytes.length !== rawLength) throw new PackCorruptError('a compressed payload is not as long as its entry says')
  return bytes
}

/** Room for the result in one piece: Node's default of 16 KiB apiece is mostly waste for small files. */
function settings(bytes: Uint8Array): zlib.ZstdOptions {
  return { chunkSize: Math.max(64, bytes.length), params: { [ZSTD_c_compressionLevel]: LEVEL } }
}

function worthwhile(bytes: Uint8Array, compressed: Uint8Array): Uint8Array | undefined {
  return compressed.length * 100 <= bytes.length * WORTH_PERCENT ? compressed : undefined
}

/** [M] 2 µs; a quarter of it would take random bytes for text too often. */
const SAMPLE_BYTES = 256
const SAMPLE_RUNS = 8
const counts = new Uint16Array(256)

/**
 * Whether trying is worth it. Counts how often two bytes of a sample are equal: random, encrypted and compressed bytes stay near 1 in 256,
 * text and programs are several times above.
 */
export function looksCompressible(bytes: Uint8Array): boolean {
  if (bytes.length < TINY_BYTES) return false
  if (bytes.length <= 4 * SAMPLE_BYTES) return true
  counts.fill(0)
  const run = SAMPLE_BYTES / SAMPLE_RUNS
  const stride = (bytes.length - run) / (SAMPLE_RUNS - 1)
  for (let part = 0; part < SAMPLE_RUNS; part += 1) {
    const start = Math.floor(part * stride)
    for (let index = start; index < start + run; index += 1) {
      const byte = bytes[index] ?? 0
      counts[byte] = (counts[byte] ?? 0) + 1
    }
  }
  let equal = 0
  for (const count of counts) equal += count * (count - 1)
  return equal * 256 > 1.3 * SAMPLE_BYTES * (SAMPLE_BYTES - 1)
}
