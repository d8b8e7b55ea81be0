import { formatTime } from '../../core/event.ts'
import type { PackageId, RepositoryName } from '../../core/name.ts'
import type { RetentionChange } from '../../core/retention-state.ts'
import type { PackageRow } from '../../registry/packages.ts'

/** What every event about a package says. */
export interface PackageEventData {
  readonly packageId: PackageId
  readonly repository: RepositoryName
  /** RFC 3339. */
  readonly at: string
}

/** Of a package, at a time (UTC milliseconds). */
export function ofPackage({ uuid, repository }: PackageRow, at: number): PackageEventData {
  return { packageId: uuid, repository, at: formatTime(at) }
}

/** And of the parts that a change names. */
export function ofParts(row: PackageRow, change: RetentionChange): PackageEventData & { readonly sets: readonly string[] } {
  return { ...ofPackage(row, change.at), sets: 'sets' in change ? change.sets : [] }
}
