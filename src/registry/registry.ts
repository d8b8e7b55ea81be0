import { setTimeout as sleep } from 'node:timers/promises'
import { BackendFailedError, ClosedError, RegistryBusyError, StoreReadOnlyError, type StoreError } from '../core/errors.ts'
import { type Clock, systemClock } from '../ports/clock.ts'
import type { Connection, Database } from './dialect.ts'
import { appendEvents, type Timekeeper } from './events.ts'
import { Session } from './statement.ts'

/** How long a commit waits for other writers before it gives up. */
const WRITE_DEADLINE_MS = 30_000
/** A transaction stops taking in more work after this long, so that other processes wait little. */
const BATCH_BUDGET_MS = 8
/** After holding the lock this long without a pause, a process lets the others in. */
const YIELD_AFTER_MS = 8
/** Longer than the pause between two tries of a waiting process, so that a try falls into it. */
const YIELD_MS = 2

/** How to watch and time a registry. */
export interface RegistryOptions {
  readonly clock?: Clock
  readonly observe?: ((step: string) => void) | undefined
  /** How long a transaction takes in more work, milliseconds; default 8. */
  readonly batchBudget?: number
}

/** Work inside a write transaction. It may run twice (alone, after its batch was rolled back), and awaits nothing but the session. */
export type WriteWork<T> = (session: Session) => Promise<T>

interface Pending {
  readonly label: string
  readonly work: WriteWork<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/**
 * The registry's transactions. Writes are gathered: all that waits is committed in one transaction with one flush, and answered after it. A piece of
 * work that fails before it changed anything fails alone; otherwise the batch is rolled back and its pieces are retried one by one.
 */
export class Registry {
  readonly #database: Database
  readonly #reader: Session
  readonly #queue: Pending[] = []
  readonly #observe: ((step: string) => void) | undefined
  #timekeeper: Timekeeper
  readonly #budget: number
  #pumping: Promise<void> | undefined
  #closed = false
  #readOnly: StoreError | undefined
  readonly #listeners: (() => void)[] = []
  /** When the lock was last let go, and how long it has been held since the last pause. */
  #released = 0
  #held = 0

  constructor(database: Database, options: RegistryOptions = {}) {
    this.#database = database
    const clock = options.clock ?? systemClock
    this.#timekeeper = { stamp: () => Promise.resolve({ time: clock.now(), before: [] }) }
    this.#budget = options.batchBudget ?? BATCH_BUDGET_MS
    this.#reader = new Session(database.dialect, database.reader)
    this.#observe = options.observe
  }

  /** Reads what is committed. */
  get reader(): Session {
    return this.#reader
  }

  /** Why nothing can be written, if so. */
  get readOnly(): StoreError | undefined {
    return this.#readOnly
  }

  /** Is told after each commit that added events, as long as the registry is open. */
  onEvents(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** From now on this one says what time events have. */
  keepTimeBy(timekeeper: Timekeeper): void {
    this.#timekeeper = timekeeper
  }

  /** From now on every write fails with this error. */
  refuseWrites(reason: StoreError): void {
    this.#readOnly ??= reason
  }

  /**
   * Commits a piece of work together with whatever else waits. Resolves once it is durable. `label` names the step for tracing and fault injection.
   * @throws RegistryBusyError after 30 s of waiting for other writers; StorageFullError; StoreReadOnlyError; what the work throws
   */
  write<T>(label: string, work: WriteWork<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new ClosedError('the store is closed'))
    return new Promise<T>((resolve, reject) => {
      // Sound: `resolve` gets exactly what `work` returned.
      this.#queue.push({ label, work, resolve: resolve as (value: unknown) => void, reject })
      this.#pumping ??= this.#pump()
    })
  }

  /** Waits for what was asked, then closes. */
  async close(): Promise<void> {
    this.#closed = true
    while (this.#pumping !== undefined) await this.#pumping
    await this.#database.close()
  }

  async #pump(): Promise<void> {
    // What is asked in the same turn of the event loop shares a transaction.
    await Promise.resolve()
    while (this.#queue.length > 0) {
      await this.#letOthersIn()
      const batch: Pending[] = []
      try {
        await this.#commitSome(batch)
      } catch (error) {
        if (batch.length === 0) this.#queue.shift()?.reject(error)
        for (const pending of batch) pending.reject(error)
      }
    }
    this.#pumping = undefined
  }

  async #letOthersIn(): Promise<void> {
    if (performance.now() - this.#released >= YIELD_MS) this.#held = 0
    if (this.#held < YIELD_AFTER_MS) return
    await sleep(YIELD_MS)
    this.#held = 0
  }

  async #begin(): Promise<Connection> {
    if (this.#readOnly !== undefined) throw this.#readOnly
    const deadline = performance.now() + WRITE_DEADLINE_MS
    for (;;) {
      const connection = await this.#database.begin()
      if (connection !== undefined) return connection
      if (performance.now() > deadline) throw new RegistryBusyError('other writers kept the registry busy for 30 s; try again')
      await sleep(1)
    }
  }

  async #commitSome(batch: Pending[]): Promise<void> {
    const connection = await this.#begin()
    const started = performance.now()
    const outcomes: (() => void)[] = []
    let retry = false
    try {
      const session = new Session(this.#database.dialect, connection)
      for (let next = this.#queue.shift(); next !== undefined; next = performance.now() - started < this.#budget ? this.#queue.shift() : undefined) {
        batch.push(next)
        const pending = next
        const before = session.changes
        try {
          const value = await pending.work(session)
          outcomes.push(() => pending.resolve(value))
        } catch (error) {
          if (session.changes !== before) {
            if (batch.length > 1) retry = true
            throw error
          }
          outcomes.push(() => pending.reject(error))
        }
      }
      await this.#commit(session, batch)
    } catch (error) {
      await this.#database.rollback()
      if (!retry) {
        throw this.#asFinal(error)
      }
    } finally {
      this.#released = performance.now()
      this.#held += this.#released - started
    }
    if (retry) return this.#oneByOne(batch.splice(0))
    for (const settle of outcomes) settle()
    batch.length = 0
  }

  async #oneByOne(batch: readonly Pending[]): Promise<void> {
    for (const pending of batch) {
      await this.#letOthersIn()
      try {
        const connection = await this.#begin()
        const started = performance.now()
        try {
          const session = new Session(this.#database.dialect, connection)
          const value = await pending.work(session)
          await this.#commit(session, [pending])
          pending.resolve(value)
        } catch (error) {
          await this.#database.rollback()
          throw this.#asFinal(error)
        } finally {
          this.#released = performance.now()
          this.#held += this.#released - started
        }
      } catch (error) {
        pending.reject(error)
      }
    }
  }

  /** Numbers the events, which holds the head of the log for as short as can be, and commits. */
  async #commit(session: Session, batch: readonly Pending[]): Promise<void> {
    await appendEvents(session, this.#timekeeper)
    for (const { label } of batch) this.#observe?.(`registry.${label}:before-commit`)
    await this.#database.commit()
    for (const { label } of batch) this.#observe?.(`registry.${label}:committed`)
    if (session.events.length > 0) for (const listener of this.#listeners) listener()
  }

  /** A flush that fails is final: what the kernel did with the pages is unknown, so nothing more is written (STORAGE section 3). */
  #asFinal(error: unknown): unknown {
    if (!(error instanceof BackendFailedError && error.detail['flush'] === true)) return error
    const final = new StoreReadOnlyError('the registry could not be written or flushed; this process writes nothing more', { cause: error })
    this.refuseWrites(final)
    return final
  }
}
