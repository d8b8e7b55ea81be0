import type { Generated } from 'kysely'
import type { PackageId, RepositoryName } from '../core/name.ts'

/** The tables of retention, a part of the registry's. All are views of the log but `disposal_digests`; the columns called hints are not. */
export interface RetentionTables {
  package_parts: PackagePartsTable
  retention_classes: RetentionClassesTable
  holds: HoldsTable
  plans: PlansTable
  disposals: DisposalsTable
  // Physical
  disposal_digests: DisposalDigestsTable
}

/**
 * The files of one file set of a package (`''`: the unnamed one), as far as retention goes: core/retention-state.ts. The last three columns are hints
 * of the sweep, not part of the view: what it has to look at next.
 */
interface PackagePartsTable {
  package_id: number
  set_key: string
  stage: number
  stage_at: number
  retention_class: string | null
  duration: string | null
  ending: string
  cutoff_at: number
  minimum_at: number | null
  expires_at: number | null
  /** From when on the sweep has something to do with it; null: nothing. */
  due_at: number | null
  /** When a sweep first found that its time is over. */
  sighted_at: number | null
  /** The hold that the sweep found in its way. */
  blocked_by: number | null
}

/** The operator's own retention classes, and those of the beginning that they changed. */
interface RetentionClassesTable {
  name: string
  duration: string | null
  minimum: string | null
  mode: string
  disposition: string
  changed_at: number
}

/** Of target columns either `package_uuid` is set, or some of those of the selector. */
interface HoldsTable {
  id: Generated<number>
  uuid: string
  kind: string
  matter: string
  authority: string
  reason: string
  package_uuid: PackageId | null
  repository: RepositoryName | null
  producer: string | null
  subject: string | null
  run_id: string | null
  placed_at: number
  placed_by: string
  released_at: number | null
  released_by: string | null
  release_reason: string | null
  /** 1: released, and what that does to packages is done; until then it stands. */
  settled: number
  /** Hint: up to which package the release was carried out. */
  settled_to: Generated<number>
  /** Hint, 1: the sweep has to look again at what it found blocked. */
  unblocking: Generated<number>
}

/** A list of what may be deleted; its items are the document of the same name. */
interface PlansTable {
  digest: Uint8Array
  repository: RepositoryName | null
  items: number
  packages: number
  size: number
  created_at: number
  created_by: string
  expires_at: number
  approved_at: number | null
  approved_by: string | null
  reason: string | null
  /** When its approval had been carried out, and for how many items. */
  completed_at: number | null
  approved_items: Generated<number>
  expired: Generated<number>
}

/** Parts of a package that went together, for ever. */
interface DisposalsTable {
  id: Generated<number>
  uuid: string
  package_id: number
  /** The set keys as a JSON array. */
  sets: string
  /** `request`, `automatic` or `plan`; why and by whom it was deleted. */
  authority: string
  plan: Uint8Array | null
  deleted_by: string
  reason: string | null
  deleted_at: number
  purging_at: number | null
  purged_at: number | null
  /** Digests that were let go of. */
  digests: number | null
  certificate: Uint8Array | null
  certified_at: number | null
  /** Hint: when somebody last looked whether the certificate can be written. */
  checked_at: Generated<number>
}

/** What a disposal let go of, until its certificate is written. */
interface DisposalDigestsTable {
  disposal_id: number
  digest: Uint8Array
  size: number
}
