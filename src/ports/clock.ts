/** Where the time comes from, so that tests can move it. */
export interface Clock {
  /** Wall clock, milliseconds since 1970-01-01 UTC. */
  now(): number
}

/** A clock that also counts what passes, whatever is done to the wall clock. */
export interface SteadyClock extends Clock {
  /** Milliseconds since some beginning; never jumps and never runs backwards. */
  monotonic(): number
}

/** The machine's own clock. */
export const systemClock: SteadyClock = { now: () => Date.now(), monotonic: () => performance.now() }
