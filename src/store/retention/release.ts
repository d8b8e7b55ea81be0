import { sha256Digest } from '../../core/digest.ts'
import { remainingParts } from '../../core/retention-state.ts'
import {
  countDisposalDigests,
  type DisposalRow,
  findDisposal,
  type HeldManifest,
  listHeldManifests,
  recordManifest,
  recordManifestTargets,
  setsOf,
} from '../../registry/disposals.ts'
import { letGoOf } from '../../registry/holders.ts'
import { loadRetention } from '../../registry/package-parts.ts'
import { getPackage, listChildren } from '../../registry/packages.ts'
import type { Session } from '../../registry/statement.ts'
import type { StoreContext } from '../context.ts'
import { ofPackage } from './package-event.ts'
import { recordEvent } from './retention-log.ts'

/** Rows that one transaction writes. */
const ROWS_PER_COMMIT = 1_000

/**
 * Lets go of what a deletion takes with it: first everything that its manifests name is written down for the certificate, then the package lets go of the
 * manifests, each of which is queued for review. Collection does the rest. Stopped anywhere, it is begun again from the start, and finds what is done.
 */
export class ReleaseStep {
  readonly #context: StoreContext

  constructor(context: StoreContext) {
    this.#context = context
  }

  /** @returns whether the package lets go of all of it now */
  async run(disposal: DisposalRow): Promise<boolean> {
    for (const manifest of await this.#manifests(this.#context.registry.reader, disposal)) await this.#recordAll(disposal, manifest)
    for (;;) {
      const left = await this.#context.registry.write('let-go', async (session) => {
        const manifests = await this.#manifests(session, disposal)
        const page = manifests.slice(0, ROWS_PER_COMMIT)
        for (const { chunk } of page) await letGoOf(session, 'package', disposal.package_id, chunk)
        if (manifests.length <= ROWS_PER_COMMIT) await this.#finish(session, disposal)
        return manifests.length - page.length
      })
      if (left === 0) return true
    }
  }

  /** The manifests that go, as it is now: a file set that was stored again meanwhile stays. */
  async #manifests(session: Session, disposal: DisposalRow): Promise<readonly HeldManifest[]> {
    const row = await getPackage(session, disposal.package_id)
    if (row === undefined) return []
    const held = await listHeldManifests(session, row.id)
    const { sets, isLast } = await going(session, disposal)
    // With the last of its parts everything goes, index and document too.
    if (isLast) return held
    const children = (await listChildren(session, row.id)).filter((child) => sets.has(child.set_key))
    const digests = new Set(children.map((child) => sha256Digest(child.digest)))
    return held.filter(({ digest }) => digests.has(sha256Digest(digest)))
  }

  async #recordAll(disposal: DisposalRow, manifest: HeldManifest): Promise<void> {
    await this.#context.registry.write('record-released', (session) => recordManifest(session, disposal.id, manifest))
    if (manifest.manifest === null) return
    for (let after: number | undefined = 0; after !== undefined;) {
      const [from, id]: [number, number] = [after, manifest.manifest]
      after = await this.#context.registry.write('record-released', (session) =>
        recordManifestTargets(session, disposal.id, id, from, ROWS_PER_COMMIT),
      )
    }
  }

  async #finish(session: Session, disposal: DisposalRow): Promise<void> {
    const [row, current] = [await getPackage(session, disposal.package_id), await findDisposal(session, disposal.uuid)]
    if (row === undefined || current?.purged_at !== null) return
    const data = { ...ofPackage(row, this.#context.clock.now()), sets: [...(await going(session, disposal)).sets], deletionId: disposal.uuid }
    await recordEvent(this.#context, session, {
      type: 'package.purged',
      data: { ...data, digests: await countDisposalDigests(session, disposal.id) },
    })
  }
}

/** File sets of a disposal that are still on their way out, and whether nothing else is left of the package. */
async function going(session: Session, disposal: DisposalRow): Promise<{ readonly sets: ReadonlySet<string>; readonly isLast: boolean }> {
  const named = setsOf(disposal)
  const left = remainingParts(await loadRetention(session, disposal.package_id))
  const sets = new Set(left.filter(({ set, stage }) => named.includes(set) && stage === 'purging').map(({ set }) => set))
  return { sets, isLast: left.length === sets.size }
}
