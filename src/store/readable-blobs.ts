import { holds, listHoldingRepositories, listNewestManifests } from '../registry/blob-readers.ts'
import type { DraftRow } from '../registry/drafts.ts'
import type { Session } from '../registry/statement.ts'
import { type AccessContext, mayRead } from './authorization.ts'

/** Holders of one blob that are looked at, at most. */
const HOLDERS = 200
/** Packages of the draft's own repository that are looked at first, and manifests that are remembered. */
const OWN_PACKAGES = 4
const REMEMBERED = 8

/**
 * Tells, for one question about one open package, which blobs the caller may know to be here: those of packages in repositories they may read. A blob
 * whose readers are not found in a bounded number of steps counts as unknown: then the bytes are sent and deduplicated silently, as if they were new
 * (STORAGE section 4).
 */
export class ReadableBlobs {
  readonly #context: AccessContext
  readonly #draft: Pick<DraftRow, 'repository' | 'repository_id'>
  /** Manifests that the caller may read, the one that held something last in front: the files of a package come together. */
  #manifests: number[] | undefined

  constructor(context: AccessContext, draft: Pick<DraftRow, 'repository' | 'repository_id'>) {
    this.#context = context
    this.#draft = draft
  }

  /** @param chunk a live row */
  async includes(session: Session, chunk: number): Promise<boolean> {
    if (this.#context.access.readable === 'all') return true
    this.#manifests ??= await this.#ownManifests(session)
    for (const manifest of this.#manifests) {
      if (!(await holds(session, 'manifest', manifest, chunk))) continue
      this.#remember(manifest)
      return true
    }
    for (const { manifest, repository, publicRead } of await listHoldingRepositories(session, chunk, HOLDERS)) {
      if (!publicRead && !this.#context.access.may('read', repository)) continue
      this.#remember(manifest)
      return true
    }
    return false
  }

  async #ownManifests(session: Session): Promise<number[]> {
    if (!(await mayRead(this.#context, this.#draft.repository, session))) return []
    return [...(await listNewestManifests(session, this.#draft.repository_id, { packages: OWN_PACKAGES, limit: REMEMBERED }))]
  }

  #remember(manifest: number): void {
    const others = (this.#manifests ?? []).filter((known) => known !== manifest)
    this.#manifests = [manifest, ...others.slice(0, REMEMBERED - 1)]
  }
}
