import { type Digest, rawSha256 } from '../core/digest.ts'
import type { RepositoryName } from '../core/name.ts'
import { BLOB_LEASE_MS, leaseBlob } from '../registry/blob-leases.ts'
import { listHoldingRepositories } from '../registry/blob-readers.ts'
import { findLiveChunk, type LiveChunk } from '../registry/chunks.ts'
import type { Session } from '../registry/statement.ts'

/** Manifests and packages that are looked at to find out that a repository holds a blob; beyond them a lease costs less than knowing. */
const LOOKED_AT = 50

/**
 * Keeps a blob that was uploaded, asked for or mounted long enough for the manifest that will name it to arrive. Of what the repository holds already
 * no lease is taken, since the grace of collection is as long; where that is shorter, one is.
 * @param facts `repository`: where the caller may read; that they may know of the blob has been decided
 * @returns undefined when there is no such blob
 */
export async function keepForPush(
  session: Session,
  { repository, digest, graceMs }: { readonly repository: RepositoryName; readonly digest: Digest; readonly graceMs: number },
): Promise<LiveChunk | undefined> {
  const raw = rawSha256(digest)
  const live = await findLiveChunk(session, raw)
  if (live === undefined) return undefined
  const holding = graceMs < BLOB_LEASE_MS ? [] : await listHoldingRepositories(session, live.id, LOOKED_AT)
  if (holding.some((held) => held.repository === repository)) return live
  return leaseBlob(session, raw)
}
