import type { CollectionReport } from './collector/collection-report.ts'
import { type CollectionSettings, defaultCollectionSettings } from './collector/collection-settings.ts'
import type { CollectionRun } from './collector/collection-work.ts'
import { Collector } from './collector/collector.ts'
import type { StoreContext } from './context.ts'
import { RetentionSweep, type SweepReport } from './retention/sweep.ts'

/** What a run of the upkeep did: retention first, then collection. */
export interface UpkeepReport extends CollectionReport {
  readonly retention: SweepReport
}

/**
 * What a store does by itself: retention lets go of what is over, collection removes what nothing holds, and what became of it is certified. Any number of
 * processes may do so at once; each stops and goes on anywhere.
 */
export class Upkeep {
  readonly #context: StoreContext
  readonly #settings: Partial<CollectionSettings>

  /** @param settings `graceMs` is also the grace of retention */
  constructor(context: StoreContext, settings: Partial<CollectionSettings> = {}) {
    this.#context = context
    this.#settings = settings
  }

  /** Does all that is due. @throws as {@link Collector.runOnce} */
  async runOnce(run: CollectionRun = {}): Promise<UpkeepReport> {
    const { graceMs = defaultCollectionSettings.graceMs } = this.#settings
    const sweep = new RetentionSweep(this.#context, { grace: graceMs, signal: run.signal })
    const swept = await sweep.run()
    const collected = await new Collector(this.#context, this.#settings).runOnce(run)
    // What was destroyed just now is certified just now.
    const certified = swept.doubt === undefined ? await sweep.certify() : 0
    return { ...collected, retention: { ...swept, certified } }
  }
}
