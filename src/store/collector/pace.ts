import { setTimeout as sleep } from 'node:timers/promises'

/** Rests shorter than this are put off: timers are not that precise. Milliseconds. */
const SHORTEST_MS = 2
/** A rest is cut into pieces, so that a signal is noticed; milliseconds. */
const LONGEST_MS = 1_000

/** Keeps work slow enough: by its bytes, and by how long it keeps others waiting. */
export class Pace {
  readonly #rate: number | undefined
  readonly #rest: number
  readonly #signal: AbortSignal | undefined
  /** Until when to rest, on the monotonic clock; ms. */
  #until = 0

  /** @param limits `rate` in bytes a second, undefined: any; `rest`: how many times as long as the work */
  constructor(limits: { readonly rate: number | undefined; readonly rest: number }, signal: AbortSignal | undefined) {
    this.#rate = limits.rate
    this.#rest = limits.rest
    this.#signal = signal
  }

  /** Work was done that kept others waiting for `ms`, and moved `bytes`. Resolves when more may be done. */
  async worked({ ms = 0, bytes = 0 }: { readonly ms?: number; readonly bytes?: number }): Promise<void> {
    const due = ms * this.#rest + (this.#rate === undefined ? 0 : (bytes / this.#rate) * 1_000)
    this.#until = Math.max(this.#until, performance.now()) + due
    for (let left = this.#until - performance.now(); left >= SHORTEST_MS; left = this.#until - performance.now()) {
      if (this.#signal?.aborted === true) return
      await sleep(Math.min(left, LONGEST_MS))
    }
  }
}
