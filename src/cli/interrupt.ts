import { AbortedError } from '../core/errors.ts'

/** The part of `process` that is needed to listen for signals. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: () => void): unknown
  off(signal: NodeJS.Signals, listener: () => void): unknown
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Turns the first Ctrl-C (or SIGTERM, SIGHUP) into an abort that lets the command stop in an orderly way; the second one ends the process at once.
 */
export class Interrupt implements Disposable {
  readonly #controller = new AbortController()
  readonly #source: SignalSource
  readonly #onFirst: () => void
  readonly #onSecond: () => void
  readonly #listener = (): void => this.#received()

  /**
   * @param onFirst tells the user that the command is stopping
   * @param onSecond ends the process
   */
  constructor(source: SignalSource, onFirst: () => void, onSecond: () => void) {
    this.#source = source
    this.#onFirst = onFirst
    this.#onSecond = onSecond
    for (const signal of signals) source.on(signal, this.#listener)
  }

  /** Aborts with an {@link AbortedError}. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  #received(): void {
    if (this.#controller.signal.aborted) return this.#onSecond()
    this.#onFirst()
    this.#controller.abort(new AbortedError('stopped at your request before it was done'))
  }

  [Symbol.dispose](): void {
    for (const signal of signals) this.#source.off(signal, this.#listener)
  }
}
