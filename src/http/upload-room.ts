import type { UploadLimits } from './server-limits.ts'

/** Somebody who waits for room. */
interface Waiting {
  readonly bytes: number
  readonly since: number
  readonly enter: () => void
  readonly refuse: () => void
}

/** Memory for bodies under way. First come, first served; who waits holds nothing and is not read from. */
export class UploadRoom {
  readonly #limits: UploadLimits
  readonly #waiting = new Set<Waiting>()
  #taken = 0

  constructor(limits: UploadLimits) {
    this.#limits = limits
  }

  /** Bodies that wait. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** What a body needs, in bytes. */
  needOf(body: 'none' | 'chunks' | number): number {
    if (body === 'none') return 0
    const { freeBytes, heldBytes } = this.#limits
    const size = body === 'chunks' ? heldBytes : body
    return size <= freeBytes ? 0 : Math.min(size, heldBytes)
  }

  /**
   * Calls `enter` at once or when there is room, or `refuse` when too many wait or it took too long.
   * @param now any clock, in ms; the same as for {@link sweep}
   * @returns stops waiting, or gives back what was taken; to be called once
   */
  take(bytes: number, now: number, enter: () => void, refuse: () => void): () => void {
    if (bytes === 0) {
      enter()
      return () => undefined
    }
    if (this.#waiting.size === 0 && this.#fits(bytes)) {
      this.#taken += bytes
      enter()
      return () => this.#give(bytes)
    }
    if (this.#waiting.size >= this.#limits.maxWaiting) {
      refuse()
      return () => undefined
    }
    const entry: Waiting = { bytes, since: now, enter, refuse }
    this.#waiting.add(entry)
    return () => this.#leave(entry)
  }

  /** Whether somebody has been waiting for long enough that those inside must hurry. */
  contended(now: number): boolean {
    const [first] = this.#waiting
    return first !== undefined && now - first.since >= this.#limits.contended.idleMs
  }

  /** Turns away who waited for too long. */
  sweep(now: number): void {
    for (const entry of this.#waiting) {
      if (now - entry.since < this.#limits.waitMs) return
      this.#waiting.delete(entry)
      this.#refused.add(entry)
      entry.refuse()
    }
  }

  readonly #refused = new WeakSet<Waiting>()

  #fits(bytes: number): boolean {
    // One that needs more than all the room enters when it is alone.
    return this.#taken === 0 || this.#taken + bytes <= this.#limits.roomBytes
  }

  #leave(entry: Waiting): void {
    if (this.#refused.has(entry)) return
    if (this.#waiting.delete(entry)) this.#admit()
    else this.#give(entry.bytes)
  }

  #give(bytes: number): void {
    this.#taken -= bytes
    this.#admit()
  }

  #admit(): void {
    for (const entry of this.#waiting) {
      if (!this.#fits(entry.bytes)) return
      this.#waiting.delete(entry)
      this.#taken += entry.bytes
      entry.enter()
    }
  }
}
