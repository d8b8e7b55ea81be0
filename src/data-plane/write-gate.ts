import { BackendFailedError, ClosedError, StorageFullError, StoreError, StoreReadOnlyError } from '../core/errors.ts'
import type { DataPlaneHost } from '../ports/data-plane.ts'

/** Lets writes pass until one fails for good. All writers of a data plane share it. */
export class WriteGate {
  readonly #host: DataPlaneHost
  #failure: StoreReadOnlyError | undefined
  #closed = false

  constructor(host: DataPlaneHost) {
    this.#host = host
  }

  /** Whether a write has failed for good. */
  get failed(): boolean {
    return this.#failure !== undefined
  }

  /** @throws StoreReadOnlyError after a flush that failed; ClosedError */
  assertOpen(): void {
    if (this.#failure !== undefined) throw new StoreReadOnlyError('nothing more is written after a flush that failed', { cause: this.#failure })
    if (this.#closed) throw new ClosedError('the data plane is closed')
  }

  close(): void {
    this.#closed = true
  }

  /** Runs a write. Its failure is told to the store if that must know, and ends all writing if it is final. @throws StoreError */
  async write<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step()
    } catch (cause) {
      throw this.#told(cause instanceof StoreError ? cause : new BackendFailedError('the backend failed while it wrote', { cause }))
    }
  }

  /** Runs a flush, whose failure is always final: the kernel may have dropped the bytes and call the next one a success (STORAGE section 3). */
  async flush(step: () => Promise<void>): Promise<void> {
    try {
      await step()
    } catch (cause) {
      throw this.#told(
        cause instanceof StoreReadOnlyError ? cause : new StoreReadOnlyError('a flush failed, which is final: nothing more is written', { cause }),
      )
    }
  }

  #told(error: StoreError): StoreError {
    if (error instanceof StoreReadOnlyError) this.#failure ??= error
    if (error instanceof StoreReadOnlyError || error instanceof StorageFullError) this.#host.failed(error)
    return error
  }
}
