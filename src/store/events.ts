import { setTimeout as sleep } from 'node:timers/promises'
import { InputInvalidError } from '../core/errors.ts'
import { formatTime, type LoggedEvent } from '../core/event.ts'
import { getLogHead, listEvents } from '../registry/events.ts'
import type { StoreContext } from './context.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import type { Events, StoreEvent } from './interface.ts'
import { type VerifiedLog, verifyLog } from './log-verification.ts'
import { pageLimit } from './page-limit.ts'

/** How often a follower looks for events of other processes. */
const POLL_MS = 250
const PAGE = 1_000

/** The event log of an embedded store. */
export class EmbeddedEvents implements Events {
  readonly #context: StoreContext

  constructor(context: StoreContext) {
    this.#context = context
  }

  async list(options: { readonly after?: string; readonly limit?: number } = {}): Promise<readonly StoreEvent[]> {
    const events = await listEvents(this.#context.registry.reader, await this.#position(options.after), pageLimit(options.limit))
    return events.map((event) => this.#publicEvent(event))
  }

  async *follow(options: { readonly after?: string; readonly signal?: AbortSignal } = {}): AsyncGenerator<StoreEvent, void, undefined> {
    const { signal } = options
    let after = await this.#position(options.after)
    while (!isAborted(signal)) {
      const page = await listEvents(this.#context.registry.reader, after, PAGE)
      for (const event of page) {
        if (isAborted(signal)) return
        yield this.#publicEvent(event)
        after = event.seq
      }
      if (page.length < PAGE) await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
    }
  }

  verify(): Promise<VerifiedLog> {
    const { registry, backend, storeId, logId } = this.#context
    return verifyLog({ reader: registry.reader, backend, storeId, logId })
  }

  /** @throws InputInvalidError for a cursor of another log, or from the future: both mean that events this consumer saw are not this log's */
  async #position(cursor: string | undefined): Promise<number> {
    if (cursor === undefined) return 0
    const [logId, seq] = decodeCursor(cursor, ['string', 'number'])
    if (logId !== this.#context.logId) throw new InputInvalidError('the cursor belongs to another log; start again from the beginning')
    const head = await getLogHead(this.#context.registry.reader)
    if (seq > head.seq) throw new InputInvalidError(`the cursor points beyond event ${head.seq}, where the log ends`)
    return seq
  }

  #publicEvent(event: LoggedEvent): StoreEvent {
    const { seq, id, type, tenant, resource, actor, data } = event
    const cursor = encodeCursor([this.#context.logId, seq])
    return { cursor, seq, id, type, time: formatTime(event.time), tenant, resource, actor, data, hash: Buffer.from(event.hash).toString('hex') }
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}
