import type { JsonObject } from '../core/canonical-json.ts'

/** One event as consumers see it. `cursor` continues after it. */
export interface StoreEvent {
  readonly cursor: string
  readonly seq: number
  readonly id: string
  readonly type: string
  readonly time: string
  readonly tenant: string
  readonly resource: string
  readonly actor: string
  readonly data: JsonObject
  /** Chain hash up to and including this event, hexadecimal. */
  readonly hash: string
}

/** Which events. All given conditions must hold. */
export interface EventFilter {
  /** Exact types, or `package.*` for all that begin so. */
  readonly types?: readonly string[]
  /** This repository and those below it, by whole components. */
  readonly repository?: string
  /** A resource, as {@link StoreEvent.resource} names it. */
  readonly resource?: string
}

/** Events in order, and the cursor up to which the log was looked at (also when the filter let nothing through). */
export interface EventPage {
  readonly events: readonly StoreEvent[]
  readonly cursor: string
}

/** The log of every change that users can see. */
export interface Events {
  /**
   * One page. With `waitMs` an empty one is only given after that time.
   * @throws CursorGoneError for a cursor of another log or beyond its end: what its owner saw is not this log's
   */
  list(
    options?: EventFilter & { readonly after?: string; readonly limit?: number; readonly waitMs?: number; readonly signal?: AbortSignal },
  ): Promise<EventPage>
  /**
   * Pages of all events after the cursor, then of new ones as they are committed, until the signal aborts. The first comes at once, though it may be
   * empty; later ones are empty as a sign of life.
   */
  pages(options?: EventFilter & { readonly after?: string; readonly heartbeatMs?: number; readonly signal?: AbortSignal }): AsyncIterable<EventPage>
  /** The events of {@link Events.pages}, one by one. */
  follow(options?: EventFilter & { readonly after?: string; readonly signal?: AbortSignal }): AsyncIterable<StoreEvent>
  /**
   * Recomputes the hash chain and compares the log with its mirror; `mirrored`: up to which event both are the same.
   * @throws LogCorruptError naming the first event that was edited, removed, inserted or moved
   */
  verify(): Promise<{ readonly events: number; readonly head: string; readonly mirrored: number }>
}
