import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { ClosedError, StoreReadOnlyError } from '../../core/errors.ts'
import type { ObjectAppender, ObjectKey } from '../../ports/backend.ts'
import { flushFile, writeAt } from './file-write.ts'

const close: (fd: number) => Promise<void> = promisify(fs.close)

/** A file of this process's own that grows. */
export class FileAppender implements ObjectAppender {
  readonly key: ObjectKey
  readonly #fd: number
  readonly #flushes: boolean
  #size = 0
  #closed = false
  #failure: unknown

  /** @param fd an empty file, durably linked; closed by {@link close} */
  constructor(key: ObjectKey, fd: number, flushes: boolean) {
    this.key = key
    this.#fd = fd
    this.#flushes = flushes
  }

  get size(): number {
    return this.#size
  }

  async append(pieces: readonly Uint8Array[]): Promise<void> {
    this.#assertUsable()
    this.#size += await writeAt(this.#fd, pieces, this.#size, this.key)
  }

  async flush(): Promise<void> {
    this.#assertUsable()
    if (!this.#flushes) return
    try {
      await flushFile(this.#fd, this.key)
    } catch (error) {
      this.#failure = error
      throw error
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await close(this.#fd)
  }

  #assertUsable(): void {
    if (this.#closed) throw new ClosedError(`${this.key} is closed`)
    // The kernel may have dropped what it could not write and call the next flush a success (STORAGE section 3).
    if (this.#failure !== undefined)
      throw new StoreReadOnlyError(`a flush of ${this.key} failed before; nothing more is written to it`, { cause: this.#failure })
  }
}
