import { Condemnation } from '../../registry/condemned.ts'
import { dissolveSome } from '../../registry/dissolving.ts'
import { endReview, isHeld, rememberRelease, takeDueReviews } from '../../registry/reviews.ts'
import type { Session } from '../../registry/statement.ts'
import type { CollectionWork } from './collection-work.ts'

/** Looked at one after the other until a transaction has lasted this long, ms: others wait for all of it. */
const TARGETS_AT_ONCE = 50
const BUDGET_MS = 4
/** Rows that go in few statements. */
const ROWS_PER_COMMIT = 500

interface Reviewed {
  /** Held by something, or gone already. */
  kept: number
  condemned: number
  /** Bytes of what was condemned. */
  size: number
}

/**
 * Reviews what lost a holder and has had its grace: what nothing holds is condemned, and lets go of what it held, which is reviewed in the same run.
 * A crash leaves the queue, and what is dissolving, to the next run.
 */
export async function review(work: CollectionWork): Promise<Reviewed> {
  const reviewed: Reviewed = { kept: 0, condemned: 0, size: 0 }
  while (await work.mayGoOn()) {
    const some = await work.write('review', (session) => reviewSome(session, work))
    reviewed.kept += some.kept
    reviewed.condemned += some.condemned
    reviewed.size += some.size
    const dissolved = (await work.mayGoOn())
      ? await work.write('dissolve', (session) => dissolveSome(session, ROWS_PER_COMMIT, work.settings.graceMs))
      : 0
    if (some.kept + some.condemned + dissolved === 0) break
    work.progress('review', some.kept + some.condemned)
  }
  return reviewed
}

async function reviewSome(session: Session, { settings }: CollectionWork): Promise<Reviewed> {
  const condemnation = new Condemnation(session, settings.eraseWithinMs)
  const began = performance.now()
  let kept = 0
  for (let isLast = false; !isLast && performance.now() - began < BUDGET_MS;) {
    const due = await takeDueReviews(session, settings.graceMs, TARGETS_AT_ONCE)
    isLast = due.length < TARGETS_AT_ONCE
    for (const { target, released } of due) {
      if (await isHeld(session, target)) {
        if (released) await rememberRelease(session, target)
        kept += 1
      } else if (!(await condemnation.add(target, released))) kept += 1
      await endReview(session, target)
    }
  }
  await condemnation.finish()
  return { kept, condemned: condemnation.chunks, size: condemnation.size }
}
