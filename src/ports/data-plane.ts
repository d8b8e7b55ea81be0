import type { StoreError } from '../core/errors.ts'
import type { ObjectKey } from './backend.ts'

/**
 * The data plane moves, hashes, compresses and places bytes. It has no registry and decides nothing about visibility, retention or collection:
 * the store tells it what exists ({@link Resolve}) and gives it keys ({@link DataPlaneHost.allocate}). Verbs are per blob or in batches, never
 * per chunk. A digest here is the 32 raw bytes of a SHA-256.
 */

/** How the bytes of a chunk are stored. */
export type Codec = 'raw' | 'zstd'

/** What an object holds: many chunks, or one blob. */
export type ObjectKind = 'pack' | 'whole'

/** An object whose intent has been recorded; its bytes may follow. */
export interface Allocation {
  readonly objectId: number
  readonly key: ObjectKey
}

/** What the store does for the data plane. */
export interface DataPlaneHost {
  /** Records, under this writer's lease, that an object is about to be written (I6), and names it. */
  allocate(kind: ObjectKind): Promise<Allocation>
  /** Tells that a pack got its table of contents and is durable as it stands: nothing will be appended. Sizes in bytes. */
  sealed(objectId: number, facts: { readonly size: number; readonly entries: number }): Promise<void>
  /** Tells that an object that was allocated is not needed after all: nothing in it will be named. */
  dropped(objectId: number): Promise<void>
  /** Tells that a flush failed (final) or the space ran out (not final); the store goes read-only on the first. */
  failed(error: StoreError): void
}

/** What identified a file when its tree was listed; reading refuses the file if it is another by then. */
export interface FileFingerprint {
  readonly ino: bigint
  readonly size: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

/** Where bytes come from. A `file` is opened by the data plane itself (in batches, on its own threads), without following a link. */
export type IngestSource =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'stream'; readonly stream: AsyncIterable<Uint8Array> }
  | { readonly kind: 'file'; readonly path: string | Buffer; readonly fingerprint: FileFingerprint }

/** What kind of pack entry small bytes become; manifests are found again by kind when a registry is recovered. */
export type ContentKind = 'chunk' | 'manifest'

/** One blob to store. */
export interface IngestItem {
  readonly source: IngestSource
  /** Defaults to `chunk`. */
  readonly content?: ContentKind
  /** Announced by the sender; other bytes are refused ({@link DigestMismatchError}) and nothing of them becomes visible. */
  readonly expectedDigest?: Uint8Array
  readonly expectedSize?: number
}

/**
 * Asks which of these digests need not be stored. Answering `true` means that the asker holds them already (I2). The order of the answers is
 * that of the question. Called once a window of at most about 64 MiB or 1,000 blobs.
 */
export type Resolve = (
  blobs: readonly { readonly index: number; readonly digest: Uint8Array; readonly size: number }[],
) => Promise<readonly boolean[]>

/** Where durable bytes lie. Offsets and lengths in bytes; `offset` is that of the first payload byte. */
export interface Placement {
  readonly objectId: number
  readonly kind: ObjectKind
  readonly offset: number
  readonly storedLength: number
  readonly codec: Codec
  /** CRC-32s of each 1 MiB of a whole object, little-endian, 4 bytes each; undefined for a pack entry. */
  readonly checksums?: Uint8Array
}

/** What became of one item. `index` counts the items in the order they were given. */
export type Ingested =
  | { readonly index: number; readonly digest: Uint8Array; readonly size: number; readonly placement: Placement | undefined }
  | { readonly index: number; readonly error: StoreError }

/** A chunk to read. */
export interface ChunkLocation {
  readonly digest: Uint8Array
  /** Length of the bytes as the user knows them. */
  readonly size: number
  readonly key: ObjectKey
  readonly kind: ObjectKind
  readonly offset: number
  readonly storedLength: number
  readonly codec: Codec
  /**
   * CRC-32s of a whole object's 1 MiB blocks (4 bytes each, little-endian), a segment of 1,024 blocks at a time. Only called for `whole`.
   * @returns undefined when the registry has none for that segment (treated as damage)
   */
  readonly checksums?: (segment: number) => Promise<Uint8Array | undefined>
}

/** A blob to read: its chunks in order. */
export type BlobLocation = readonly ChunkLocation[]

/** A chunk as a recipe names it. `size` in bytes. */
export interface RecipeChunk {
  readonly digest: Uint8Array
  readonly size: number
}

/** Of which chunks, in order, a blob is composed. */
export interface Recipe {
  readonly digest: Uint8Array
  readonly size: number
  /** How many chunks there are. */
  readonly count: number
  readonly chunks: AsyncIterable<RecipeChunk> | Iterable<RecipeChunk>
}

/** What `verify` found out about one chunk. */
export interface Verified {
  readonly index: number
  readonly problem?: StoreError
}

/** An entry of a pack: the bytes of a chunk or a manifest, or a record that says where a blob lies or of what it is composed. */
export interface PackedEntry {
  readonly kind: ContentKind | 'placement' | 'recipe'
  /** Of the bytes; of records, of the blob they are about. */
  readonly digest: Uint8Array
  /** Length of the bytes, decoded. */
  readonly size: number
  readonly offset: number
  readonly storedLength: number
  readonly codec: Codec
  /** The object that a placement tells of. */
  readonly object?: ObjectKey
}

/** What is in a pack. `damage`: ranges that cannot be understood. */
export interface PackContents {
  /** Bytes: of the object if it is complete, else up to the end of its last entry. */
  readonly size: number
  /** It ends in its table of contents. */
  readonly isComplete: boolean
  readonly entries: readonly PackedEntry[]
  readonly damage: readonly { readonly start: number; readonly end: number }[]
}

/** An entry, and where there is a durable copy of it now. */
export interface MovedEntry {
  readonly entry: PackedEntry
  readonly placement: Placement
}

/** The verbs. Errors of reading are `DamagedError` (with the digest in `detail`), `ObjectMissingError` or `BackendFailedError`. */
export interface DataPlane {
  /**
   * Stores many blobs. Each yielded batch is durable; items come in any order, each exactly once. Consuming slowly slows the sources. Memory is
   * bounded whatever the number and size of the items. Many calls may run at once; they share flushes. A failing item is an outcome of its own;
   * what throws is the end of the whole call.
   */
  ingestMany(
    items: AsyncIterable<IngestItem> | Iterable<IngestItem>,
    options: { readonly resolve: Resolve; readonly signal?: AbortSignal },
  ): AsyncIterable<readonly Ingested[]>
  /**
   * Writes down of which chunks a blob is composed, so that a lost registry is rebuilt from it; durable when it resolves.
   * @returns the objects it lies in, whose ownership the commit that uses the recipe checks
   */
  recordRecipe(recipe: Recipe): Promise<readonly number[]>
  /**
   * Streams bytes `start` (inclusive) to `end` (exclusive) of a blob; every piece was checked before it is yielded. Pieces are at most 2 MiB and belong
   * to the caller.
   */
  read(blob: BlobLocation, range?: { readonly start?: number; readonly end?: number; readonly signal?: AbortSignal }): AsyncIterable<Uint8Array>
  /** Reads many blobs of one chunk each (at most 2 MiB), neighbours in one object together. Out of order; each exactly once. */
  readMany(
    chunks: readonly ChunkLocation[],
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterable<{ readonly index: number; readonly bytes: Uint8Array } | { readonly index: number; readonly error: StoreError }>
  /** Re-reads chunks whole and compares digests, in the order in which they lie. Out of order; each exactly once. */
  verify(chunks: readonly ChunkLocation[], options?: { readonly signal?: AbortSignal }): AsyncIterable<Verified>
  /**
   * Lists what is in a pack: by its table of contents where there is one, else by reading all of it.
   * @throws ObjectMissingError; VersionUnsupportedError when something in it is a newer release's
   */
  contents(pack: ObjectKey): Promise<PackContents>
  /**
   * Copies entries of a pack, as they are stored, into packs of this writer. Each is checked before. Yields durable batches in order of offsets.
   * @throws DamagedError for the first one that is not what it was; nothing of it is copied
   */
  compact(pack: ObjectKey, entries: readonly PackedEntry[], options?: { readonly signal?: AbortSignal }): AsyncIterable<readonly MovedEntry[]>
  /** Removes objects that the store has condemned; resolves when the backend confirms each. */
  delete(keys: readonly ObjectKey[]): Promise<void>
  /**
   * Lets go of the open pack without touching it again: the store has learnt that this writer was taken for dead and the pack frozen. What comes
   * next goes into a new one.
   */
  abandon(): Promise<void>
  /** Ends the open pack, if it holds anything, in good order; what comes next goes into a new one. */
  seal(): Promise<void>
  /** Seals the open pack, if it holds anything, and stops. */
  close(): Promise<void>
}
