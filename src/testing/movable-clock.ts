import type { SteadyClock } from '../ports/clock.ts'

/** A clock that stands still until it is moved. */
export class MovableClock implements SteadyClock {
  #wall: number
  #monotonic = 1_000

  /** @param start RFC 3339 */
  constructor(start: string) {
    this.#wall = Date.parse(start)
  }

  now(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  /** Time passes, milliseconds. */
  advance(milliseconds: number): void {
    this.#wall += milliseconds
    this.#monotonic += milliseconds
  }

  /** Somebody sets the wall clock: by this much, milliseconds. */
  jump(milliseconds: number): void {
    this.#wall += milliseconds
  }
}
