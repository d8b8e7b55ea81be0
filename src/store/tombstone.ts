import { sha256Digest } from '../core/digest.ts'
import { PurgedError, RunDisposedError } from '../core/errors.ts'
import type { PackageRow } from '../registry/packages.ts'
import { packageStatus } from '../registry/tables.ts'

/** How a package is called in listings: one whose destruction is under way is as good as destroyed. */
export function statusName(status: number): 'finalized' | 'deleted' | 'purged' {
  if (status === packageStatus.finalized) return 'finalized'
  return status === packageStatus.deleted ? 'deleted' : 'purged'
}

/** @throws PurgedError with the tombstone when a package is deleted or destroyed */
export function assertThere(row: PackageRow): void {
  const status = statusName(row.status)
  if (status === 'finalized') return
  const what = status === 'deleted' ? "is deleted; until its grace ends, 'undelete' brings it back" : 'was disposed of'
  throw new PurgedError(`package ${row.uuid} ${what}`, { detail: { ...tombstoneOf(row), status } })
}

/** @throws RunDisposedError when the package of a run was disposed of: its id is used once for ever */
export function assertNotDisposed(row: PackageRow): void {
  if (statusName(row.status) !== 'purged') return
  throw new RunDisposedError(`run '${row.run_id ?? ''}' of ${row.repository} was package ${row.uuid}, which was disposed of`, {
    detail: tombstoneOf(row),
  })
}

function tombstoneOf(row: PackageRow): Readonly<Record<string, unknown>> {
  return {
    packageId: row.uuid,
    repository: row.repository,
    manifestDigest: sha256Digest(row.manifest_digest),
    fileCount: row.file_count,
    size: row.size,
  }
}
