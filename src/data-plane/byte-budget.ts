/** Bytes that may be held in memory by all who share it. First come, first served; nobody who waits holds anything. */
export class ByteBudget {
  readonly #limit: number
  readonly #waiting: { readonly bytes: number; readonly grant: () => void }[] = []
  #held = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Takes bytes if they are free and nobody waits. */
  tryTake(bytes: number): boolean {
    const wanted = Math.min(bytes, this.#limit)
    if (this.#waiting.length > 0 || this.#held + wanted > this.#limit) return false
    this.#held += wanted
    return true
  }

  /** Takes bytes once they are free. More than the limit counts as the whole of it. */
  take(bytes: number): Promise<void> {
    if (this.tryTake(bytes)) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ bytes: Math.min(bytes, this.#limit), grant: resolve }))
  }

  /** Gives back what {@link take} or {@link tryTake} took with the same number. */
  give(bytes: number): void {
    this.#held -= Math.min(bytes, this.#limit)
    for (let next = this.#waiting[0]; next !== undefined && this.#held + next.bytes <= this.#limit; next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#held += next.bytes
      next.grant()
    }
  }
}
