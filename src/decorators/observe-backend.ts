import { canAppend } from '../ports/backend.ts'
import type { AppendBackend, Backend, BackendCapabilities, ByteRange, ObjectAppender, ObjectInfo, ObjectKey } from '../ports/backend.ts'
import type { ByteSource } from '../ports/source.ts'

/** What a backend can be asked, by name. */
export type BackendOperation =
  | 'backend.put'
  | 'backend.get'
  | 'backend.head'
  | 'backend.delete'
  | 'backend.list'
  | 'backend.createAppender'
  | 'backend.close'
  | 'appender.append'
  | 'appender.flush'
  | 'appender.close'

/** A point in time of an operation. Each one that began reports `after` or `failed`; a reader who stops early has had his `after`. */
export type BackendStep = `${BackendOperation}:${'before' | 'after' | 'failed'}`

/**
 * Is told each step and waited for. One that throws makes the operation fail with its error; one that never returns (or ends the process) stops it
 * there, which is how failpoints work. `subject` is the key, the prefix of a listing, or undefined for the backend as a whole.
 */
export type BackendObserver = (step: BackendStep, subject: string | undefined) => unknown

/** A backend that behaves as `inner` does and reports every step. */
export function observeBackend(inner: AppendBackend, observe: BackendObserver): AppendBackend
export function observeBackend(inner: Backend, observe: BackendObserver): Backend
export function observeBackend(inner: Backend, observe: BackendObserver): Backend {
  return canAppend(inner) ? new ObservedAppendBackend(inner, observe) : new ObservedBackend(inner, observe)
}

class ObservedBackend implements Backend {
  readonly capabilities: BackendCapabilities
  readonly #inner: Backend
  readonly #observe: BackendObserver

  constructor(inner: Backend, observe: BackendObserver) {
    this.capabilities = inner.capabilities
    this.#inner = inner
    this.#observe = observe
  }

  put(key: ObjectKey, source: ByteSource, options?: { readonly signal?: AbortSignal }): Promise<ObjectInfo> {
    return observed(this.#observe, 'backend.put', key, () => this.#inner.put(key, source, options))
  }

  get(key: ObjectKey, range?: ByteRange): AsyncIterable<Uint8Array> {
    return observedStream(this.#observe, 'backend.get', key, () => this.#inner.get(key, range))
  }

  head(key: ObjectKey): Promise<ObjectInfo | undefined> {
    return observed(this.#observe, 'backend.head', key, () => this.#inner.head(key))
  }

  delete(key: ObjectKey): Promise<void> {
    return observed(this.#observe, 'backend.delete', key, () => this.#inner.delete(key))
  }

  list(prefix: string, after?: ObjectKey): AsyncIterable<ObjectInfo> {
    return observedStream(this.#observe, 'backend.list', prefix, () => this.#inner.list(prefix, after))
  }

  close(): Promise<void> {
    return observed(this.#observe, 'backend.close', undefined, () => this.#inner.close())
  }
}

class ObservedAppendBackend extends ObservedBackend implements AppendBackend {
  readonly #inner: AppendBackend
  readonly #observe: BackendObserver

  constructor(inner: AppendBackend, observe: BackendObserver) {
    super(inner, observe)
    this.#inner = inner
    this.#observe = observe
  }

  async createAppender(key: ObjectKey): Promise<ObjectAppender> {
    const appender = await observed(this.#observe, 'backend.createAppender', key, () => this.#inner.createAppender(key))
    return new ObservedAppender(appender, this.#observe)
  }
}

class ObservedAppender implements ObjectAppender {
  readonly #inner: ObjectAppender
  readonly #observe: BackendObserver

  constructor(inner: ObjectAppender, observe: BackendObserver) {
    this.#inner = inner
    this.#observe = observe
  }

  get key(): ObjectKey {
    return this.#inner.key
  }

  get size(): number {
    return this.#inner.size
  }

  append(pieces: readonly Uint8Array[]): Promise<void> {
    return observed(this.#observe, 'appender.append', this.key, () => this.#inner.append(pieces))
  }

  flush(): Promise<void> {
    return observed(this.#observe, 'appender.flush', this.key, () => this.#inner.flush())
  }

  close(): Promise<void> {
    return observed(this.#observe, 'appender.close', this.key, () => this.#inner.close())
  }
}

async function observed<T>(observe: BackendObserver, operation: BackendOperation, subject: string | undefined, run: () => Promise<T>): Promise<T> {
  await observe(`${operation}:before`, subject)
  let end: 'after' | 'failed' = 'failed'
  try {
    const result = await run()
    end = 'after'
    return result
  } finally {
    await observe(`${operation}:${end}`, subject)
  }
}

async function* observedStream<T>(
  observe: BackendObserver,
  operation: BackendOperation,
  subject: string,
  run: () => AsyncIterable<T>,
): AsyncGenerator<T> {
  await observe(`${operation}:before`, subject)
  let end: 'after' | 'failed' = 'after'
  try {
    yield* run()
  } catch (error) {
    end = 'failed'
    throw error
  } finally {
    await observe(`${operation}:${end}`, subject)
  }
}
