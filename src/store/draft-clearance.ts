import type { PackageId } from '../core/name.ts'
import { clearEntries } from '../registry/draft-entries.ts'
import { listEndedDrafts, removeEndedDraft } from '../registry/drafts.ts'
import { letGo, mergeHolds } from '../registry/holders.ts'
import { listUnpublished, removeManifest } from '../registry/manifests.ts'
import { findPackage } from '../registry/packages.ts'
import type { Registry } from '../registry/registry.ts'
import { endAbandonedStaging, listAbandonedStaging } from '../registry/staging.ts'
import type { Session } from '../registry/statement.ts'
import { packageStatus } from '../registry/tables.ts'

/** Rows that one transaction clears away. */
const ROWS_PER_COMMIT = 2_000
/** Open packages that are looked for at once. */
const DRAFTS_AT_ONCE = 1_000

/** An open package that is no longer there for anybody. */
export interface EndedDraft {
  readonly id: number
  readonly uuid: PackageId
}

/**
 * Clears away the rows of open packages that have ended, in short transactions, behind the answers. May be cut short at any point: what is left is
 * cleared by whoever opens the store next.
 */
export class DraftClearance {
  readonly #registry: Registry
  #running: Promise<void> = Promise.resolve()

  constructor(registry: Registry) {
    this.#registry = registry
  }

  /** Clears a draft away soon. */
  add(draft: EndedDraft): void {
    this.#running = this.#running.then(() => this.#clear(draft)).catch(() => undefined)
  }

  /** Clears away what earlier processes left; archives that arrived for an open package and were never accepted as well. */
  async addLeftOvers(): Promise<void> {
    const { reader } = this.#registry
    for (const draft of await listEndedDrafts(reader, DRAFTS_AT_ONCE)) this.add(draft)
    for (const draft of await listAbandonedStaging(reader, DRAFTS_AT_ONCE)) {
      if (await this.#registry.write('abandoned', (session) => endAbandonedStaging(session, draft.id))) this.add(draft)
    }
  }

  /** Resolves when nothing is left to do. */
  async idle(): Promise<void> {
    await this.#running
  }

  async #clear(draft: EndedDraft): Promise<void> {
    while ((await this.#registry.write('clear', (session) => clearSome(session, draft, ROWS_PER_COMMIT))) === ROWS_PER_COMMIT);
  }
}

/**
 * Clears away up to `limit` rows: entries, then what was not published, then holders, then the draft itself. What a sealed package's manifests keep
 * is merged into them; what they do not (replaced files, all of an aborted draft) is let go and reviewed.
 * @returns how many rows; less than `limit`: nothing is left
 */
async function clearSome(session: Session, draft: EndedDraft, limit: number): Promise<number> {
  let cleared = await clearEntries(session, draft.id, limit)
  for (const manifest of await listUnpublished(session, draft.id)) {
    if (cleared < limit) cleared += await letGo(session, 'manifest', manifest.id, limit - cleared)
    if (cleared < limit) await removeManifest(session, manifest.id)
  }
  if (cleared < limit) {
    // Only while the package is there do its manifests hold the same targets.
    const isSealed = (await findPackage(session, draft.uuid))?.status === packageStatus.finalized
    const left = limit - cleared
    cleared += await (isSealed ? mergeHolds(session, draft.id, left) : letGo(session, 'draft', draft.id, left))
  }
  if (cleared < limit) await removeEndedDraft(session, draft.id)
  return cleared
}
