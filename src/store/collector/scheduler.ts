import type { Upkeep, UpkeepReport } from '../upkeep.ts'

/** How often, and who is told. */
export interface ScheduleOptions {
  /** From the end of a run to the beginning of the next, milliseconds; default a minute. An idle run costs milliseconds. */
  readonly everyMs?: number
  readonly onReport?: (report: UpkeepReport) => void
  /** A run failed; the next one goes on where it was. */
  readonly onFailure?: (error: unknown) => void
}

const EVERY_MS = 60_000

/** Lets a store look after itself, again and again, while a server runs. Any number of processes may do so at once. */
export class UpkeepScheduler {
  readonly #upkeep: Pick<Upkeep, 'runOnce'>
  readonly #options: ScheduleOptions
  readonly #stop = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined

  constructor(upkeep: Pick<Upkeep, 'runOnce'>, options: ScheduleOptions = {}) {
    this.#upkeep = upkeep
    this.#options = options
  }

  /** Begins with the first run one period from now. */
  start(): void {
    if (this.#timer !== undefined || this.#stop.signal.aborted) return
    this.#timer = setTimeout(() => {
      this.#running = this.#run()
    }, this.#options.everyMs ?? EVERY_MS).unref()
  }

  /** Ends after the step that is under way; resolves when nothing is done any more. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('the server stops'))
    clearTimeout(this.#timer)
    await this.#running
  }

  async #run(): Promise<void> {
    const { onReport, onFailure } = this.#options
    try {
      onReport?.(await this.#upkeep.runOnce({ signal: this.#stop.signal }))
    } catch (error) {
      if (!this.#stop.signal.aborted) onFailure?.(error)
    } finally {
      this.#timer = undefined
      this.start()
    }
  }
}
