import { sumWaitingObjects } from '../../registry/condemned-objects.ts'
import { countReviews } from '../../registry/inspection.ts'
import type { StoreContext } from '../context.ts'
import { audit } from './audit.ts'
import type { CollectionBacklog, CollectionReport } from './collection-report.ts'
import { type CollectionSettings, defaultCollectionSettings } from './collection-settings.ts'
import { type CollectionRun, CollectionWork } from './collection-work.ts'
import { type CollectionPreview, previewCollection } from './preview.ts'
import { reap } from './reap.ts'
import { deleteObjects } from './removal.ts'
import { review } from './review.ts'
import { rewritePacks } from './rewriting.ts'
import { settlePacks } from './settlement.ts'

/**
 * Collection: how bytes that nothing holds any more are let go (STORAGE section 5, docs/adr/0008-collection.md). It works through queues, in small
 * transactions, beside everybody else and in any number of processes at once; what a crash leaves the next run finds in the queues.
 *
 * What others do, and what follows:
 * - Whoever lets go of something calls `letGo(session, kind, holder, limit)` of `registry/holders.ts`, in batches, until it returns less than
 *   `limit`. That queues every target for review; what a `package` or a `document` lets go of counts as *released*: once nothing holds it, its bytes
 *   are gone within {@link CollectionSettings.eraseWithinMs}, however full the pack they lie in.
 * - A certificate asks `destructionOf(session, digest)` of `registry/destructions.ts` for each digest, until it is `referenced` or `destroyed` (then
 *   with the time of the backend's confirmation). Once that is written down it may call `forgetDestruction`.
 * - While the clock or anything else is in doubt nothing is condemned or deleted, and the report says why (I10).
 */
export class Collector {
  readonly #context: StoreContext
  readonly #settings: CollectionSettings

  constructor(context: StoreContext, settings: Partial<CollectionSettings> = {}) {
    this.#context = context
    this.#settings = { ...defaultCollectionSettings, ...settings }
  }

  /** Finds out what a run would do, changing nothing. @throws AbortedError */
  preview(signal?: AbortSignal): Promise<CollectionPreview> {
    return previewCollection(this.#context.registry.reader, this.#settings, signal)
  }

  /** What waits for its grace or for readers: counted one by one, unlike anything that a run does. */
  async waiting(): Promise<CollectionBacklog> {
    const { reader } = this.#context.registry
    return { reviews: (await countReviews(reader)).count, ...(await sumWaitingObjects(reader)) }
  }

  /**
   * Works through everything that is due. May be aborted, or run again, at any time.
   * @throws AbortedError; retryable errors of the registry or the backend, after which the next run goes on
   */
  async runOnce(run: CollectionRun = {}): Promise<CollectionReport> {
    const work = new CollectionWork(this.#context, this.#settings, run)
    const reaped = await reap(work)
    const settled = await settlePacks(work)
    const reviewed = await review(work)
    const rewritten = await rewritePacks(work)
    const deleted = await deleteObjects(work)
    const audited = await audit(work)
    return { reaped, settled, reviewed, rewritten, deleted, audit: audited, problems: work.problems, stopped: work.stopped }
  }
}
