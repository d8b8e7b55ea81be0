import { CursorGoneError, StoreError } from '../../core/errors.ts'
import type { OutgoingMessage } from '../../ports/event-sink.ts'
import { addDeadLetter, type DeliveryPosition, findDelivery, noteDeliveryFailure, saveDelivery } from '../../registry/deliveries.ts'
import { acquireNamedLease, extendLease, releaseLease } from '../../registry/leases.ts'
import type { Session } from '../../registry/statement.ts'
import type { StoreContext } from '../context.ts'
import { decodeCursor, encodeCursor } from '../cursor.ts'
import type { EventPage, StoreEvent } from '../event-interface.ts'
import type { Store } from '../interface.ts'
import type { DeliveryTarget } from './delivery-target.ts'

/** What a run came to. `busy`: another process is telling this target. */
export type DeliveryResult =
  | { readonly outcome: 'caught-up'; readonly seq: number }
  | { readonly outcome: 'busy' | 'stopped' }
  | { readonly outcome: 'failed'; readonly reason: string; readonly failures: number; readonly retryAfterMs: number | undefined }

/** Longer than one attempt may take, so that whoever is at it stays alone at it. */
const LEASE_MS = 15_000
/** One attempt may take this long, whatever the sink says, ms. */
const ATTEMPT_MS = 12_000
const PAGE = 100
/** Longest reason that is kept, characters. */
const LONGEST_REASON = 500

/** Thrown by nobody else: the lease went to another process. */
class LeaseGone extends Error {}

/**
 * Tells one target what it was not told yet, one event after the other. The position follows each event that was taken; if the process dies in between,
 * that event comes again. Only one process at a time does it, elected by a lease.
 */
export class DeliveryRun {
  readonly #context: StoreContext
  readonly #store: Store
  readonly #target: DeliveryTarget
  readonly #lease: number
  readonly #signal: AbortSignal
  #position: DeliveryPosition

  private constructor(context: StoreContext, store: Store, target: DeliveryTarget, lease: number, position: DeliveryPosition, signal: AbortSignal) {
    this.#context = context
    this.#store = store
    this.#target = target
    this.#lease = lease
    this.#position = position
    this.#signal = signal
  }

  /** Goes on until the target knows all there is, an attempt fails, or the signal aborts. */
  static async perform(context: StoreContext, store: Store, target: DeliveryTarget, signal: AbortSignal): Promise<DeliveryResult> {
    const { registry, writer, logId } = context
    const lease = await registry.write('delivery-lease', (session) => acquireNamedLease(session, writer.owner, leaseName(target), LEASE_MS))
    if (lease === undefined) return { outcome: 'busy' }
    try {
      const found = await findDelivery(registry.reader, target.name)
      // What it was told of another log was lost with that: this one begins anew, and event ids say what was told before.
      const position = found?.logId === logId ? found : { logId, seq: 0 }
      const run = new DeliveryRun(context, store, target, lease, { logId: position.logId, seq: position.seq }, signal)
      return await run.#catchUp()
    } finally {
      await registry.write('delivery-release', (session) => releaseLease(session, lease, writer.owner))
    }
  }

  async #catchUp(): Promise<DeliveryResult> {
    try {
      for (;;) {
        const { events, cursor } = await this.#nextPage()
        const through = seqOf(cursor)
        for (const event of events) {
          if (this.#signal.aborted) return { outcome: 'stopped' }
          await this.#deliver(event)
        }
        if (through === this.#position.seq && events.length === 0) return { outcome: 'caught-up', seq: through }
        // What was only looked at is noted once a page: to look at it again costs little.
        if (through > this.#position.seq) await this.#advance(through)
      }
    } catch (error) {
      if (error instanceof LeaseGone) return { outcome: 'busy' }
      if (this.#signal.aborted) return { outcome: 'stopped' }
      return await this.#failed(error)
    }
  }

  async #nextPage(): Promise<EventPage> {
    const { wants } = this.#target
    const at = (seq: number): Promise<EventPage> =>
      this.#store.events.list({ ...wants, after: encodeCursor([this.#position.logId, seq]), limit: PAGE, signal: this.#signal })
    try {
      return await at(this.#position.seq)
    } catch (error) {
      if (!(error instanceof CursorGoneError)) throw error
      this.#position = { ...this.#position, seq: 0 }
      return at(0)
    }
  }

  async #deliver(event: StoreEvent): Promise<void> {
    const rendered = await this.#render(event)
    if (rendered === undefined) return
    await this.#commit('delivery-attempt', () => Promise.resolve())
    const outcome =
      'problem' in rendered
        ? { outcome: 'rejected' as const, reason: rendered.problem }
        : await this.#target.sink.deliver({ id: event.id, ...rendered }, { signal: AbortSignal.any([this.#signal, AbortSignal.timeout(ATTEMPT_MS)]) })
    const position = { ...this.#position, seq: event.seq }
    await this.#commit('delivered', async (session) => {
      if (outcome.outcome === 'rejected') {
        const reason = outcome.reason.slice(0, LONGEST_REASON)
        await addDeadLetter(session, { target: this.#target.name, ...position, eventId: event.id, reason })
      }
      await saveDelivery(session, this.#target.name, position)
    })
    this.#position = position
  }

  /** What cannot be said today and never will must not keep what follows from being said. */
  async #render(event: StoreEvent): Promise<Omit<OutgoingMessage, 'id'> | { readonly problem: string } | undefined> {
    try {
      return await this.#target.render(event, this.#store)
    } catch (error) {
      if (!(error instanceof StoreError) || error.retryable || error.code === 'closed') throw error
      return { problem: `it could not be told: ${error.message}` }
    }
  }

  async #advance(seq: number): Promise<void> {
    const position = { ...this.#position, seq }
    await this.#commit('delivery-position', (session) => saveDelivery(session, this.#target.name, position))
    this.#position = position
  }

  /** Writes only while this process holds the lease: whoever took it over goes on from what is written. */
  async #commit(label: string, work: (session: Session) => Promise<void>): Promise<void> {
    const { registry, writer } = this.#context
    const isOurs = await registry.write(label, async (session) => {
      if (!(await extendLease(session, this.#lease, writer.owner, LEASE_MS))) return false
      await work(session)
      return true
    })
    if (!isOurs) throw new LeaseGone()
  }

  async #failed(error: unknown): Promise<DeliveryResult> {
    const reason = (error instanceof Error ? error.message : String(error)).slice(0, LONGEST_REASON)
    const { registry } = this.#context
    await registry.write('delivery-failed', (session) => noteDeliveryFailure(session, this.#target.name, this.#position, reason))
    const failures = (await findDelivery(registry.reader, this.#target.name))?.failures ?? 1
    const asked = error instanceof StoreError ? error.detail['retryAfterMs'] : undefined
    return { outcome: 'failed', reason, failures, retryAfterMs: typeof asked === 'number' ? asked : undefined }
  }
}

function leaseName({ name }: DeliveryTarget): string {
  return `delivery:${name}`
}

function seqOf(cursor: string): number {
  return decodeCursor(cursor, ['string', 'number'])[1]
}
