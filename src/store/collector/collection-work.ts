import { sha256Digest } from '../../core/digest.ts'
import { StoreError } from '../../core/errors.ts'
import { abortedError } from '../../ports/source.ts'
import type { WriteWork } from '../../registry/registry.ts'
import { findUnknownEdges } from '../../registry/reviews.ts'
import type { StoreContext } from '../context.ts'
import type { CollectionProgress, CollectionStep } from './collection-report.ts'
import type { CollectionSettings } from './collection-settings.ts'
import { Pace } from './pace.ts'

/** Problems that a report tells at most. */
const TOLD = 20

/** How to run. */
export interface CollectionRun {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: CollectionProgress) => void) | undefined
}

/** What the steps of one run share. */
export class CollectionWork {
  readonly context: StoreContext
  readonly settings: CollectionSettings
  readonly signal: AbortSignal | undefined
  readonly pace: Pace
  readonly problems: string[] = []
  stopped: string | undefined
  readonly #onProgress: ((progress: CollectionProgress) => void) | undefined
  #step: CollectionStep = 'reap'
  #done = 0

  constructor(context: StoreContext, settings: CollectionSettings, { signal, onProgress }: CollectionRun) {
    this.context = context
    this.settings = settings
    this.signal = signal
    this.pace = new Pace({ rate: settings.limitRate, rest: settings.rest }, signal)
    this.#onProgress = onProgress
  }

  /** Tells how far a step is. */
  progress(step: CollectionStep, more: number): void {
    if (step !== this.#step) this.#done = 0
    this.#step = step
    this.#done += more
    this.#onProgress?.({ step, done: this.#done })
  }

  /**
   * Whether anything more may be condemned or deleted: asked before each batch. What cannot be read or is in doubt ends the run (I10).
   * @throws AbortedError when the caller asked to stop
   */
  async mayGoOn(): Promise<boolean> {
    if (this.signal?.aborted === true) throw abortedError(this.signal)
    this.stopped ??= await this.#doubt()
    return this.stopped === undefined
  }

  async #doubt(): Promise<string | undefined> {
    const { registry, clock, readOnly } = this.context
    const refused = readOnly()
    if (refused !== undefined) return refused.message
    const edges = await findUnknownEdges(registry.reader)
    if (edges !== undefined) {
      return `manifest ${sha256Digest(edges)} is damaged and nobody knows what it holds; push the same package again to heal it`
    }
    return clock.doubt(registry.reader)
  }

  /** A short transaction, and then the rest that others are owed. */
  async write<T>(label: string, work: WriteWork<T>): Promise<T> {
    let began = 0
    const result = await this.context.registry.write(`collect-${label}`, (session) => {
      began = performance.now()
      return work(session)
    })
    // Until the commit is flushed nobody else can write.
    await this.pace.worked({ ms: performance.now() - began })
    return result
  }

  /** Something could not be done; it is left for another run. */
  problem(what: string, cause?: unknown): void {
    if (this.problems.length < TOLD) this.problems.push(cause instanceof StoreError ? `${what}: ${cause.message}` : what)
  }
}
