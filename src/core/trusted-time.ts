/**
 * Time that retention can rely on. A process trusts its wall clock as long as that keeps step with its monotonic clock and is not behind the event
 * log; after that it goes by the monotonic clock alone, from the last time it trusted, until an operator accepts the wall clock again. Pure: readings
 * come in, decisions go out.
 */

/** Both clocks of a process, read together, milliseconds. `wall` is UTC; `monotonic` counts from anywhere and never jumps. */
export interface ClockReading {
  readonly wall: number
  readonly monotonic: number
}

/** What was wrong with a clock. `jumped`: against the monotonic clock; `behind`: before the last event. */
export interface Suspicion {
  readonly reason: 'jumped' | 'behind'
  /** What the wall clock said, and what time was trusted instead; UTC milliseconds. */
  readonly wall: number
  readonly trusted: number
}

/** From where a process counts, and whether by its wall clock. `suspicion` undefined: the wall clock is trusted. */
export interface TrustedTime {
  readonly anchor: ClockReading
  readonly suspicion: Suspicion | undefined
}

/** How far clocks may be apart: what time services correct at once, and other machines' clocks. Milliseconds. */
export const CLOCK_TOLERANCE_MS = 60_000
/** And how much more for every millisecond that passed: time services slew by at most 500 ppm. */
const DRIFT = 0.0005

/**
 * Where a process begins. A restart long after the last event is no jump by itself; a clock behind it is one.
 * @param last the time of the last event, 0 for none
 * @param suspected whether the log says that the clock is suspect, so that a restart does not make it sound
 */
export function beginTime(reading: ClockReading, last: number, suspected: boolean): TrustedTime {
  if (suspected) {
    const trusted = last
    return {
      anchor: { wall: trusted, monotonic: reading.monotonic },
      suspicion: { reason: reading.wall < last ? 'behind' : 'jumped', wall: reading.wall, trusted },
    }
  }
  return observeTime({ anchor: reading, suspicion: undefined }, reading, last)
}

/** Looks at the clocks again. Once suspect, always suspect, until {@link acceptTime}. @param last the time of the last event, 0 for none */
export function observeTime(time: TrustedTime, reading: ClockReading, last: number): TrustedTime {
  if (time.suspicion !== undefined) return time
  const passed = reading.monotonic - time.anchor.monotonic
  const expected = time.anchor.wall + passed
  const jumped = Math.abs(reading.wall - expected) > CLOCK_TOLERANCE_MS + passed * DRIFT
  const behind = reading.wall < last - CLOCK_TOLERANCE_MS
  if (!jumped && !behind) return time
  const trusted = Math.max(jumped ? expected : reading.wall, last)
  return {
    anchor: { wall: trusted, monotonic: reading.monotonic },
    suspicion: { reason: jumped ? 'jumped' : 'behind', wall: reading.wall, trusted },
  }
}

/** The trusted present, UTC milliseconds. */
export function trustedNow({ anchor, suspicion }: TrustedTime, reading: ClockReading): number {
  return suspicion === undefined ? reading.wall : Math.floor(anchor.wall + (reading.monotonic - anchor.monotonic))
}

/** An operator says that the wall clock is right. */
export function acceptTime(reading: ClockReading): TrustedTime {
  return { anchor: reading, suspicion: undefined }
}
