import type { FilePath } from '../core/path.ts'
import type { PutItem, PutOutcome } from '../store/interface.ts'
import { abortedError } from './connection.ts'
import { type BatchSender, bytesTogether, isItemError, type ReadyItem, readyItem } from './put-batches.ts'

/** Requests at once. */
const REQUESTS = 4
/** What goes together in one request, at most. */
const BATCH_ITEMS = 1_000
const BATCH_BYTES = 8 * 1024 * 1024
/** A source that gives nothing for this long, ms, does not keep waiting what it gave before. */
const IDLE_MS = 20

/**
 * Puts many items: gathers small ones to requests, sends a few requests at once, and asks for more items only when there is room. Yields what was settled;
 * slow consumers slow the source.
 */
export class PutMany {
  readonly #sender: BatchSender
  readonly #signal: AbortSignal
  readonly #items: AsyncIterator<PutItem> | Iterator<PutItem>
  #index = 0
  #taking = false
  #ended = false
  /** The item at hand. */
  #item: ReadyItem | undefined
  #batch: ReadyItem[] = []
  #batchBytes = 0
  /** Paths in the batch and on their way: the same path again has to wait, or it would be chance which of the two stays. */
  readonly #busy = new Set<FilePath>()
  #running = 0
  readonly #settled: PutOutcome[] = []
  #failure: { readonly error: unknown } | undefined
  #ring: (() => void) | undefined

  constructor(sender: BatchSender, items: AsyncIterable<PutItem> | Iterable<PutItem>, signal: AbortSignal) {
    this.#sender = sender
    this.#signal = signal
    this.#items = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  }

  async *run(): AsyncGenerator<readonly PutOutcome[], void, undefined> {
    const onAbort = (): void => this.#ring?.()
    this.#signal.addEventListener('abort', onAbort)
    try {
      for (;;) {
        if (this.#signal.aborted) throw abortedError(this.#signal)
        if (this.#failure !== undefined) throw this.#failure.error
        if (this.#settled.length > 0) {
          yield this.#settled.splice(0)
        } else if (!this.#advance()) {
          if (this.#ended && this.#running === 0) return
          await this.#change()
        }
      }
    } finally {
      this.#signal.removeEventListener('abort', onAbort)
      if (!this.#ended) this.#leaveSource()
    }
  }

  /** Does the next thing that can be done. @returns false when there is nothing */
  #advance(): boolean {
    if (this.#item !== undefined && this.#place(this.#item)) {
      this.#item = undefined
      return true
    }
    if (this.#running === REQUESTS) return false
    if (this.#batch.length > 0 && (this.#ended || this.#item !== undefined || this.#isFull())) {
      this.#sendBatch()
      return true
    }
    if (this.#ended || this.#taking || this.#item !== undefined) return false
    this.#take()
    return true
  }

  /** Waits until something has changed. A source that is idle lets the batch go as it is. */
  async #change(): Promise<void> {
    const mayIdle = this.#running === 0 && this.#batch.length > 0
    const timer = mayIdle ? setTimeout(() => this.#sendBatch(), IDLE_MS) : undefined
    await new Promise<void>((resolve) => {
      this.#ring = resolve
    })
    this.#ring = undefined
    clearTimeout(timer)
  }

  #isFull(): boolean {
    return this.#batch.length >= BATCH_ITEMS || this.#batchBytes >= BATCH_BYTES
  }

  /** Puts an item where it belongs, unless its path is busy or there is no room. */
  #place(item: ReadyItem): boolean {
    if (this.#busy.has(item.path)) return false
    const bytes = bytesTogether(item)
    if (bytes !== undefined) {
      if (this.#isFull() || (this.#batch.length > 0 && this.#batchBytes + bytes > BATCH_BYTES)) return false
      this.#batch.push(item)
      this.#batchBytes += bytes
    } else if ('content' in item) {
      if (this.#running === REQUESTS) return false
      void this.#start([item], this.#sender.single(item.index, item.facts, item.content))
    }
    this.#busy.add(item.path)
    return true
  }

  #take(): void {
    const step = this.#attempt(() => this.#items.next())
    if (step instanceof Promise) void this.#later(step, (result) => this.#ready(result))
    else if (step !== undefined) this.#ready(step)
  }

  #ready(step: IteratorResult<PutItem, unknown>): void {
    if (step.done === true) {
      this.#ended = true
      return
    }
    const index = this.#index++
    const item = this.#attempt(() => readyItem(step.value, index), index)
    if (item instanceof Promise) void this.#later(item, (ready) => void (this.#item = ready), index)
    else this.#item = item
  }

  /** Goes on when something of the source has come. Never rejects. */
  async #later<T>(promise: Promise<T>, note: (value: T) => void, index?: number): Promise<void> {
    this.#taking = true
    try {
      const value = await promise
      this.#taking = false
      note(value)
    } catch (error) {
      this.#taking = false
      this.#note(error, index)
    }
    this.#ring?.()
  }

  #attempt<T>(step: () => T, index?: number): T | undefined {
    try {
      return step()
    } catch (error) {
      this.#note(error, index)
      return undefined
    }
  }

  /** What is wrong with one item is its outcome; anything else is the end. */
  #note(error: unknown, index: number | undefined): void {
    if (index !== undefined && isItemError(error)) this.#settled.push({ index, error })
    else this.#failure ??= { error }
  }

  #sendBatch(): void {
    const batch = this.#batch
    this.#batch = []
    this.#batchBytes = 0
    void this.#start(batch, this.#sender.together(batch))
    this.#ring?.()
  }

  /** Never rejects. */
  async #start(items: readonly ReadyItem[], sending: Promise<readonly PutOutcome[]>): Promise<void> {
    this.#running++
    try {
      this.#settled.push(...(await sending))
    } catch (error) {
      this.#note(error, undefined)
    }
    this.#running--
    for (const { path } of items) this.#busy.delete(path)
    this.#ring?.()
  }

  /** A source that waits for something answers only after that, which may be never. */
  #leaveSource(): void {
    const left = (async () => this.#items.return?.())()
    left.catch(() => undefined)
  }
}
