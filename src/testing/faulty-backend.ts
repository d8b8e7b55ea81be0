import { StorageFullError, StoreReadOnlyError } from '../core/errors.ts'
import type { AppendBackend, BackendCapabilities, ByteRange, ObjectAppender, ObjectInfo, ObjectKey } from '../ports/backend.ts'
import type { ByteSource } from '../ports/source.ts'

/** What goes wrong. A test changes it at any time; at first nothing does. */
export interface BackendFaults {
  /** Makes every flush fail while it is set, also the one that ends a `put`. An appender stays failed when it is unset again. */
  flushFails: boolean
  /** Bytes that can still be written; what does not fit is refused with `StorageFullError`. */
  spaceLeft: number
  /** Waited for before an object is removed: keep it waiting to have a delete arrive late. */
  beforeDelete: (key: ObjectKey) => Promise<void>
}

/** A backend with {@link BackendFaults}. */
export interface FaultyBackend extends AppendBackend {
  readonly faults: BackendFaults
}

/** Wraps a backend so that a test can make it fail. */
export function faultyBackend(inner: AppendBackend): FaultyBackend {
  return new BackendWithFaults(inner)
}

class BackendWithFaults implements FaultyBackend {
  readonly faults: BackendFaults = { flushFails: false, spaceLeft: Infinity, beforeDelete: () => Promise.resolve() }
  readonly #inner: AppendBackend

  constructor(inner: AppendBackend) {
    this.#inner = inner
  }

  get capabilities(): BackendCapabilities {
    return this.#inner.capabilities
  }

  put(key: ObjectKey, source: ByteSource, options?: { readonly signal?: AbortSignal }): Promise<ObjectInfo> {
    return this.#inner.put(key, this.#failing(source), options)
  }

  /** Fails as a source does, since then the backend leaves nothing behind. */
  async *#failing(source: ByteSource): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      takeSpace(this.faults, piece.length)
      yield piece
    }
    if (this.faults.flushFails) throw flushFailure()
  }

  get(key: ObjectKey, range?: ByteRange): AsyncIterable<Uint8Array> {
    return this.#inner.get(key, range)
  }

  head(key: ObjectKey): Promise<ObjectInfo | undefined> {
    return this.#inner.head(key)
  }

  async delete(key: ObjectKey): Promise<void> {
    await this.faults.beforeDelete(key)
    await this.#inner.delete(key)
  }

  list(prefix: string, after?: ObjectKey): AsyncIterable<ObjectInfo> {
    return this.#inner.list(prefix, after)
  }

  async createAppender(key: ObjectKey): Promise<ObjectAppender> {
    return new AppenderWithFaults(await this.#inner.createAppender(key), this.faults)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}

class AppenderWithFaults implements ObjectAppender {
  readonly #inner: ObjectAppender
  readonly #faults: BackendFaults
  #failed = false

  constructor(inner: ObjectAppender, faults: BackendFaults) {
    this.#inner = inner
    this.#faults = faults
  }

  get key(): ObjectKey {
    return this.#inner.key
  }

  get size(): number {
    return this.#inner.size
  }

  async append(pieces: readonly Uint8Array[]): Promise<void> {
    if (this.#failed) throw flushFailure()
    takeSpace(
      this.#faults,
      pieces.reduce((sum, piece) => sum + piece.length, 0),
    )
    await this.#inner.append(pieces)
  }

  async flush(): Promise<void> {
    this.#failed ||= this.#faults.flushFails
    if (this.#failed) throw flushFailure()
    await this.#inner.flush()
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}

function takeSpace(faults: BackendFaults, bytes: number): void {
  if (bytes > faults.spaceLeft) throw new StorageFullError('no space is left (injected)')
  faults.spaceLeft -= bytes
}

function flushFailure(): StoreReadOnlyError {
  return new StoreReadOnlyError('the flush failed (injected)')
}
