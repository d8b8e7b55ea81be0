import type { ColumnType, Generated } from 'kysely'
import type { PackageId, RepositoryName, TagName, TenantName } from '../core/name.ts'
import type { FilePath } from '../core/path.ts'
import type { RetentionTables } from './retention-tables.ts'

/**
 * The tables, as the query builder knows them; names, ids and paths were parsed before they were written. Physical tables name bytes and where they lie; logical ones are views of the event log. Times are
 * UTC milliseconds, digests 32 raw bytes, flags 0 or 1. {@link migrations} creates them.
 */
export interface Tables extends RetentionTables {
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
  destructions: DestructionsTable
  strays: StraysTable
  drafts: DraftsTable
  draft_entries: DraftEntriesTable
  uploads: UploadsTable
  upload_parts: UploadPartsTable
  idempotency: IdempotencyTable
  deliveries: DeliveriesTable
  dead_letters: DeadLettersTable
  // Logical
  tenants: TenantsTable
  repositories: RepositoriesTable
  packages: PackagesTable
  package_children: PackageChildrenTable
  package_metadata: PackageMetadataTable
  aliases: AliasesTable
  tags: TagsTable
  documents: DocumentsTable
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
  /** Hint: bytes of entries that nothing needs, headers included. */
  dead_bytes: Generated<number>
  /** When a pack is to be rewritten at the latest, because something in it was released. */
  erase_by: number | null
  /** When a pack that nobody appends to was looked through: from then on every entry in it has a row. */
  settled_at: number | null
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
  /** Not null: it was released. Of condemned bytes: when they are to be gone at the latest. */
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
  /** 1: some package or document that held it was given up for good, so that the bytes must go by a certain date once nothing holds them. */
  released: Generated<number>
}

/** Digests whose last copy is gone, and the object that was it. */
interface DestructionsTable {
  digest: ColumnType<Uint8Array, Uint8Array, never>
  destroyed_at: number
  object_key: string
}

/** Objects in the backend that no row names, as the audit came across them. */
interface StraysTable {
  object_key: string
  first_seen_at: number
}

/**
 * A manifest whose edges are (or are becoming) holders. Unpublished ones belong to the draft that is being sealed; of dissolving ones, whose bytes
 * are condemned, the edges are being let go of.
 */
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

/** Bytes that arrive in pieces, in order. `writer` is the fencing token of whoever wrote last: nobody else can commit. */
interface UploadsTable {
  id: Generated<number>
  uuid: string
  /** Whom it belongs to. */
  actor: string
  state: number
  /** Where the finished upload goes; null: it is only held. */
  package_uuid: PackageId | null
  path: FilePath | null
  media_type: string | null
  executable: number
  /** Announced when it was made, or when it was completed. */
  expected: Uint8Array | null
  length: number | null
  /** Bytes that count. Parts that start behind it wait for a checksum, or are left over. */
  offset: number
  writer: string | null
  /** The blob whose recipe is being filled for it. */
  composed_id: number | null
  /** What it became. */
  digest: Uint8Array | null
  created_at: number
  expires_at: number
}

/** The parts of an upload in order. The upload holds their chunks. `start`: where the part begins, in bytes. */
interface UploadPartsTable {
  upload_id: number
  position: number
  chunk_id: number
  start: number
}

/** A request that may be repeated, and what was answered to it; without a status it is under way. `attempt` is the fence of whoever does it. */
interface IdempotencyTable {
  id: Generated<number>
  actor: string
  route: string
  key: string
  fingerprint: Uint8Array
  attempt: string
  lease_id: number | null
  status: number | null
  headers: string | null
  body: string | null
  began_at: number
}

/** How far a target outside has been told of the log: up to event `seq` of log `log_id`. `failures`: attempts in a row that came to nothing. */
interface DeliveriesTable {
  target: string
  log_id: string
  seq: number
  failures: number
  /** Why the last attempt came to nothing, in words; null: it did not. */
  reason: string | null
  failed_at: number | null
}

/** An event that a target refused for good. */
interface DeadLettersTable {
  id: Generated<number>
  target: string
  log_id: string
  seq: number
  event_id: string
  reason: string
  refused_at: number
}

interface TenantsTable {
  id: Generated<number>
  name: TenantName
}

interface RepositoriesTable {
  id: Generated<number>
  tenant_id: number
  name: RepositoryName
  /** A RepositoryPolicy as canonical JSON. */
  policy: string
  /** What the policy says of it. */
  public_read: number
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
  /** How strictly its retention binds. */
  mode: string
  /** The latest of its parts' ends; null: one of them has none. */
  expires_at: number | null
}

/** A manifest that holds files of a package. One without file sets has one (itself), or several if it is large. */
interface PackageChildrenTable {
  package_id: number
  ordinal: number
  digest: Uint8Array
  set_key: string
  file_count: number
  size: number
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

/** What the store keeps beside packages under a name of its kind; as a holder it keeps the bytes. */
interface DocumentsTable {
  id: Generated<number>
  kind: number
  name: string
  digest: Uint8Array
  created_at: number
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

/** `chunks.state`. A composing one is a blob whose recipe is being filled: invisible, nobody's but its upload's. */
export const chunkState = { live: 0, damaged: 1, condemned: 2, composing: 3 } as const
/** `objects.state` */
export const objectState = { intended: 0, open: 1, sealed: 2, condemned: 3 } as const
/** `objects.kind` */
export const objectKind = { whole: 0, pack: 1 } as const
/** `chunks.codec` */
export const chunkCodec = { raw: 0, zstd: 1 } as const
/** `holders.kind` */
export const holderKind = { lease: 1, draft: 2, package: 3, manifest: 4, blob: 5, document: 6, upload: 7 } as const
/** `documents.kind` */
export const documentKind = { schema: 1, plan: 2, certificate: 3 } as const
/** `manifests.state` */
export const manifestState = { unpublished: 0, published: 1, dissolving: 2 } as const
/** `drafts.state`. What is staged is nobody's package: it holds an archive that is being stored, until all of it is accepted. */
export const draftState = { open: 0, sealing: 1, ended: 2, staging: 3 } as const
/** `uploads.state`. An ended one is no longer there for anybody, and its rows are cleared away. */
export const uploadState = { open: 0, complete: 1, ended: 2 } as const
/** `draft_entries.kind` */
export const entryKind = { file: 0, symlink: 1, directory: 2 } as const
/** `packages.status`. Up to `deleted` it can come back, and its manifest is unique in its repository. */
export const packageStatus = { finalized: 0, deleted: 1, purging: 2, purged: 3 } as const
/** `package_parts.stage` */
export const partStage = { kept: 0, eligible: 1, approved: 2, deleted: 3, purging: 4, purged: 5 } as const
