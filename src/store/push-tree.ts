import { resolve } from 'node:path'
import { rawSha256, sha256Digest, SHA256_BYTES } from '../core/digest.ts'
import { TreeRefusedError } from '../core/errors.ts'
import type { EntryProblem } from '../core/errors.ts'
import { compileGlob } from '../core/glob.ts'
import { displayPath } from '../core/path.ts'
import type { FilePath } from '../core/path.ts'
import { systemClock, type Clock } from '../ports/clock.ts'
import type { Draft, KnownFile, PutItem, PutOutcome } from './interface.ts'
import { walkTree } from './local-tree.ts'
import { isEntryError, reasonOf, refuseProblems, throwIfAborted } from './push-report.ts'
import type { PushProgress, PushReport } from './push-report.ts'
import { EMPTY_STAT_CACHE, loadStatCache, saveStatCache } from './stat-cache.ts'
import type { StatCache, StatCacheEntry } from './stat-cache.ts'
import { TreeListing } from './tree-listing.ts'

/** What to push, and how. */
export interface PushTreeOptions {
  /** Entries to leave out, in the grammar of docs/format/glob.md. */
  readonly exclude?: readonly string[]
  /** Where to remember what files hashed to; without it every file is read. */
  readonly cacheDir?: string
  /** Reads every file, whatever the cache knows. */
  readonly rehash?: boolean
  /** Tells which files are too young to be remembered. */
  readonly clock?: Clock
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: PushProgress) => void
}

/** Small enough for one short transaction, large enough that their number does not matter. */
const ATTACH_BATCH = 1_000

/**
 * Stores a folder in an open package. The tree is listed and checked as a whole before the first byte is stored. Files that are what they were at
 * the last push are not read if the store still has their bytes; all others are. Nothing is finalized here. After a stop, the same push again
 * goes on where it was, as the files acknowledged by then are in the package and in the cache.
 * @param root a folder
 * @throws TreeRefusedError with all entries that cannot be stored, or that changed while they were read
 */
export async function pushTree(draft: Pick<Draft, 'attach' | 'putMany'>, root: string, options: PushTreeOptions = {}): Promise<PushReport> {
  const listedAtMs = (options.clock ?? systemClock).now()
  const folder = resolve(root)
  const { cacheDir, rehash } = options
  const loading = cacheDir === undefined || rehash === true ? EMPTY_STAT_CACHE : loadStatCache(cacheDir, folder)
  const listing = await list(folder, options)
  const push = new TreePush(draft, listing, options)
  try {
    await push.attach(await loading)
    await push.send()
  } finally {
    // The push does not fail because the next one will be slower.
    if (cacheDir !== undefined) await saveStatCache(cacheDir, folder, push.settled(), listedAtMs).catch(() => undefined)
  }
  refuseProblems(folder, push.problems)
  return push.report()
}

/** Lists a tree and checks it. @throws TreeRefusedError */
async function list(folder: string, { exclude = [], signal, onProgress }: PushTreeOptions): Promise<TreeListing> {
  const listing = new TreeListing(folder)
  const problems: EntryProblem[] = []
  try {
    const excludes = exclude.map((pattern) => compileGlob(pattern))
    for await (const entries of walkTree(folder, { exclude: excludes, ...(signal !== undefined && { signal }) })) {
      for (const entry of entries) listing.add(entry)
      onProgress?.({ phase: 'list', files: listing.files.length, bytes: listing.bytes })
    }
  } catch (error) {
    // What is wrong between the entries is told in the same breath.
    if (!(error instanceof TreeRefusedError)) throw error
    problems.push(...error.problems)
  }
  refuseProblems(folder, [...problems, ...listing.problems()])
  return listing
}

/** A file that need not be read. */
interface Known {
  readonly position: number
  readonly hash: Uint8Array
  readonly file: KnownFile
}

class TreePush {
  readonly problems: EntryProblem[] = []
  readonly #draft: Pick<Draft, 'attach' | 'putMany'>
  readonly #listing: TreeListing
  readonly #options: PushTreeOptions
  /** Raw SHA-256 of each file whose bytes are in the package, by position. */
  readonly #hashes: Uint8Array
  readonly #isSettled: Uint8Array
  #files = 0
  #bytes = 0
  #unread = 0
  #reused = 0

  constructor(draft: Pick<Draft, 'attach' | 'putMany'>, listing: TreeListing, options: PushTreeOptions) {
    this.#draft = draft
    this.#listing = listing
    this.#options = options
    this.#hashes = new Uint8Array(listing.files.length * SHA256_BYTES)
    this.#isSettled = new Uint8Array(listing.files.length)
  }

  /** Attaches the files whose digest is known and whose bytes the store has. */
  async attach(cache: StatCache): Promise<void> {
    if (cache.size === 0) return
    let batch: Known[] = []
    for (const [position, path] of this.#listing.files.entries()) {
      const fingerprint = this.#listing.fingerprint(position)
      const hash = cache.sha256Of(path, fingerprint)
      if (hash === undefined) continue
      const executable = this.#listing.executable(position)
      batch.push({ position, hash, file: { path, digest: sha256Digest(hash), size: Number(fingerprint.size), executable } })
      if (batch.length < ATTACH_BATCH) continue
      await this.#attachBatch(batch)
      batch = []
    }
    await this.#attachBatch(batch)
    this.#unread = this.#files
  }

  /** Puts everything that is not attached. Failing files become problems. */
  async send(): Promise<void> {
    const { signal } = this.#options
    const unsettled = [...this.#listing.files.keys()].filter((position) => this.#isSettled[position] === 0)
    for await (const outcomes of this.#draft.putMany(this.#items(unsettled), signal === undefined ? {} : { signal })) {
      for (const outcome of outcomes) this.#note(outcome, unsettled)
      this.#tell()
    }
  }

  /** The files whose bytes are in the package, for the cache. */
  *settled(): Generator<StatCacheEntry, void, undefined> {
    for (const [position, path] of this.#listing.files.entries()) {
      if (this.#isSettled[position] === 0) continue
      const sha256 = this.#hashes.subarray(position * SHA256_BYTES, (position + 1) * SHA256_BYTES)
      yield { path, fingerprint: this.#listing.fingerprint(position), sha256 }
    }
  }

  report(): PushReport {
    const { symlinks, directories } = this.#listing
    return {
      files: this.#files,
      symlinks: symlinks.length,
      directories: directories.length,
      bytes: this.#bytes,
      unread: this.#unread,
      reused: this.#reused,
    }
  }

  async #attachBatch(batch: readonly Known[]): Promise<void> {
    if (batch.length === 0) return
    throwIfAborted(this.#options.signal)
    const attached = await this.#draft.attach(batch.map(({ file }) => file))
    for (const [index, { position, hash, file }] of batch.entries()) if (attached[index] === true) this.#settle(position, hash, file.size)
    this.#tell()
  }

  /** Files first, so that an outcome's index is also that of its file's position. */
  *#items(positions: readonly number[]): Generator<PutItem, void, undefined> {
    for (const position of positions) {
      const path = this.#listing.files[position] ?? ''
      const source = { file: this.#listing.place(position), fingerprint: this.#listing.fingerprint(position) }
      yield { kind: 'file', path, source, executable: this.#listing.executable(position) }
    }
    for (const { path, target } of this.#listing.symlinks) yield { kind: 'symlink', path, target }
    for (const path of this.#listing.directories) yield { kind: 'directory', path }
  }

  #note(outcome: PutOutcome, positions: readonly number[]): void {
    const position = positions[outcome.index]
    if ('error' in outcome) {
      if (!isEntryError(outcome.error)) throw outcome.error
      const path = position === undefined ? this.#otherPath(outcome.index - positions.length) : this.#listing.files[position]
      this.problems.push({ path: displayPath(path ?? ''), reason: reasonOf(outcome.error) })
    } else if (position !== undefined && outcome.digest !== undefined) {
      this.#settle(position, rawSha256(outcome.digest), outcome.size)
      if (outcome.reused) this.#reused++
    }
  }

  /** Path of the link or directory that was given as the n-th behind the files. */
  #otherPath(index: number): FilePath | undefined {
    const { symlinks, directories } = this.#listing
    return symlinks[index]?.path ?? directories[index - symlinks.length]
  }

  #settle(position: number, hash: Uint8Array, size: number): void {
    this.#hashes.set(hash, position * SHA256_BYTES)
    this.#isSettled[position] = 1
    this.#files++
    this.#bytes += size
  }

  #tell(): void {
    const { files, bytes } = this.#listing
    this.#options.onProgress?.({ phase: 'send', files: this.#files, bytes: this.#bytes, totalFiles: files.length, totalBytes: bytes })
  }
}
