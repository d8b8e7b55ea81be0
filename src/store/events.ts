import { setImmediate as nextTurn } from 'node:timers/promises'
import { CursorGoneError, InputInvalidError } from '../core/errors.ts'
import { authorizeStore, isPerhapsReadable, readableEvents } from './authorization.ts'
import type { StoreContext } from './context.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { type EventTest, eventTest } from './event-filter.ts'
import type { EventFilter, EventPage, Events, StoreEvent } from './event-interface.ts'
import { type VerifiedLog, verifyLog } from './log-verification.ts'
import { pageLimit } from './page-limit.ts'
import { throwIfAborted } from './push-report.ts'

/** Events that are looked at for one page at most: a filter that lets nothing through must not make a page last for ever. */
const LARGEST_SCAN = 10_000
/** Events of a page of {@link EmbeddedEvents.pages} at most: what a slow consumer keeps in memory. */
const PAGE = 64
const HEARTBEAT_MS = 15_000
const LONGEST_WAIT_MS = 3_600_000

interface Query {
  readonly wants: EventTest
  readonly resource: string | undefined
  readonly limit: number
  readonly waitMs: number
  readonly signal: AbortSignal | undefined
}

/** The event log of an embedded store. */
export class EmbeddedEvents implements Events {
  readonly #context: StoreContext

  constructor(context: StoreContext) {
    this.#context = context
  }

  async list(options: Parameters<Events['list']>[0] = {}): Promise<EventPage> {
    const query = this.#query(options, pageLimit(options.limit), options.waitMs ?? 0)
    const after = position(this.#context.logId, options.after)
    // Who waits is told of what comes; who does not sees what is committed now.
    await (query.waitMs === 0 ? this.#context.eventHub.refresh() : this.#context.eventHub.keepUp())
    const { events, seq } = await this.#page(await this.#known(after), query)
    throwIfAborted(options.signal)
    return { events, cursor: this.#cursor(seq) }
  }

  async *pages(options: Parameters<Events['pages']>[0] = {}): AsyncGenerator<EventPage, void, undefined> {
    const query = this.#query(options, PAGE, options.heartbeatMs ?? HEARTBEAT_MS)
    if (query.waitMs === 0) throw new InputInvalidError('a sign of life needs some time before it')
    const after = position(this.#context.logId, options.after)
    await this.#context.eventHub.keepUp()
    let page = await this.#page(await this.#known(after), { ...query, waitMs: 0 })
    while (!isAborted(query.signal)) {
      yield { events: page.events, cursor: this.#cursor(page.seq) }
      page = await this.#page(page.seq, query)
    }
  }

  async *follow(options: Parameters<Events['follow']>[0] = {}): AsyncGenerator<StoreEvent, void, undefined> {
    for await (const { events } of this.pages(options)) {
      for (const event of events) {
        if (isAborted(options.signal)) return
        yield event
      }
    }
  }

  async verify(): Promise<VerifiedLog> {
    authorizeStore(this.#context, 'admin')
    const { registry, backend, storeId, logId } = this.#context
    return verifyLog({ reader: registry.reader, backend, storeId, logId })
  }

  #query(filter: EventFilter & { readonly signal?: AbortSignal }, limit: number, waitMs: number): Query {
    if (!(waitMs >= 0 && waitMs <= LONGEST_WAIT_MS)) throw new InputInvalidError(`waiting takes 0 to ${LONGEST_WAIT_MS} ms, not ${String(waitMs)}`)
    const test = eventTest(filter)
    return {
      wants: (event) => test(event) && isPerhapsReadable(this.#context, event),
      resource: filter.resource,
      limit,
      waitMs,
      signal: filter.signal,
    }
  }

  /** @throws CursorGoneError for a position beyond the end: its owner saw events that this log does not have */
  async #known(seq: number): Promise<number> {
    const { eventHub } = this.#context
    if (seq > eventHub.window.head) await eventHub.refresh()
    if (seq <= eventHub.window.head) return seq
    throw new CursorGoneError(`the cursor points beyond event ${eventHub.window.head}, where the log ends; start again from the beginning`)
  }

  /** What is wanted after a position, and up to where was looked. */
  async #page(after: number, query: Query): Promise<{ readonly events: readonly StoreEvent[]; readonly seq: number }> {
    const { eventHub } = this.#context
    const { wants, resource, limit, signal } = query
    const until = performance.now() + query.waitMs
    const found: StoreEvent[] = []
    let seq = after
    for (let looked = 0; looked < LARGEST_SCAN && !isAborted(signal);) {
      const { events, through } = await eventHub.window.after(seq, resource)
      for (const event of await readableEvents(this.#context, events.filter(wants))) {
        if (found.push(event) === limit) return { events: found, seq: event.seq }
      }
      looked += events.length
      if (through === seq) {
        if (found.length > 0 || performance.now() >= until) break
        seq = await eventHub.wait({ after: seq, wants, until, signal })
        continue
      }
      seq = through
      // SQLite answers at once, and so does memory: somebody who reads the whole log must not keep everybody else waiting.
      if (seq < eventHub.window.head) await nextTurn()
    }
    return { events: found, seq }
  }

  #cursor(seq: number): string {
    return encodeCursor([this.#context.logId, seq])
  }
}

/** The event after which somebody goes on. @throws InputInvalidError for what is no cursor; CursorGoneError for one of another log */
function position(logId: string, cursor: string | undefined): number {
  if (cursor === undefined) return 0
  const [log, seq] = decodeCursor(cursor, ['string', 'number'])
  if (seq < 0) throw new InputInvalidError('not a position this store gave out')
  if (log !== logId)
    throw new CursorGoneError(
      'the cursor belongs to another log: this one was recovered with losses, or is another store; start again from the beginning',
    )
  return seq
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}
