import { AbortedError } from '../core/errors.ts'
import type { Backend } from '../ports/backend.ts'
import type { DataPlaneHost, Ingested, IngestItem, Resolve } from '../ports/data-plane.ts'
import { abortedError, piecesOf } from '../ports/source.ts'
import { Bell } from './bell.ts'
import type { ByteBudget } from './byte-budget.ts'
import type { FileThreads } from './file-threads.ts'
import { largeSource, sizeOf, SMALL_BYTES, startStream, WatchedSource } from './ingest-source.ts'
import { hashWindow, mismatch } from './ingest-window.ts'
import type { WindowItem } from './ingest-window.ts'
import type { PackSink } from './pack-writer.ts'
import { placementEntries, putWhole } from './whole-object.ts'
import { appendWindow, packsOf, RecentPlacements } from './window-store.ts'
import type { Appended } from './window-store.ts'
import type { WriteGate } from './write-gate.ts'

/** What all calls of a data plane share. */
export interface IngestContext {
  readonly backend: Backend
  readonly host: DataPlaneHost
  readonly gate: WriteGate
  readonly sink: PackSink
  readonly threads: FileThreads
  readonly budget: ByteBudget
}

/** How a call is asked for. */
export interface IngestOptions {
  readonly resolve: Resolve
  readonly signal?: AbortSignal
}

const WINDOW_ITEMS = 1000
const WINDOW_BYTES = 4 * 1024 * 1024
/** A window of this many items surely holds something that must be stored. */
const BULK_ITEMS = 100
/** Windows and large blobs of one call that are in the works or wait for the consumer. */
const SLOTS = 4
/** Large blobs of one call written at the same time: one is flushed while the next is hashed. */
const LARGE_AT_ONCE = 2
/** What a large blob holds in memory: two blocks, and what the backend stages. */
const LARGE_HOLDS = 3 * 1024 * 1024

interface Window {
  readonly items: WindowItem[]
  bytes: number
}

/**
 * One call of `ingestMany`. Items are gathered into windows; while one window is flushed and recorded by the consumer, the next ones are read, hashed
 * and compressed. A window is closed when it is full, when memory is short, or when the source is silent and nothing else is in the works, so that
 * nobody waits for a source. What is held of the shared memory never waits for the consumer.
 */
export class IngestCall {
  readonly #context: IngestContext
  readonly #resolve: Resolve
  readonly #stop = new AbortController()
  /** Rung at every change of what follows. */
  readonly #bell = new Bell()
  readonly #ready: (readonly Ingested[])[] = []
  readonly #recent = new RecentPlacements()
  #window: Window | undefined
  #slots = SLOTS
  #working = 0
  #large = 0
  /** Windows are appended in order, the next one after the last one. */
  #appending: Promise<unknown> = Promise.resolve()
  #failure: { readonly error: unknown } | undefined
  #ended = false

  constructor(context: IngestContext, options: IngestOptions) {
    this.#context = context
    this.#resolve = options.resolve
  }

  /** Runs the call; see `DataPlane.ingestMany`. */
  async *run(items: AsyncIterable<IngestItem> | Iterable<IngestItem>, signal: AbortSignal | undefined): AsyncGenerator<readonly Ingested[]> {
    const onAbort = (): void => {
      if (signal !== undefined) this.#fail(abortedError(signal))
    }
    signal?.addEventListener('abort', onAbort)
    if (signal?.aborted === true) onAbort()
    const produced = this.#produce(items)
    try {
      for (;;) {
        if (this.#failure?.error instanceof AbortedError) throw this.#failure.error
        const outcomes = this.#ready.shift()
        if (outcomes !== undefined) {
          yield outcomes
          this.#recent.forget(outcomes)
          this.#slots += 1
          this.#bell.ring()
        } else if (this.#failure !== undefined) {
          throw this.#failure.error
        } else if (this.#ended) {
          return
        } else {
          await this.#bell.wait()
        }
      }
    } finally {
      signal?.removeEventListener('abort', onAbort)
      this.#fail(new AbortedError('nobody consumes the outcomes'))
      await produced
    }
  }

  /** Goes through the source. Never rejects. */
  async #produce(items: AsyncIterable<IngestItem> | Iterable<IngestItem>): Promise<void> {
    try {
      if (Symbol.asyncIterator in items) await this.#consume(items[Symbol.asyncIterator]())
      else await this.#consume(items[Symbol.iterator]())
      this.#dispatch()
      while (this.#working > 0) await this.#bell.wait()
      this.#ended = true
      this.#bell.ring()
    } catch (error) {
      // What is complete is still handed out.
      if (this.#failure === undefined) this.#dispatch()
      else this.#discard()
      while (this.#working > 0) await this.#bell.wait()
      this.#fail(error)
    }
  }

  async #consume(iterator: AsyncIterator<IngestItem> | Iterator<IngestItem>): Promise<void> {
    let inside = false
    let ended = false
    try {
      for (let index = 0; ; index += 1) {
        inside = true
        const next = iterator.next()
        const step = next instanceof Promise ? await this.#patiently(next) : next
        inside = false
        ended = step.done === true
        if (step.done === true) return
        await this.#accept(index, step.value)
      }
    } finally {
      const stopped = ended ? undefined : (async () => iterator.return?.())()
      // A generator that waits for something answers only after that, which may be never.
      if (inside) stopped?.catch(() => undefined)
      else await stopped
    }
  }

  async #accept(index: number, item: IngestItem): Promise<void> {
    const size = sizeOf(item)
    if (item.source.kind === 'stream') return this.#acceptStream(index, item, item.source.stream)
    if (size !== undefined && size > SMALL_BYTES) return this.#startLarge(index, item)
    await this.#reserve(size ?? 0)
    const { source } = item
    this.#window?.items.push(source.kind === 'bytes' ? { index, item, bytes: source.bytes } : { index, item, file: source })
  }

  /** Streams are read to their end before the next item is asked for: in an archive they are one stream. */
  async #acceptStream(index: number, item: IngestItem, stream: AsyncIterable<Uint8Array>): Promise<void> {
    const start = await this.#patiently(startStream(piecesOf(stream, this.#stop.signal)))
    if (start.kind === 'large') {
      await this.#startLarge(index, item, start.source)
      return this.#until(() => this.#large === 0)
    }
    await this.#reserve(start.kind === 'small' ? start.bytes.length : 0)
    this.#window?.items.push(start.kind === 'small' ? { index, item, bytes: start.bytes } : { index, error: start.error })
  }

  /** Makes room for one more item in the window, or opens a new one. */
  async #reserve(bytes: number): Promise<void> {
    const { budget } = this.#context
    const window = this.#window
    if (window !== undefined) {
      const fits = window.items.length < WINDOW_ITEMS && window.bytes + bytes <= WINDOW_BYTES && budget.tryTake(bytes)
      if (fits) {
        window.bytes += bytes
        return
      }
      this.#dispatch()
    }
    await this.#slot()
    await this.#take(bytes)
    this.#window = { items: [], bytes }
  }

  async #slot(): Promise<void> {
    await this.#until(() => this.#slots > 0)
    this.#slots -= 1
  }

  async #take(bytes: number): Promise<void> {
    await this.#context.budget.take(bytes)
    if (this.#failure === undefined) return
    this.#context.budget.give(bytes)
    throw this.#failure.error
  }

  /** Waits for a source. If it stays silent and nothing is in the works, what was gathered is stored meanwhile. */
  async #patiently<T>(promise: Promise<T>): Promise<T> {
    let settled = false
    const settle = (): void => {
      settled = true
      this.#bell.ring()
    }
    promise.then(settle, settle)
    // One turn of the event loop is not yet silence.
    let silent = false
    const turn = setImmediate(() => {
      silent = true
      this.#bell.ring()
    })
    for (;;) {
      await this.#until(() => settled || (silent && this.#working === 0 && this.#window !== undefined))
      if (!settled) {
        this.#dispatch()
        continue
      }
      clearImmediate(turn)
      return promise
    }
  }

  async #until(condition: () => boolean): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error
      if (condition()) return
      await this.#bell.wait()
    }
  }

  /** Sends the window on its way. */
  #dispatch(): void {
    const window = this.#window
    if (window === undefined) return
    this.#window = undefined
    // While it is hashed a pack is made ready: of so many, some will be new.
    if (window.items.length >= BULK_ITEMS) this.#context.sink.prepare()
    const hashed = hashWindow(window.items, this.#context.threads)
    const appended = Promise.all([hashed, this.#appending]).then(async ([ready]): Promise<Appended> => {
      try {
        if (this.#failure !== undefined) throw this.#failure.error
        return await appendWindow(ready, this.#context.sink, this.#resolve, this.#recent)
      } finally {
        ready.release()
      }
    })
    this.#appending = appended.catch(() => undefined)
    this.#work(appended.then((ready) => this.#flushed(ready)))
      .finally(() => this.#context.budget.give(window.bytes))
      .catch(() => undefined)
  }

  #discard(): void {
    if (this.#window !== undefined) this.#context.budget.give(this.#window.bytes)
    this.#window = undefined
  }

  async #startLarge(index: number, item: IngestItem, source: AsyncIterable<Uint8Array> = largeSource(item)): Promise<void> {
    if (this.#large < LARGE_AT_ONCE && this.#slots > 0 && this.#context.budget.tryTake(LARGE_HOLDS)) {
      this.#slots -= 1
    } else {
      // Nothing may be held while waiting.
      this.#dispatch()
      await this.#until(() => this.#large < LARGE_AT_ONCE)
      await this.#slot()
      await this.#take(LARGE_HOLDS)
    }
    this.#large += 1
    this.#work(this.#storeLarge(index, item, source))
      .finally(() => {
        this.#large -= 1
        this.#context.budget.give(LARGE_HOLDS)
        this.#bell.ring()
      })
      .catch(() => undefined)
  }

  async #storeLarge(index: number, item: IngestItem, source: AsyncIterable<Uint8Array>): Promise<readonly Ingested[]> {
    const { backend, host, gate, sink } = this.#context
    gate.assertOpen()
    const { objectId, key } = await host.allocate('whole')
    const watched = new WatchedSource(source, item.expectedSize)
    let whole
    try {
      whole = await gate.write(() => putWhole(backend, key, watched, this.#stop.signal))
    } catch (cause) {
      if (watched.failure === undefined) throw cause
      await host.dropped(objectId)
      return [{ index, error: watched.failure }]
    }
    const { digest, size, checksums } = whole
    const error = mismatch(item, digest, size)
    const known = this.#recent.get(digest)
    const [held] = error === undefined ? await this.#resolve([{ index, digest, size }]) : []
    if (error !== undefined || held === true || known !== undefined) {
      await backend.delete(key)
      await host.dropped(objectId)
    }
    if (error !== undefined) return [{ index, error }]
    if (held === true) return [{ index, digest, size, placement: undefined }]
    if (known !== undefined) return this.#flushed({ outcomes: [{ index, digest, size, placement: known.placement }], packs: known.packs })
    const packs = packsOf(await sink.append(placementEntries(whole, key, item.content ?? 'chunk')))
    const placement = { objectId, kind: 'whole', offset: 0, storedLength: size, codec: 'raw', checksums } as const
    this.#recent.set(digest, { placement, packs })
    return this.#flushed({ outcomes: [{ index, digest, size, placement }], packs })
  }

  async #flushed({ outcomes, packs }: Appended): Promise<readonly Ingested[]> {
    if (packs.size > 0) await this.#context.sink.flush(packs)
    return outcomes
  }

  /** Counts what is in the works; its outcomes are handed to the consumer, its failure ends the call. */
  async #work(outcomes: Promise<readonly Ingested[]>): Promise<void> {
    this.#working += 1
    try {
      this.#ready.push(await outcomes)
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#working -= 1
      this.#bell.ring()
    }
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return
    this.#failure = { error }
    this.#stop.abort(error)
    this.#bell.ring()
  }
}
