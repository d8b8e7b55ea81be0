const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** How collection is done. All times in milliseconds, on the database's clock where they are compared with what rows say (I8). */
export interface CollectionSettings {
  /** How long what lost a holder is kept before it is reviewed; once for all that hangs on it. Default 24 h. */
  readonly graceMs: number
  /** How long an object stays after nothing needs it, so that who found it before can read it: at least the longest response. Default 1 h. */
  readonly drainMs: number
  /** How soon after a review the bytes of what was released are moved out of, or go with, whatever they lie in. Default 5 days: 7 with both above. */
  readonly eraseWithinMs: number
  /** How long an open package is kept that nobody touches. Default 7 days. */
  readonly draftMs: number
  /** How often the backend is listed and the counters are recomputed; 0: at every run. Default 24 h. */
  readonly auditEveryMs: number
  /** Bytes a second that rewriting packs reads and writes together; undefined: as fast as can be. */
  readonly limitRate: number | undefined
  /** After each step rest for so many times as long as it took, so that others get their turn. Default 0. */
  readonly rest: number
}

/** What holds unless told otherwise. */
export const defaultCollectionSettings: CollectionSettings = {
  graceMs: DAY_MS,
  drainMs: HOUR_MS,
  eraseWithinMs: 5 * DAY_MS,
  draftMs: 7 * DAY_MS,
  auditEveryMs: DAY_MS,
  limitRate: undefined,
  rest: 0,
}
