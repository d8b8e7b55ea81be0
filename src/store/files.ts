import { sha256Digest } from '../core/digest.ts'
import { FileNotFoundError, InputInvalidError, StoreError } from '../core/errors.ts'
import type { LayerEntry } from '../core/manifest.ts'
import { type FilePath, parsePath } from '../core/path.ts'
import type { BlobLocation, ChunkLocation } from '../ports/data-plane.ts'
import { listChildren, type PackageRow } from '../registry/packages.ts'
import type { StoreContext } from './context.ts'
import type { FileInfo, Files, ReadFile } from './interface.ts'
import { isDamage, type PackageReader } from './package-reader.ts'
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

  async stat(ref: string, path: string): Promise<StoredFile> {
    const parsed = parsePath(path)
    const row = await this.#packages.resolve(ref)
    let unreadable: StoreError | undefined
    for (const child of await this.childrenOf(row)) {
      try {
        const found = (await this.filesOf(child)).find((file) => file.path === parsed)
        if (found !== undefined) return found
      } catch (error) {
        // The file may be in another set.
        if (!isDamage(error)) throw error
        unreadable ??= error
      }
    }
    if (unreadable !== undefined) throw unreadable
    throw new FileNotFoundError(`package ${row.uuid} has no file '${path}'`, { detail: { packageId: row.uuid, path } })
  }

  async *read(
    ref: string,
    path: string,
    range: { readonly start?: number; readonly end?: number; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { start = 0, end, signal } = range
    for (const bound of [start, end ?? 0]) {
      if (!Number.isSafeInteger(bound) || bound < 0) throw new InputInvalidError(`a range counts whole bytes from 0, not ${String(bound)}`)
    }
    const file = await this.stat(ref, path)
    if (start > 0 && start >= file.size) throw new InputInvalidError(`'${path}' has ${file.size} bytes; byte ${start} is beyond them`)
    if (end !== undefined && end < start) throw new InputInvalidError(`a range ends at ${end} before it starts at ${start}`)
    const stop = Math.min(file.size, end === undefined ? file.size : end + 1)
    const location = await this.#packages.locate(file.digest)
    yield* this.#packages.read(file.digest, location, { start, end: stop, ...(signal === undefined ? {} : { signal }) })
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

  async #located(file: StoredFile): Promise<BlobLocation | StoreError> {
    try {
      return await this.#packages.locate(file.digest)
    } catch (error) {
      if (isDamage(error)) return error
      throw error
    }
  }

  async *#readBatch(batch: readonly Located[], signal: AbortSignal | undefined): AsyncGenerator<ReadFile, void, undefined> {
    const read = this.#context.dataPlane.readMany(
      batch.map(({ chunk }) => chunk),
      signal === undefined ? {} : { signal },
    )
    for await (const outcome of read) {
      const located = batch[outcome.index]
      if (located === undefined) throw new TypeError(`the data plane answered for chunk ${outcome.index}, which it was not asked for`)
      if ('error' in outcome) {
        await this.#packages.noteDamage(outcome.error, located.file.digest)
        yield { file: located.file, error: outcome.error }
      } else yield { file: located.file, bytes: outcome.bytes }
    }
  }

  /** The manifests that hold a package's files. After a recovery that could not read the root, it is asked again: it may have been healed. */
  async childrenOf(row: PackageRow): Promise<readonly FilesManifest[]> {
    const children = await listChildren(this.#context.registry.reader, row.id)
    const known = children.map((child) => ({
      digest: sha256Digest(child.digest),
      setKey: child.set_key,
      fileCount: child.file_count,
      size: child.size,
    }))
    if (known.length > 0 || row.file_count === 0) return known
    const digest = sha256Digest(row.manifest_digest)
    return filesManifestsOf({ digest, fileCount: row.file_count, size: row.size }, await this.#packages.manifest(digest))
  }

  /** The files of one child manifest. */
  async filesOf({ digest, setKey }: FilesManifest): Promise<readonly StoredFile[]> {
    const manifest = await this.#packages.manifest(digest)
    if (manifest.kind === 'index') return []
    const fileSets = setKey === '' ? [] : setKey.split(',')
    return manifest.layers.map((layer: LayerEntry) => ({ kind: 'file', fileSets, ...layer }))
  }
}

interface Located {
  readonly file: StoredFile
  readonly chunk: ChunkLocation
}

function within(prefix: string | undefined): (path: FilePath) => boolean {
  if (prefix === undefined || prefix === '') return () => true
  const parsed = parsePath(prefix.endsWith('/') ? prefix.slice(0, -1) : prefix)
  return (path) => path === parsed || path.startsWith(`${parsed}/`)
}
