import { type FileHandle, mkdir, open, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { BackendFailedError, StorageFullError } from '../core/errors.ts'
import { uuidv4 } from '../core/uuid.ts'

/** What is read at once, as what is asked for next mostly lies behind it. */
const WINDOW_BYTES = 1 << 20
const NO_BYTES = Buffer.alloc(0)

/**
 * A stream that is kept in a temporary file, to be read at will. The file has no name any more once it is open (where the system allows it), so that
 * nothing is left of it, however the process ends.
 */
export class SpoolFile {
  /** Bytes. */
  readonly size: number
  readonly #path: string
  readonly #handle: FileHandle
  #window: Buffer = NO_BYTES
  #windowStart = 0

  private constructor(path: string, handle: FileHandle, size: number) {
    this.#path = path
    this.#handle = handle
    this.size = size
  }

  /** Takes a stream to its end. @throws StorageFullError; what the source throws */
  static async fill(folder: string, source: AsyncIterable<Uint8Array>): Promise<SpoolFile> {
    await mkdir(folder, { recursive: true })
    const path = join(folder, uuidv4())
    const handle = await open(path, 'wx+', 0o600)
    try {
      await removeName(path)
      let size = 0
      for await (const piece of source) {
        await writeAll(handle, piece)
        size += piece.length
      }
      return new SpoolFile(path, handle, size)
    } catch (error) {
      await handle.close()
      await removeName(path)
      throw error
    }
  }

  /** @returns the bytes from `position` on, fewer than `length` at the end; not to be changed */
  async read(position: number, length: number): Promise<Buffer> {
    const end = Math.min(this.size, position + length)
    if (end <= position) return NO_BYTES
    if (position < this.#windowStart || end > this.#windowStart + this.#window.length) {
      const wanted = Math.min(Math.max(length, WINDOW_BYTES), this.size - position)
      this.#window = await this.#readExactly(position, wanted)
      this.#windowStart = position
    }
    return this.#window.subarray(position - this.#windowStart, end - this.#windowStart)
  }

  async close(): Promise<void> {
    await this.#handle.close()
    await removeName(this.#path)
  }

  async #readExactly(position: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(length)
    for (let done = 0; done < length;) {
      const { bytesRead } = await this.#handle.read(buffer, done, length - done, position + done)
      if (bytesRead === 0) throw new BackendFailedError('a temporary file became shorter while it was read')
      done += bytesRead
    }
    return buffer
  }
}

/** Removes what processes that ended have left in the folder. A file that is in use loses only its name. */
export async function clearSpool(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  for (const name of names) await removeName(join(folder, name))
}

/** Where a file in use cannot lose its name, it stays until the next time. */
async function removeName(path: string): Promise<void> {
  await unlink(path).catch(() => undefined)
}

async function writeAll(handle: FileHandle, piece: Uint8Array): Promise<void> {
  try {
    for (let done = 0; done < piece.length;) done += (await handle.write(piece, done, piece.length - done)).bytesWritten
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new StorageFullError('no space is left for the archive; free some and send it again', { cause })
    throw new BackendFailedError('the archive could not be put into a temporary file', { cause })
  }
}
