import type { ColumnType, Generated } from 'kysely'
import type { PackageId, RepositoryName, TagName, TenantName } from '../core/name.ts'
import type { FilePath } from '../core/path.ts'

/**
 * The tables, as the query builder knows them; names, ids and paths were parsed before they were written. Physical tables name bytes and where they lie; logical ones are views of the event log. Times are
 * UTC milliseconds, digests 32 raw bytes, flags 0 or 1. {@link migrations} creates them.
 */
export interface Tables {
  settings: SettingsTable
  // Physical
  leases: LeasesTable
  objects: ObjectsTable
  chunks: ChunksTable
  checksums: ChecksumsTable
  recipes: RecipesTable
  holders: HoldersTable
  quarantine: QuarantineTable
  reviews: ReviewsTable
  manifests: ManifestsTable
  drafts: DraftsTable
  draft_entries: DraftEntriesTable
  // Logical
  tenants: TenantsTable
  repositories: RepositoriesTable
  packages: PackagesTable
  package_children: PackageChildrenTable
  package_metadata: PackageMetadataTable
  aliases: AliasesTable
  tags: TagsTable
  events: EventsTable
}

/** Facts about the whole store: its id, the log's id, the schema's version, how far the log is mirrored. */
interface SettingsTable {
  key: string
  value: string
}

/** A live writer, or a job that only one process may do (then `name` is set). Existence decides; `expires_at` is for the reaper alone. */
interface LeasesTable {
  id: Generated<number>
  owner: string
  name: string | null
  acquired_at: number
  expires_at: number
}

/** Bytes in one backend under a key that is never used twice. `lease_id` is the writer that may append. */
interface ObjectsTable {
  id: Generated<number>
  domain: number
  backend: Generated<number>
  tier: Generated<number>
  key_id: Generated<number>
  key: string
  kind: number
  state: number
  lease_id: number | null
  retention_class: string | null
  size: Generated<number>
  entries: Generated<number>
  /** Hint: stored bytes of chunks that are gone. */
  dead_bytes: Generated<number>
  created_at: number
  changed_at: number
  verified_at: number | null
}

/** Bytes named by SHA-256. Placed in an object, or (object_id null) composed of other chunks by a recipe. */
interface ChunksTable {
  id: Generated<number>
  domain: number
  digest: ColumnType<Uint8Array, Uint8Array, never>
  size: number
  object_id: number | null
  offset: number
  stored_length: number
  codec: number
  state: number
  key_id: Generated<number>
  erase_by: number | null
  verified_at: number | null
  created_at: number
}

/** CRC-32s of a whole object's 1 MiB blocks, 1,024 blocks a segment. */
interface ChecksumsTable {
  chunk_id: number
  segment: number
  crcs: Uint8Array
}

interface RecipesTable {
  blob_id: number
  position: number
  chunk_id: number
  /** Where the chunk begins in the blob, in bytes. */
  start: number
}

/** The one table that says what keeps what alive: (kind, id) holds a chunk row. */
interface HoldersTable {
  kind: number
  holder_id: number
  target_id: number
}

/**
 * Places whose bytes turned out damaged, kept also after the chunk was healed elsewhere. An object that is named here is neither deleted nor
 * rewritten: what is left of it may still be of use to somebody.
 */
interface QuarantineTable {
  id: Generated<number>
  object_id: number
  offset: number
  stored_length: number
  codec: number
  digest: Uint8Array
  size: number
  /** What the reader found, in words. */
  reason: string
  found_at: number
}

/** Targets that lost a holder and wait for the collector's review. */
interface ReviewsTable {
  target_id: number
  queued_at: number
}

/** A manifest whose edges are (or are becoming) holders. Unpublished ones belong to the draft that is being sealed. */
interface ManifestsTable {
  id: Generated<number>
  chunk_id: number
  state: number
  draft_id: number | null
  created_at: number
}

interface DraftsTable {
  id: Generated<number>
  uuid: PackageId
  repository_id: number
  state: number
  run_id: string | null
  /** Names the attempt at sealing; another attempt, or opening again, takes it away. */
  sealer: string | null
  /** The parsed open request as JSON; compared when the same run is opened again. */
  request: string
  created_at: number
  touched_at: number
}

interface DraftEntriesTable {
  draft_id: number
  path: FilePath
  kind: number
  set_key: string
  chunk_id: number | null
  size: number
  media_type: string
  executable: number
  target: string | null
}

interface TenantsTable {
  id: Generated<number>
  name: TenantName
}

interface RepositoriesTable {
  id: Generated<number>
  tenant_id: number
  name: RepositoryName
  policy: string
  created_at: number
}

interface PackagesTable {
  id: Generated<number>
  uuid: PackageId
  repository_id: number
  status: number
  /** A manifest that follows its parent index and is listed only when asked for. */
  hidden: Generated<number>
  run_id: string | null
  type: string
  producer: string | null
  subject: string | null
  retention_class: string | null
  manifest_digest: Uint8Array
  media_type: string
  document_digest: Uint8Array
  file_count: number
  size: number
  opened_at: number
  finalized_at: number
  expires_at: number | null
}

/** A child manifest with the policy facts that were resolved when it was sealed (or taken in again). A package without file sets has one: itself. */
interface PackageChildrenTable {
  package_id: number
  ordinal: number
  digest: Uint8Array
  set_key: string
  file_count: number
  size: number
  retention_class: string | null
  duration_days: number | null
  mode: string
  expires_at: number | null
}

interface PackageMetadataTable {
  package_id: number
  key: string
  value: string
}

interface AliasesTable {
  uuid: PackageId
  package_id: number
}

interface TagsTable {
  repository_id: number
  name: TagName
  package_id: number
}

interface EventsTable {
  seq: number
  id: string
  type: string
  time: number
  tenant: string
  resource: string
  actor: string
  data: string
  salt: Uint8Array
  hash: Uint8Array
}

/** `chunks.state` */
export const chunkState = { live: 0, damaged: 1, condemned: 2 } as const
/** `objects.state` */
export const objectState = { intended: 0, open: 1, sealed: 2, condemned: 3 } as const
/** `objects.kind` */
export const objectKind = { whole: 0, pack: 1 } as const
/** `chunks.codec` */
export const chunkCodec = { raw: 0, zstd: 1 } as const
/** `holders.kind` */
export const holderKind = { lease: 1, draft: 2, package: 3, manifest: 4, blob: 5, document: 6 } as const
/** `manifests.state` */
export const manifestState = { unpublished: 0, published: 1 } as const
/** `drafts.state` */
export const draftState = { open: 0, sealing: 1, ended: 2 } as const
/** `draft_entries.kind` */
export const entryKind = { file: 0, symlink: 1, directory: 2 } as const
/** `packages.status` */
export const packageStatus = { finalized: 0, purged: 1 } as const
