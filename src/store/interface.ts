import type { Digest } from '../core/digest.ts'
import type { JsonObject } from '../core/canonical-json.ts'
import type { StoreError } from '../core/errors.ts'
import type { FileSetRule } from '../core/file-set.ts'
import type { RepositoryPolicy } from '../core/repository-policy.ts'
import type { PackageId, RepositoryName, TagName } from '../core/name.ts'
import type { PackageDocument, PackageLink, Provenance } from '../core/package-document.ts'
import type { FilePath } from '../core/path.ts'
import type { FileFingerprint } from '../ports/data-plane.ts'
import type { Holds, Retention } from './retention-interface.ts'
import type { Events } from './event-interface.ts'
import type { Uploads } from './upload-interface.ts'

/**
 * What a user of a store holds, embedded or over the network. Names, paths, references and digests arrive as plain strings and are parsed here, at
 * the edge; what comes back is branded. All methods throw the classes of `core/errors.ts`.
 */
export interface Store extends AsyncDisposable {
  /** The store's own id, a UUID, part of every object key and of the first event. */
  readonly id: string
  readonly packages: Packages
  readonly repositories: Repositories
  readonly files: Files
  readonly tags: Tags
  readonly uploads: Uploads
  readonly schemas: MetadataSchemas
  readonly events: Events
  readonly retention: Retention
  readonly holds: Holds
  /** Component checks, cheap enough for a probe. */
  health(): Promise<Health>
  close(): Promise<void>
}

/** What a package is about. All but `repository` is optional; what is content (all but class and tags) enters the package document. */
export interface OpenPackage {
  readonly repository: string
  /** A bare word `w` or a media type; default `package`. */
  readonly type?: string
  readonly producer?: string
  readonly subject?: string
  readonly runId?: string
  readonly retentionClass?: string
  readonly fileSets?: readonly FileSetRule[]
  readonly metadata?: JsonObject
  readonly metadataSchema?: string
  readonly links?: readonly PackageLink[]
  readonly provenance?: Provenance
  readonly tags?: readonly string[]
}

/** What sealing may still set. */
export interface FinalizePackage {
  readonly metadata?: JsonObject
  readonly provenance?: Provenance
  readonly links?: readonly PackageLink[]
}

/** The receipt of a sealed package. `size` is the sum of its files' bytes. */
export interface FinalizedPackage {
  readonly id: PackageId
  readonly repository: RepositoryName
  readonly manifestDigest: Digest
  readonly fileCount: number
  readonly size: number
  /** True when the repository held this very content already. */
  readonly reusedExisting: boolean
}

/** Bytes as a caller has them. */
export type PutSource = Uint8Array | AsyncIterable<Uint8Array> | { readonly file: string | Buffer; readonly fingerprint: FileFingerprint }

/** What a caller may say about a file. `digest` and `size` are checked against what arrives. */
export interface PutOptions {
  readonly mediaType?: string
  readonly executable?: boolean
  readonly digest?: string
  readonly size?: number
}

/** How to put one file. */
export interface PutFileOptions extends PutOptions {
  /** Refuses to replace what is there. */
  readonly onlyIfAbsent?: boolean
  readonly signal?: AbortSignal
}

/** What an archive is; told by its first bytes when not given. */
export type ArchiveFormat = 'tar' | 'zip'

/** What came of an archive (or a tree). `bytes` is the sum of its files' sizes. */
export interface ArchiveReport {
  readonly files: number
  readonly symlinks: number
  readonly directories: number
  readonly bytes: number
}

/** How to put an archive. */
export interface PutArchiveOptions {
  readonly format?: ArchiveFormat
  readonly signal?: AbortSignal
  /** Files and bytes so far. */
  readonly onProgress?: (progress: { readonly files: number; readonly bytes: number }) => void
}

/** One entry of a package on its way in. A directory is kept only where nothing lies below it. */
export type PutItem =
  | ({ readonly kind: 'file'; readonly path: string; readonly source: PutSource } & PutOptions)
  | { readonly kind: 'symlink'; readonly path: string; readonly target: string }
  | { readonly kind: 'directory'; readonly path: string }

/** What became of one item, by its position in what was given. */
export type PutOutcome =
  | { readonly index: number; readonly digest?: Digest; readonly size: number; /** true: the bytes were here already */ readonly reused: boolean }
  | { readonly index: number; readonly error: StoreError }

/** A file the caller has and knows the digest of. */
export interface KnownFile {
  readonly path: string
  readonly digest: string
  readonly size: number
  readonly mediaType?: string
  readonly executable?: boolean
}

/** A package being filled. Everything acknowledged here is durable and held by the open package. */
export interface Draft {
  readonly id: PackageId
  readonly repository: RepositoryName
  /** `finalized` when opening met the same run id again; then only {@link finalize} may be called, and returns the receipt. */
  readonly status: 'open' | 'finalized'
  readonly reusedExisting: boolean
  /** Stores one file; replaces one of the same path. @throws AlreadyExistsError with `onlyIfAbsent` when there is one */
  put(path: string, source: PutSource, options?: PutFileOptions): Promise<{ readonly digest: Digest; readonly size: number }>
  /**
   * Stores many entries; yields batches of durable outcomes, in any order, each item once. Failing items are outcomes. The fastest way in.
   */
  putMany(items: AsyncIterable<PutItem> | Iterable<PutItem>, options?: { readonly signal?: AbortSignal }): AsyncIterable<readonly PutOutcome[]>
  /** Find-missing: attaches the files whose bytes are here; answers, in order, which were attached. The others must be put. At most 10,000 a call. */
  attach(files: readonly KnownFile[]): Promise<readonly boolean[]>
  /**
   * Stores all entries of a tar (plain, gzip or zstd) or zip archive, replacing what has the same paths. Of an archive that is refused nothing stays.
   * @throws TreeRefusedError naming every entry that cannot be stored; InputInvalidError for a damaged archive; LimitExceededError
   */
  putArchive(source: AsyncIterable<Uint8Array>, options?: PutArchiveOptions): Promise<ArchiveReport>
  remove(path: string): Promise<void>
  /** Seals the package. Repeatable: the second call returns the same receipt. */
  finalize(request?: FinalizePackage): Promise<FinalizedPackage>
  /** Forgets the open package. */
  abort(): Promise<void>
}

/** A package as listings show it. Times are RFC 3339 UTC. */
export interface PackageInfo {
  readonly id: PackageId
  readonly repository: RepositoryName
  /** `deleted`: it can be taken back until its grace ends; `purged`: this is its tombstone. */
  readonly status: 'open' | 'finalized' | 'deleted' | 'purged'
  readonly type: string
  readonly producer?: string
  readonly subject?: string
  readonly runId?: string
  readonly retentionClass?: string
  readonly createdAt: string
  readonly finalizedAt?: string
  readonly expiresAt?: string
  readonly manifestDigest?: Digest
  readonly fileCount: number
  readonly size: number
  readonly tags: readonly TagName[]
  readonly metadata?: JsonObject
}

/** Filters of a search; all given ones must hold. Times are RFC 3339, `from` inclusive, `until` exclusive, on the time of sealing. */
export interface PackageFilter {
  /** This repository and those below it, by whole components. */
  readonly repository?: string
  readonly producer?: string
  readonly subject?: string
  readonly runId?: string
  readonly type?: string
  readonly retentionClass?: string
  readonly status?: 'finalized' | 'deleted' | 'purged'
  readonly tag?: string
  readonly from?: string
  readonly until?: string
  /** Exact values of top-level metadata members; numbers and booleans in their JSON form. */
  readonly metadata?: Readonly<Record<string, string>>
}

/** Where a page begins. `after` is what the page before returned as `next`; opaque. */
export interface PageRequest {
  readonly limit?: number
  readonly after?: string
}

/** One page, and where the next begins. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next?: string
}

/** Bytes of a manifest exactly as they were sealed. */
export interface ManifestBytes {
  readonly bytes: Uint8Array
  readonly digest: Digest
  readonly mediaType: string
}

/** Opening, finding and checking packages. */
export interface Packages {
  /** Opens a package; the same repository and run id again continues or returns the one there is. @throws RunConflictError */
  open(request: OpenPackage): Promise<Draft>
  /** Continues an open package by id; of a sealed one only {@link Draft.finalize} may be called. */
  resume(id: string): Promise<Draft>
  /**
   * `ref`: a package id, `name:tag` or `name@sha256:…`. Aliases lead to the package they stand for. The id of an open package shows what it holds so
   * far to whoever may write to its repository.
   */
  get(ref: string): Promise<PackageInfo>
  /** Newest first. */
  search(filter?: PackageFilter, page?: PageRequest): Promise<Page<PackageInfo>>
  /** What the package says of itself beside its files. */
  document(ref: string): Promise<PackageDocument>
  /** The package's own manifest, or one of its children by digest. */
  manifest(ref: string, child?: string): Promise<ManifestBytes>
  /** Re-reads every stored byte of a package (or of all) and yields a line a file, in any order. */
  verify(ref: string | 'all', options?: { readonly signal?: AbortSignal }): AsyncIterable<VerifiedFile>
  /** Checks what packs hold beside the bytes of files, from which a lost registry is rebuilt; yields a line a pack. */
  verifyPacks(options?: { readonly signal?: AbortSignal }): AsyncIterable<VerifiedPack>
}

/** One pack's outcome of a verification. `key` names it in the backend. */
export interface VerifiedPack {
  readonly key: string
  readonly problem?: StoreError
}

/** A repository as listings show it. */
export interface RepositoryInfo {
  readonly name: RepositoryName
  readonly packages: number
  readonly createdAt: string
  readonly policy: RepositoryPolicy
}

/** Names under which packages are grouped, and their policies. */
export interface Repositories {
  /** In order of name; those whose name begins with `prefix`. */
  list(prefix?: string, page?: PageRequest): Promise<Page<RepositoryInfo>>
  get(name: string): Promise<RepositoryInfo>
  /** Replaces the policy as a whole; makes the repository when there is none. What was sealed before keeps what it was promised. */
  set(name: string, policy: RepositoryPolicy): Promise<RepositoryInfo>
}

/** A JSON Schema (draft 2020-12) for the metadata of packages. */
export interface MetadataSchema {
  /** A dotted name that ends in its version, such as `report.run.v1`; what it stands for never changes. */
  readonly name: string
  readonly digest: Digest
  readonly createdAt: string
  readonly schema: JsonObject
}

/** The schemas that packages name by `metadataSchema`. */
export interface MetadataSchemas {
  /** Registers a schema; the same again changes nothing. @throws AlreadyExistsError when the name stands for another one; InputInvalidError */
  register(name: string, schema: JsonObject): Promise<MetadataSchema>
  get(name: string): Promise<MetadataSchema>
  /** In order of name. */
  list(page?: PageRequest): Promise<Page<MetadataSchema>>
}

/** An entry of a finalized package. */
export type FileInfo =
  | {
      readonly kind: 'file'
      readonly path: FilePath
      readonly digest: Digest
      readonly size: number
      readonly mediaType: string
      readonly executable: boolean
      readonly fileSets: readonly string[]
    }
  | { readonly kind: 'symlink'; readonly path: FilePath; readonly target: string }
  | { readonly kind: 'directory'; readonly path: FilePath }

/** What is left of files of a package that were deleted while others stay: which sets they were in, how many, and their bytes. */
export interface ExpiredFileSet {
  readonly fileSets: readonly string[]
  readonly count: number
  readonly size: number
  /** RFC 3339. */
  readonly deletedAt: string
}

/** One file's outcome of a verification. For the package's own documents `path` is absent and `digest` names them. */
export interface VerifiedFile {
  readonly packageId: PackageId
  readonly path?: FilePath
  readonly digest: Digest
  readonly size: number
  readonly problem?: StoreError
}

/** Which bytes: `start` to `end`, both inclusive, as HTTP counts; all of them without. */
export interface ReadRange {
  readonly start?: number
  readonly end?: number
  readonly signal?: AbortSignal
}

/** A file that was found. */
export interface OpenFile {
  readonly packageId: PackageId
  readonly file: Extract<FileInfo, { kind: 'file' }>
  /** Every piece was verified, and belongs to the caller. */
  read(range?: ReadRange): AsyncIterable<Uint8Array>
}

/** Reading what is in packages. `ref` is as in {@link Packages.get}. */
export interface Files {
  /** The tombstones of file sets that expired; a path that is not there while there are any is answered with PurgedError. */
  expired(ref: string): Promise<readonly ExpiredFileSet[]>
  /** All entries that are there: files by set and path, then links, then empty directories. */
  list(ref: string, options?: { readonly prefix?: string }): AsyncIterable<FileInfo>
  stat(ref: string, path: string): Promise<Extract<FileInfo, { kind: 'file' }>>
  /** Finds a file, to be read afterwards. @throws NotFoundError; FileNotFoundError */
  open(ref: string, path: string): Promise<OpenFile>
  /** Streams a file, or bytes `start` (inclusive) to `end` (inclusive, as HTTP counts). Every piece was verified. */
  read(ref: string, path: string, range?: ReadRange): AsyncIterable<Uint8Array>
  /**
   * Streams many files of one package, small ones read together; yields `bytes` for files up to 2 MiB and a `stream` (to be consumed before the
   * next step, its pieces belonging to the caller) for larger ones. Out of order; each file once. A damaged one is an outcome.
   */
  readMany(ref: string, options?: { readonly prefix?: string; readonly signal?: AbortSignal }): AsyncIterable<ReadFile>
  /** Streams what is there of a package, or lies at or below a prefix of it, as an archive. The same entries give the same bytes. */
  archive(ref: string, options: ArchiveRequest): AsyncIterable<Uint8Array>
}

/** Which archive. */
export interface ArchiveRequest {
  readonly format: 'tar' | 'tar.zst' | 'zip'
  readonly prefix?: string
  readonly signal?: AbortSignal
}

/** One file of {@link Files.readMany}. */
export type ReadFile =
  | { readonly file: Extract<FileInfo, { kind: 'file' }>; readonly bytes: Uint8Array }
  | { readonly file: Extract<FileInfo, { kind: 'file' }>; readonly stream: AsyncIterable<Uint8Array> }
  | { readonly file: Extract<FileInfo, { kind: 'file' }>; readonly error: StoreError }

/** A tag and the package it leads to. */
export interface TagInfo {
  readonly tag: TagName
  readonly packageId: PackageId
  readonly manifestDigest: Digest
}

/** Movable names of packages. */
export interface Tags {
  /** In order of name. */
  list(repository: string, page?: PageRequest): Promise<Page<TagInfo>>
  get(repository: string, tag: string): Promise<TagInfo>
  /** Points a tag at a package of its repository. @throws StateConflictError when tags of this repository are immutable and it leads elsewhere */
  set(repository: string, tag: string, ref: string): Promise<void>
  remove(repository: string, tag: string): Promise<void>
}

/** Component checks. */
export interface Health {
  readonly status: 'pass' | 'warn' | 'fail'
  readonly checks: Readonly<Record<string, { readonly status: 'pass' | 'warn' | 'fail'; readonly observed?: string }>>
}
