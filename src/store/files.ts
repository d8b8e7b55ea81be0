import { type Digest, sha256Digest } from '../core/digest.ts'
import { FileNotFoundError, InputInvalidError, PurgedError, StoreError } from '../core/errors.ts'
import { formatTime } from '../core/event.ts'
import type { LayerEntry } from '../core/manifest.ts'
import { type FilePath, parsePath } from '../core/path.ts'
import type { BlobLocation, ChunkLocation } from '../ports/data-plane.ts'
import { type ChildRow, listChildren, type PackageRow } from '../registry/packages.ts'
import { packArchive } from './archive.ts'
import type { StoreContext } from './context.ts'
import type { ExpiredFileSet, ArchiveRequest, FileInfo, Files, OpenFile, ReadFile, ReadRange } from './interface.ts'
import { isDamage, type PackageReader } from './package-reader.ts'
import { within } from './path-prefix.ts'
import { filesManifestsOf } from './replay.ts'
import type { FilesManifest } from './views.ts'

/** Files that come whole, with others, rather than as a stream of their own. */
const SMALL_BYTES = 2 * 1024 * 1024
/** What is read together. */
const BATCH_FILES = 500
const BATCH_BYTES = 8 * 1024 * 1024

type StoredFile = Extract<FileInfo, { kind: 'file' }>

/** The files of finalized packages. */
export class EmbeddedFiles implements Files {
  readonly #context: StoreContext
  readonly #packages: PackageReader

  constructor(context: StoreContext, packages: PackageReader) {
    this.#context = context
    this.#packages = packages
  }

  async *list(ref: string, options: { readonly prefix?: string } = {}): AsyncGenerator<FileInfo, void, undefined> {
    const row = await this.#packages.resolve(ref)
    const below = within(options.prefix)
    for await (const file of this.listOf(row)) if (below(file.path)) yield file
    const document = await this.#packages.document(row)
    for (const { path, target } of document.symlinks ?? []) if (below(path)) yield { kind: 'symlink', path, target }
    for (const path of document.directories ?? []) if (below(path)) yield { kind: 'directory', path }
  }

  /**
   * The files of a package by set and path, a manifest at a time.
   * @throws DamagedError for a manifest that cannot be read, after the files of all the others
   */
  async *listOf(row: PackageRow): AsyncGenerator<StoredFile, void, undefined> {
    let unreadable: StoreError | undefined
    for (const child of await this.childrenOf(row)) {
      const files = await this.filesOf(child).catch((error: unknown) => {
        if (!isDamage(error)) throw error
        unreadable ??= error
        return []
      })
      yield* files
    }
    if (unreadable !== undefined) throw unreadable
  }

  async expired(ref: string): Promise<readonly ExpiredFileSet[]> {
    return this.#expiredSets(await this.#packages.resolve(ref))
  }

  async stat(ref: string, path: string): Promise<StoredFile> {
    return (await this.open(ref, path)).file
  }

  async *read(ref: string, path: string, range: ReadRange = {}): AsyncGenerator<Uint8Array, void, undefined> {
    yield* (await this.open(ref, path)).read(range)
  }

  async open(ref: string, path: string): Promise<OpenFile> {
    const parsed = parsePath(path)
    const row = await this.#packages.resolve(ref)
    const file = await this.#find(row, parsed)
    return { packageId: row.uuid, file, read: (range = {}) => this.#read(file, range) }
  }

  async #find(row: PackageRow, path: FilePath): Promise<StoredFile> {
    let unreadable: StoreError | undefined
    for (const { digest, setKey } of await this.childrenOf(row)) {
      try {
        const manifest = await this.#packages.manifest(digest)
        const layer = manifest.kind === 'index' ? undefined : manifest.layers.find((candidate) => candidate.path === path)
        if (layer !== undefined) return storedFile(layer, setKey)
      } catch (error) {
        // The file may be in another set.
        if (!isDamage(error)) throw error
        unreadable ??= error
      }
    }
    if (unreadable !== undefined) throw unreadable
    throw await this.missing(row, path)
  }

  /** Why nothing is at a path, or below it: it expired with its set, or never was. */
  async missing(row: PackageRow, path: string): Promise<StoreError> {
    const expired = await this.#expiredSets(row)
    if (expired.length > 0) return expiredFile(row, path, expired)
    return new FileNotFoundError(`package ${row.uuid} has no file '${path}'`, { detail: { packageId: row.uuid, path } })
  }

  async *#read({ path, size, digest }: StoredFile, { start = 0, end, signal }: ReadRange): AsyncGenerator<Uint8Array, void, undefined> {
    for (const bound of [start, end ?? 0]) {
      if (!Number.isSafeInteger(bound) || bound < 0) throw new InputInvalidError(`a range counts whole bytes from 0, not ${String(bound)}`)
    }
    if (start > 0 && start >= size) throw new InputInvalidError(`'${path}' has ${size} bytes; byte ${start} is beyond them`)
    if (end !== undefined && end < start) throw new InputInvalidError(`a range ends at ${end} before it starts at ${start}`)
    const stop = Math.min(size, end === undefined ? size : end + 1)
    const location = await this.#packages.locate(digest)
    yield* this.#packages.read(digest, location, { start, end: stop, ...(signal === undefined ? {} : { signal }) })
  }

  async *readMany(ref: string, options: { readonly prefix?: string; readonly signal?: AbortSignal } = {}): AsyncGenerator<ReadFile, void, undefined> {
    const row = await this.#packages.resolve(ref)
    const below = within(options.prefix)
    const { signal } = options
    let batch: Located[] = []
    let bytes = 0
    for await (const file of this.listOf(row)) {
      if (!below(file.path)) continue
      const location = await this.#located(file)
      if (location instanceof StoreError) {
        yield { file, error: location }
        continue
      }
      const [chunk] = location
      if (chunk === undefined || location.length > 1 || file.size > SMALL_BYTES) {
        yield { file, stream: this.#packages.read(file.digest, location, signal === undefined ? {} : { signal }) }
        continue
      }
      batch.push({ file, chunk })
      bytes += file.size
      if (batch.length < BATCH_FILES && bytes < BATCH_BYTES) continue
      yield* this.#readBatch(batch, signal)
      batch = []
      bytes = 0
    }
    yield* this.#readBatch(batch, signal)
  }

  archive(ref: string, request: ArchiveRequest): AsyncIterable<Uint8Array> {
    return packArchive({ packages: this.#packages, files: this }, ref, request)
  }

  async #located(file: StoredFile): Promise<BlobLocation | StoreError> {
    try {
      return await this.#packages.locate(file.digest)
    } catch (error) {
      if (isDamage(error)) return error
      throw error
    }
  }

  async *#readBatch(batch: readonly Located[], signal: AbortSignal | undefined): AsyncGenerator<ReadFile, void, undefined> {
    const blobs = batch.map(({ file, chunk }) => ({ file, digest: file.digest, chunk }))
    for await (const { index, ...outcome } of this.#packages.readMany(blobs, signal === undefined ? {} : { signal })) {
      const file = blobs[index]?.file
      if (file !== undefined) yield { file, ...outcome }
    }
  }

  /** The manifests that hold a package's files. After a recovery that could not read the root, it is asked again: it may have been healed. */
  async childrenOf(row: PackageRow): Promise<readonly FilesManifest[]> {
    const children = await listChildren(this.#context.registry.reader, row.id)
    if (children.length > 0 || row.file_count === 0) return children.filter(({ deletedAt }) => deletedAt === undefined).map(filesManifest)
    const digest = sha256Digest(row.manifest_digest)
    return filesManifestsOf({ digest, fileCount: row.file_count, size: row.size }, await this.#packages.manifest(digest))
  }

  /** @throws PurgedError with the tombstone when a manifest of this package was deleted with its file set */
  async assertChildThere(row: PackageRow, digest: Digest): Promise<void> {
    const children = await listChildren(this.#context.registry.reader, row.id)
    const child = children.find((candidate) => sha256Digest(candidate.digest) === digest)
    if (child?.deletedAt === undefined) return
    const expired = { fileSets: setNames(child.set_key), count: child.file_count, size: child.size, deletedAt: formatTime(child.deletedAt) }
    throw new PurgedError(`manifest ${digest} of package ${row.uuid} expired with its file set`, {
      detail: { packageId: row.uuid, digest, expired: [expired] },
    })
  }

  /** Manifests of a package that cannot come back but by storing them again. */
  async goneChildrenOf(row: PackageRow): Promise<ReadonlySet<Digest>> {
    const children = await listChildren(this.#context.registry.reader, row.id)
    return new Set(children.flatMap(({ isGone, digest }) => (isGone ? [sha256Digest(digest)] : [])))
  }

  async #expiredSets(row: PackageRow): Promise<readonly ExpiredFileSet[]> {
    const sets = new Map<string, ExpiredFileSet>()
    for (const child of await listChildren(this.#context.registry.reader, row.id)) {
      if (child.deletedAt === undefined) continue
      const { count = 0, size = 0 } = sets.get(child.set_key) ?? {}
      sets.set(child.set_key, {
        fileSets: setNames(child.set_key),
        count: count + child.file_count,
        size: size + child.size,
        deletedAt: formatTime(child.deletedAt),
      })
    }
    return [...sets.values()]
  }

  /** The files of one child manifest. */
  async filesOf({ digest, setKey }: FilesManifest): Promise<readonly StoredFile[]> {
    const manifest = await this.#packages.manifest(digest)
    if (manifest.kind === 'index') return []
    return manifest.layers.map((layer) => storedFile(layer, setKey))
  }
}

function storedFile(layer: LayerEntry, setKey: string): StoredFile {
  return { kind: 'file', fileSets: setNames(setKey), ...layer }
}

function setNames(setKey: string): readonly string[] {
  return setKey === '' ? [] : setKey.split(',')
}

function filesManifest({ digest, set_key: setKey, file_count: fileCount, size }: ChildRow): FilesManifest {
  return { digest: sha256Digest(digest), setKey, fileCount, size }
}

/** The file may have been in a set that has gone: nobody knows any more. */
function expiredFile(row: PackageRow, path: string, expired: readonly ExpiredFileSet[]): PurgedError {
  const sets = expired.map(({ fileSets, count, size }) => ({ fileSets, count, size }))
  return new PurgedError(`package ${row.uuid} has no file '${path}' any more, or never had: ${expired.length} of its file sets expired`, {
    detail: { packageId: row.uuid, path, expired: sets },
  })
}

interface Located {
  readonly file: StoredFile
  readonly chunk: ChunkLocation
}
