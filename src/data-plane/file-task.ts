import { Buffer } from 'node:buffer'
import { sha256 } from '../core/digest.ts'
import { compress, decompress } from './compression.ts'
import { readSmallFile } from './file-source.ts'
import type { FileContent, FileProblem, SourceFile } from './file-source.ts'
import { CODEC } from './pack-format.ts'

/** Work on small files, which runs on a thread or in slices on the main one. The memory travels with the task and comes back with its outcome. */
export type FileTask = ReadTask | CompressTask | CheckTask

/** Reads files one behind the other into `memory`, which has room for all of them. */
export interface ReadTask {
  readonly kind: 'read'
  readonly files: readonly SourceFile[]
  readonly memory: ArrayBuffer
}

/** Compresses parts of `memory` in place, where it pays. */
export interface CompressTask {
  readonly kind: 'compress'
  readonly parts: readonly { readonly offset: number; readonly length: number }[]
  readonly memory: ArrayBuffer
}

/** Compares parts of `memory`, decoded, with their digests. Codecs are numbers of the pack format. */
export interface CheckTask {
  readonly kind: 'check'
  readonly parts: readonly StoredPart[]
  readonly memory: ArrayBuffer
}

/** Stored bytes that lie in memory, and what they should be. */
export interface StoredPart {
  readonly offset: number
  readonly length: number
  readonly codec: number
  readonly rawLength: number
  readonly digest: Uint8Array
}

/** What became of a task, part by part. */
export interface FileOutcome {
  readonly memory: ArrayBuffer
  /** Of a read: the content of each file, or why there is none. */
  readonly contents: readonly (FileContent | FileProblem)[]
  /** Of a compression: the new length of each part, undefined where it stays raw. */
  readonly lengths: readonly (number | undefined)[]
  /** Of a check: whether each part is what it should be. */
  readonly sound: readonly boolean[]
}

/** Runs a task step by step, so that a caller on the main thread can let others run in between. */
export function* runTask(task: FileTask): Generator<undefined, FileOutcome, undefined> {
  const bytes = new Uint8Array(task.memory)
  const contents: (FileContent | FileProblem)[] = []
  const lengths: (number | undefined)[] = []
  const sound: boolean[] = []
  if (task.kind === 'read') {
    let offset = 0
    for (const file of task.files) {
      contents.push(readSmallFile(file, bytes, offset))
      offset += Number(file.fingerprint.size)
      yield
    }
  } else if (task.kind === 'compress') {
    for (const { offset, length } of task.parts) {
      lengths.push(compressInPlace(bytes, offset, length))
      yield
    }
  } else {
    for (const part of task.parts) {
      sound.push(isSound(bytes.subarray(part.offset, part.offset + part.length), part))
      yield
    }
  }
  return { memory: task.memory, contents, lengths, sound }
}

/** A file as it arrives on another thread, where a Buffer has become a plain array. */
export function revived(task: FileTask): FileTask {
  if (task.kind !== 'read') return task
  return { ...task, files: task.files.map((file) => (typeof file.path === 'string' ? file : { ...file, path: Buffer.from(file.path) })) }
}

function isSound(stored: Uint8Array, { codec, rawLength, digest }: StoredPart): boolean {
  try {
    const bytes = codec === CODEC.zstd ? decompress(stored, rawLength) : stored
    return bytes.length === rawLength && Buffer.compare(sha256(bytes), digest) === 0
  } catch {
    return false
  }
}

function compressInPlace(bytes: Uint8Array, offset: number, length: number): number | undefined {
  const compressed = compress(bytes.subarray(offset, offset + length))
  if (compressed !== undefined) bytes.set(compressed, offset)
  return compressed?.length
}
