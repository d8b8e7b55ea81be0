import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { PIECE_BYTES } from '../../ports/backend.ts'
import { systemError } from './system-error.ts'

const fdatasync: (fd: number) => Promise<void> = promisify(fs.fdatasync)

/**
 * How much is written before the kernel is made to write it out. Left to itself it starts late, and the last flush then waits for nearly everything
 * ([M] 768 MiB hashed and stored: 0.53 s flushed every 16 or 32 MiB, 0.71 s at the end only).
 */
const FLUSH_BYTES = 32 * PIECE_BYTES

/** Staging buffers kept for the next writer. */
const KEPT_BUFFERS = 8

/**
 * Writes pieces one behind the other at a position, in as few system calls as possible. Writing at a position (not at the end) makes a write that
 * failed half way harmless: the next one covers what it left.
 * @param what the key, for messages
 * @returns the number of bytes
 */
export async function writeAt(fd: number, pieces: readonly Uint8Array[], position: number, what: string): Promise<number> {
  const total = pieces.reduce((sum, piece) => sum + piece.length, 0)
  let written = 0
  let rest = pieces
  while (written < total) {
    const count = await writev(fd, rest, position + written).catch((error: unknown) => {
      throw systemError(error, 'write', what)
    })
    written += count
    if (written < total) rest = without(rest, count)
  }
  return total
}

function writev(fd: number, pieces: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.writev(fd, pieces, position, (error, count) => (error === null ? resolve(count) : reject(error)))
  })
}

/** The pieces less their first `count` bytes: a write may be cut short by a full disk, a signal or at 2 GiB. */
export function without(pieces: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let skip = count
  return pieces.flatMap((piece) => {
    const skipped = Math.min(skip, piece.length)
    skip -= skipped
    return skipped === piece.length ? [] : [piece.subarray(skipped)]
  })
}

/**
 * Makes everything written to a file durable. `fdatasync` suffices: it covers the bytes and the metadata needed to find them (the size), and leaves
 * out the times. @throws StoreReadOnlyError: a flush that fails is final
 */
export async function flushFile(fd: number, what: string): Promise<void> {
  await fdatasync(fd).catch((error: unknown) => {
    throw systemError(error, 'flush', what)
  })
}

/** Copies streams into files. The buffers are shared by all writers of a backend, so that many small objects do not allocate 1 MiB each. */
export class StreamWriter {
  readonly #flushes: boolean
  readonly #idle: Buffer[] = []

  /** @param flushes false for benchmarks only: nothing written is durable then */
  constructor(flushes: boolean) {
    this.#flushes = flushes
  }

  /**
   * Writes all pieces into an empty file and makes it durable. Pieces are copied before the next is asked for, since their source may use the memory
   * again; while one buffer is written the other is filled. The source waits when the disk is slower.
   * @returns the number of bytes
   */
  async write(fd: number, pieces: AsyncIterable<Uint8Array>, what: string): Promise<number> {
    let filling = this.#take()
    let spare: Buffer | undefined
    let filled = 0
    let position = 0
    let flushed = 0
    let writing: Promise<unknown> = Promise.resolve()
    let flushing: Promise<unknown> = Promise.resolve()
    try {
      for await (const piece of pieces) {
        for (let offset = 0; offset < piece.length;) {
          const part = piece.subarray(offset, offset + PIECE_BYTES - filled)
          filling.set(part, filled)
          filled += part.length
          offset += part.length
          if (filled < PIECE_BYTES) continue
          await writing
          writing = handled(writeAt(fd, [filling], position, what))
          const next = spare ?? this.#take()
          spare = filling
          filling = next
          position += filled
          filled = 0
          if (!this.#flushes || position - flushed < FLUSH_BYTES) continue
          await writing
          await flushing
          flushing = handled(flushFile(fd, what))
          flushed = position
        }
      }
      await writing
      await writeAt(fd, [filling.subarray(0, filled)], position, what)
      await flushing
      if (this.#flushes) await flushFile(fd, what)
      return position + filled
    } finally {
      // The caller closes the file: nothing may still be under way in it, or another file may get its number and the bytes.
      await Promise.allSettled([writing, flushing])
      for (const buffer of [filling, spare]) if (buffer !== undefined && this.#idle.length < KEPT_BUFFERS) this.#idle.push(buffer)
    }
  }

  #take(): Buffer {
    return this.#idle.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES)
  }
}

/** The promise itself; its failure counts as handled until it is awaited. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}
