import { ClosedError } from '../core/errors.ts'
import type { Session } from '../registry/statement.ts'
import { repositoryOf } from './event-filter.ts'
import { EventWindow } from './event-window.ts'
import type { StoreEvent } from './event-interface.ts'
import { PublicRepositories } from './public-repositories.ts'

/** How often the log is looked at for events of other processes while somebody waits, and waiting that is over is ended, in ms. */
const TICK_MS = 250

/** Somebody who has seen the log up to `after`. */
export interface Waiting {
  readonly after: number
  readonly wants: (event: StoreEvent) => boolean
  /** When to give up, on the clock of `performance.now()`. This, and the signal, are looked at four times a second. */
  readonly until: number
  readonly signal?: AbortSignal | undefined
}

interface Waiter extends Waiting {
  /** Up to here there was nothing that it wants. */
  seen: number
  readonly resolve: (seen: number) => void
  readonly reject: (error: unknown) => void
}

/**
 * Where the followers of this process wait. However many there are, each new event is read once, tried against what each of them wants, and only
 * those are woken; there is one timer for all. Commits of this process are told at once, those of others are found within a quarter of a second.
 */
export class EventHub {
  readonly window: EventWindow
  readonly publicRepositories: PublicRepositories
  readonly #waiters = new Set<Waiter>()
  #timer: NodeJS.Timeout | undefined
  #reading: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined
  #closed = false

  constructor(reader: Session, logId: string) {
    this.window = new EventWindow(reader, logId)
    this.publicRepositories = new PublicRepositories(reader)
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiters.size
  }

  /** Events were committed by this process. */
  notice(): void {
    if (this.#waiters.size > 0) this.#look()
  }

  /**
   * Brings the window up to what is committed now. A read that is under way may have begun before that: one more is made, for all who ask meanwhile.
   * @throws ClosedError when the store is closed
   */
  refresh(): Promise<void> {
    if (this.#closed) return Promise.reject(new ClosedError('the store is closed'))
    this.#next ??= this.#reading
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        this.#reading = this.#read()
        return this.#reading
      })
    return this.#next
  }

  /** The same, as of a quarter of a second ago: costs nothing while somebody waits. */
  async keepUp(): Promise<void> {
    if (this.#timer === undefined) await this.refresh()
  }

  /**
   * Waits for an event that is wanted, until the time is over, or the signal aborts.
   * @returns the position up to which there is nothing that is wanted
   * @throws ClosedError when the store is closed; what looking at the log met
   */
  wait(waiting: Waiting): Promise<number> {
    if (this.#closed) return Promise.reject(new ClosedError('the store is closed'))
    const { after, signal } = waiting
    if (this.window.head > after || signal?.aborted === true) return Promise.resolve(after)
    return new Promise((resolve, reject) => {
      this.#waiters.add({ ...waiting, seen: after, resolve, reject })
      if (this.#timer !== undefined) return
      // Nobody looked while nobody waited.
      this.#timer = setInterval(() => this.#tick(), TICK_MS)
      this.#look()
    })
  }

  /** Nobody can wait any more. */
  close(): void {
    this.#closed = true
    this.#failAll(new ClosedError('the store is closed'))
  }

  #tick(): void {
    const now = performance.now()
    for (const waiter of this.#waiters) if (waiter.until <= now || waiter.signal?.aborted === true) this.#wake(waiter)
    if (this.#waiters.size > 0) this.#look()
  }

  #look(): void {
    this.refresh().catch((error: unknown) => this.#failAll(error))
  }

  async #read(): Promise<void> {
    const events = await this.window.advance()
    for (const event of events ?? []) {
      const repository = repositoryOf(event)
      // Asked once, before each of the waiting asks.
      if (repository !== undefined) await this.publicRepositories.has(repository)
    }
    for (const waiter of this.#waiters) this.#show(waiter, events)
  }

  #show(waiter: Waiter, events: readonly StoreEvent[] | undefined): void {
    // More happened than is in memory: it looks for itself.
    if (events === undefined) return this.#wake(waiter)
    // It may have begun to wait, and have seen these, while it was found out what is public.
    const first = events.find((event) => event.seq > waiter.seen && waiter.wants(event))
    waiter.seen = first === undefined ? this.window.head : first.seq - 1
    if (first !== undefined) this.#wake(waiter)
  }

  #wake(waiter: Waiter): void {
    this.#remove(waiter)
    waiter.resolve(waiter.seen)
  }

  #failAll(error: unknown): void {
    for (const waiter of this.#waiters) {
      this.#remove(waiter)
      waiter.reject(error)
    }
  }

  #remove(waiter: Waiter): void {
    this.#waiters.delete(waiter)
    if (this.#waiters.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
