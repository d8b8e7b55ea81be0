import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { ObjectMissingError } from '../../core/errors.ts'
import { cutRange, PIECE_BYTES } from '../../ports/backend.ts'
import type { ByteRange } from '../../ports/backend.ts'
import { isAbsent, systemError } from './system-error.ts'

const open: (path: string, flags: number) => Promise<number> = promisify(fs.open)
const close: (fd: number) => Promise<void> = promisify(fs.close)

/** Not blocking, so that opening a pipe that somebody put there does not wait for a writer. */
const FLAGS = fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK

/**
 * Streams a part of a regular file. The next piece is read while the last one is used ([M] 512 MiB with CRC-32: 0.14 s instead of 0.22 s).
 * @param what the key, for messages
 * @throws ObjectMissingError when there is no such file; InputInvalidError; BackendFailedError
 */
export async function* readFile(path: string, what: string, range: ByteRange | undefined): AsyncGenerator<Uint8Array> {
  const fd = await open(path, FLAGS).catch((error: unknown) => {
    throw isAbsent(error) ? missing(what, error) : systemError(error, 'read', what)
  })
  let ahead: Promise<Uint8Array> | undefined
  try {
    // Not asynchronous: the facts of an open file are in memory, and a way through the thread pool costs 15 times the call.
    const facts = fs.fstatSync(fd)
    if (!facts.isFile()) throw missing(what)
    const { start, end } = cutRange(range, facts.size)
    const next = (position: number): Promise<Uint8Array> | undefined =>
      position < end ? readAt(fd, position, Math.min(PIECE_BYTES, end - position)) : undefined
    ahead = next(start)
    for (let position = start; ahead !== undefined;) {
      const piece: Uint8Array = await ahead
      // Cut short meanwhile: whoever knows the digest notices.
      if (piece.length === 0) return
      position += piece.length
      ahead = next(position)
      ahead?.catch(() => undefined)
      yield piece
    }
  } catch (error) {
    throw systemError(error, 'read', what)
  } finally {
    await ahead?.catch(() => undefined)
    await close(fd)
  }
}

/** Memory of its own for each piece: the reader may keep it. */
function readAt(fd: number, position: number, length: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(length)
  return new Promise((resolve, reject) => {
    fs.read(fd, buffer, 0, length, position, (error, count) => (error === null ? resolve(buffer.subarray(0, count)) : reject(error)))
  })
}

function missing(what: string, cause?: unknown): ObjectMissingError {
  return new ObjectMissingError(`there is no object ${what}`, { cause })
}
