/** How fast one side of a connection must be. */
export interface PaceLimits {
  /** Longest time in which not one byte moves, in ms. */
  readonly idleMs: number
  /** Over each window of this length, in ms, … */
  readonly windowMs: number
  /** … at least this many bytes a second must move. */
  readonly bytesPerSecond: number
}

/**
 * Watches how fast bytes move while the other side is waited for. Time in which this side is the slow one does not count, and a fast start buys no
 * time: each window is judged by itself. Pure; whoever uses it brings the clock.
 */
export class Pace {
  readonly #limits: PaceLimits
  #idleMs = 0
  #windowMs = 0
  #windowBytes = 0

  constructor(limits: PaceLimits) {
    this.#limits = limits
  }

  /**
   * Tells what happened since the last call, and whether it is too slow now.
   * @param elapsedMs time since the last call
   * @param bytes that moved in it
   * @param waiting whether the other side could have moved more
   */
  observe(elapsedMs: number, bytes: number, waiting: boolean): 'fine' | 'idle' | 'slow' {
    const { idleMs, windowMs, bytesPerSecond } = this.#limits
    this.#windowBytes += bytes
    if (bytes > 0) this.#idleMs = 0
    if (!waiting) return 'fine'
    if (bytes === 0) this.#idleMs += elapsedMs
    if (this.#idleMs >= idleMs) return 'idle'
    this.#windowMs += elapsedMs
    if (this.#windowMs < windowMs) return 'fine'
    const slow = this.#windowBytes < (this.#windowMs / 1_000) * bytesPerSecond
    this.#windowMs = 0
    this.#windowBytes = 0
    return slow ? 'slow' : 'fine'
  }
}
