import { sha256, sha256Digest } from '../core/digest.ts'
import { DigestMismatchError } from '../core/errors.ts'
import type { StoreError } from '../core/errors.ts'
import type { IngestItem } from '../ports/data-plane.ts'
import { compressInBackground } from './compression.ts'
import { problemError } from './file-source.ts'
import type { SourceFile } from './file-source.ts'
import type { FileThreads } from './file-threads.ts'

/** Memory that travels between threads: another object after each way. */
interface Memory {
  buffer: ArrayBuffer
}

/** A blob of a window, hashed. */
export interface HashedBlob {
  readonly index: number
  readonly digest: Uint8Array
  readonly size: number
  readonly item: IngestItem
  readonly bytes: Uint8Array | { readonly memory: Memory; readonly offset: number }
}

/** An item that will not be stored, and why. */
export interface Refused {
  readonly index: number
  readonly error: StoreError
}

/** One item of a window: its bytes, the file to read them from, or why there are none. */
export type WindowItem =
  | { readonly index: number; readonly item: IngestItem; readonly bytes: Uint8Array }
  | { readonly index: number; readonly item: IngestItem; readonly file: SourceFile }
  | Refused

/** What a window became: blobs in memory, which {@link HashedWindow.release} gives back. */
export interface HashedWindow {
  readonly blobs: readonly HashedBlob[]
  readonly refused: readonly Refused[]
  /** Compresses where it pays; undefined: raw. */
  compress(blobs: readonly HashedBlob[]): Promise<readonly (Uint8Array | undefined)[]>
  release(): void
}

/** A task for a thread: small enough to keep all of them busy, large enough not to be all overhead. */
const TASK_FILES = 256
const TASK_BYTES = 1024 * 1024
/** How long the main thread hashes before it lets others run, ms. */
const SLICE_MS = 1

/** The error for bytes that are not the announced ones. */
export function mismatch(item: IngestItem, digest: Uint8Array, size: number): StoreError | undefined {
  const found = sha256Digest(digest)
  if (item.expectedSize !== undefined && item.expectedSize !== size) {
    return new DigestMismatchError(`${String(size)} bytes arrived, ${String(item.expectedSize)} were announced`, {
      detail: { expectedSize: item.expectedSize, size, digest: found },
    })
  }
  if (item.expectedDigest === undefined) return undefined
  const expected = sha256Digest(item.expectedDigest)
  if (expected === found) return undefined
  return new DigestMismatchError(`the bytes that arrived are ${found}, announced was ${expected}`, { detail: { expected, digest: found, size } })
}

/** Reads the files of a window, hashes everything and compares it with what was announced. */
export async function hashWindow(items: readonly WindowItem[], threads: FileThreads): Promise<HashedWindow> {
  const memories: Memory[] = []
  const blobs: HashedBlob[] = []
  const refused: Refused[] = []
  const accept = (blob: HashedBlob): void => {
    const error =
      blob.item.expectedDigest === undefined && blob.item.expectedSize === undefined ? undefined : mismatch(blob.item, blob.digest, blob.size)
    if (error === undefined) blobs.push(blob)
    else refused.push({ index: blob.index, error })
  }
  const reading = tasksOf(items.filter((item) => 'file' in item)).map(async (files) => {
    const buffer = threads.take(files.reduce((sum, { file }) => sum + Number(file.fingerprint.size), 0))
    const outcome = await threads.run({ kind: 'read', files: files.map(({ file }) => file), memory: buffer })
    const memory: Memory = { buffer: outcome.memory }
    memories.push(memory)
    files.forEach(({ index, item }, position) => {
      const content = outcome.contents[position]
      if (content === undefined) return
      if ('kind' in content) refused.push({ index, error: problemError(content) })
      else accept({ index, item, digest: content.digest, size: content.length, bytes: { memory, offset: content.offset } })
    })
  })
  const hashing = inSlices(items, (item) => {
    if ('error' in item) refused.push(item)
    else if ('bytes' in item) accept({ index: item.index, item: item.item, digest: sha256(item.bytes), size: item.bytes.length, bytes: item.bytes })
  })
  await Promise.all([...reading, hashing])
  return {
    blobs,
    refused,
    compress: (chosen) => compressBlobs(chosen, threads),
    release: () => {
      for (const memory of memories.splice(0)) threads.give(memory.buffer)
    },
  }
}

/** The bytes of a blob. Not to be kept over a {@link HashedWindow.compress}, which moves them. */
export function bytesOf(blob: HashedBlob): Uint8Array {
  return blob.bytes instanceof Uint8Array ? blob.bytes : new Uint8Array(blob.bytes.memory.buffer, blob.bytes.offset, blob.size)
}

type FileItem = Extract<WindowItem, { readonly file: SourceFile }>

function tasksOf(items: readonly FileItem[]): readonly (readonly FileItem[])[] {
  const tasks: FileItem[][] = []
  let current: FileItem[] = []
  let bytes = 0
  for (const item of items) {
    const size = Number(item.file.fingerprint.size)
    if (current.length > 0 && (current.length === TASK_FILES || bytes + size > TASK_BYTES)) {
      tasks.push(current)
      current = []
      bytes = 0
    }
    current.push(item)
    bytes += size
  }
  if (current.length > 0) tasks.push(current)
  return tasks
}

/** Blobs that were read from files are compressed where they lie, by the threads; others here. */
async function compressBlobs(blobs: readonly HashedBlob[], threads: FileThreads): Promise<readonly (Uint8Array | undefined)[]> {
  const compressed = new Map<HashedBlob, Uint8Array | undefined>()
  const placed = blobs.flatMap((blob) => (blob.bytes instanceof Uint8Array ? [] : [{ blob, ...blob.bytes }]))
  const inThreads = [...Map.groupBy(placed, ({ memory }) => memory)].map(async ([memory, parts]) => {
    const task = { kind: 'compress', parts: parts.map(({ blob, offset }) => ({ offset, length: blob.size })), memory: memory.buffer } as const
    const outcome = await threads.run(task)
    memory.buffer = outcome.memory
    parts.forEach(({ blob, offset }, position) => {
      const length = outcome.lengths[position]
      if (length !== undefined) compressed.set(blob, new Uint8Array(memory.buffer, offset, length))
    })
  })
  const long: Promise<void>[] = []
  const here = inSlices(blobs, (blob) => {
    if (!(blob.bytes instanceof Uint8Array)) return
    // Starts at once; what is short is done when it returns.
    long.push(compressInBackground(blob.bytes).then((bytes) => void compressed.set(blob, bytes)))
  })
  await Promise.all([...inThreads, here.then(() => Promise.all(long))])
  return blobs.map((blob) => compressed.get(blob))
}

/** Goes through a list and lets others run every few milliseconds. */
async function inSlices<T>(list: readonly T[], each: (value: T) => void): Promise<void> {
  let pause = performance.now() + SLICE_MS
  for (const value of list) {
    each(value)
    if (performance.now() < pause) continue
    await new Promise((resolve) => setImmediate(resolve))
    pause = performance.now() + SLICE_MS
  }
}
