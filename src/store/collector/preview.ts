import { setImmediate as nextTurn } from 'node:timers/promises'
import { abortedError } from '../../ports/source.ts'
import { countExpiredDrafts } from '../../registry/drafts.ts'
import { sumWaitingObjects } from '../../registry/condemned-objects.ts'
import { countReviews } from '../../registry/inspection.ts'
import { findReachable, type HolderName, listDueReviews, listHolders, listTargets, type QueuedTarget } from '../../registry/reachability.ts'
import type { Session } from '../../registry/statement.ts'
import type { CollectionSettings } from './collection-settings.ts'

const PAGE = 500
/** Chunks that a preview keeps in mind; some 100 MB of memory. */
const MOST = 1_000_000

/** What a run would do now. Sizes in bytes. */
export interface CollectionPreview {
  /** Chunks that would be condemned; `stored`: what they take in their objects. */
  readonly condemned: { readonly chunks: number; readonly size: number; readonly stored: number }
  /** There were more than a preview looks at. */
  readonly atLeast: boolean
  /** Chunks that wait for review, also those whose grace is not over. */
  readonly reviews: number
  /** Objects that are condemned and not deleted yet. */
  readonly leaving: { readonly objects: number; readonly size: number }
  /** Open packages that nobody touched for too long. */
  readonly expired: number
}

/** Finds out what a run would do, changing nothing: goes through what is due for review, and what hangs on it alone. */
export async function previewCollection(
  session: Session,
  { graceMs, draftMs }: CollectionSettings,
  signal?: AbortSignal,
): Promise<CollectionPreview> {
  const cascade = new Cascade(session)
  let after: QueuedTarget = { queuedAt: -1, target: 0 }
  for (;;) {
    const page = await listDueReviews(session, graceMs, after, PAGE)
    for (const { target } of page) await cascade.add(target)
    if (signal?.aborted === true) throw abortedError(signal)
    // Statements keep the thread; between pages others get their turn.
    await nextTurn()
    const last = page.at(-1)
    if (last === undefined || cascade.isFull) break
    after = last
  }
  return {
    condemned: { chunks: cascade.condemned.size, size: cascade.size, stored: cascade.stored },
    atLeast: cascade.isFull,
    reviews: (await countReviews(session)).count,
    leaving: await sumWaitingObjects(session),
    expired: await countExpiredDrafts(session, draftMs),
  }
}

class Cascade {
  readonly condemned = new Set<number>()
  size = 0
  stored = 0
  readonly #session: Session
  /** Holders that would go with the chunks that they are. */
  readonly #gone = new Set<string>()

  constructor(session: Session) {
    this.#session = session
  }

  get isFull(): boolean {
    return this.condemned.size >= MOST
  }

  /** Looks at a target, and at what it holds. One that is held now is looked at again when the last of its holders goes. */
  async add(first: number): Promise<void> {
    const queue = [first]
    for (let target = queue.pop(); target !== undefined && !this.isFull; target = queue.pop()) {
      if (this.condemned.has(target) || (await this.#isHeld(target))) continue
      const chunk = await findReachable(this.#session, target)
      if (chunk === undefined) continue
      this.condemned.add(target)
      this.size += chunk.size
      this.stored += chunk.stored
      if (chunk.asHolder === undefined) continue
      this.#gone.add(nameOf(chunk.asHolder))
      for await (const page of this.#targetsOf(chunk.asHolder)) queue.push(...page)
    }
  }

  async #isHeld(target: number): Promise<boolean> {
    for (let after: HolderName = { kind: 0, holder: 0 }; ;) {
      const page = await listHolders(this.#session, target, after, PAGE)
      if (page.some((holder) => !this.#gone.has(nameOf(holder)))) return true
      const last = page.at(-1)
      if (last === undefined || page.length < PAGE) return false
      after = last
    }
  }

  async *#targetsOf(holder: HolderName): AsyncGenerator<readonly number[], void, undefined> {
    for (let after = 0; ;) {
      const page = await listTargets(this.#session, holder, after, PAGE)
      yield page
      const last = page.at(-1)
      if (last === undefined || page.length < PAGE) return
      after = last
    }
  }
}

function nameOf({ kind, holder }: HolderName): string {
  return `${kind} ${holder}`
}
