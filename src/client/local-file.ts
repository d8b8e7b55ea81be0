import { Buffer } from 'node:buffer'
import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { InputInvalidError, SourceChangedError, StoreError } from '../core/errors.ts'
import type { PutSource } from '../store/interface.ts'

/** A file of a listed tree, as callers name it. */
export type LocalFile = Extract<PutSource, { file: unknown }>

const read: (fd: number, buffer: NodeJS.ArrayBufferView, offset: number, length: number, position: number) => Promise<{ bytesRead: number }> =
  promisify(fs.read)
/** A link is not followed (it is an entry of its own), and a pipe that took the file's place does not make the reader wait. */
const FLAGS = fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK
const PIECE_BYTES = 1024 * 1024

/**
 * Reads a small file whole. The file must be the one that was listed, before and after. Blocks, which costs less than a way through the thread pool.
 * @throws SourceChangedError; InputInvalidError when it cannot be read
 */
export function readLocalFile(file: LocalFile): Uint8Array<ArrayBuffer> {
  let fd: number | undefined
  try {
    fd = fs.openSync(file.file, FLAGS)
    assertUnchanged(fd, file)
    const bytes = new Uint8Array(Number(file.fingerprint.size))
    for (let count = 0; count < bytes.length;) {
      const step = fs.readSync(fd, bytes, count, bytes.length - count, null)
      if (step === 0) throw changed(file)
      count += step
    }
    assertUnchanged(fd, file)
    return bytes
  } catch (error) {
    throw readError(error, file)
  } finally {
    if (fd !== undefined) fs.closeSync(fd)
  }
}

/**
 * The bytes of a file from `start` to `end` (exclusive) in pieces of 1 MiB, each a buffer of its own.
 * @throws SourceChangedError; InputInvalidError when it cannot be read
 */
export async function* localFilePieces(file: LocalFile, start: number, end: number): AsyncGenerator<Uint8Array, void, undefined> {
  let fd: number | undefined
  try {
    fd = fs.openSync(file.file, FLAGS)
    assertUnchanged(fd, file)
    for (let position = start; position < end;) {
      const piece = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, end - position))
      const { bytesRead } = await read(fd, piece, 0, piece.length, position)
      if (bytesRead === 0) throw changed(file)
      position += bytesRead
      // Before the last piece goes: behind it nobody may ask any more.
      if (position === end) assertUnchanged(fd, file)
      yield piece.subarray(0, bytesRead)
    }
  } catch (error) {
    throw readError(error, file)
  } finally {
    if (fd !== undefined) fs.closeSync(fd)
  }
}

function assertUnchanged(fd: number, file: LocalFile): void {
  const now = fs.fstatSync(fd, { bigint: true })
  if (!now.isFile()) throw new InputInvalidError(`${shown(file)} is not a regular file`)
  const listed = file.fingerprint
  const same = now.ino === listed.ino && now.size === listed.size && now.mtimeNs === listed.mtimeNs && now.ctimeNs === listed.ctimeNs
  if (!same) throw changed(file)
}

function changed(file: LocalFile): SourceChangedError {
  return new SourceChangedError(`${shown(file)} changed after it was listed; push again when nothing writes to it`)
}

function readError(error: unknown, file: LocalFile): unknown {
  if (error instanceof StoreError || !(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error
  if (error.code === 'ENOENT') return new SourceChangedError(`${shown(file)} is gone since it was listed`, { cause: error })
  if (error.code === 'ELOOP') return new SourceChangedError(`${shown(file)} is a symbolic link now`, { cause: error })
  return new InputInvalidError(`cannot read ${shown(file)}: ${error.code}`, { cause: error })
}

/** The path for a message, control characters escaped. */
function shown({ file }: LocalFile): string {
  return JSON.stringify(typeof file === 'string' ? file : file.toString())
}
