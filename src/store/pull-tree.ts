import { setImmediate } from 'node:timers/promises'
import { AlreadyExistsError, DamagedError, ObjectMissingError, StoreError } from '../core/errors.ts'
import type { EntryProblem } from '../core/errors.ts'
import { displayPath, parsePath } from '../core/path.ts'
import type { FilePath } from '../core/path.ts'
import { checkSymlink, symlinkProblems } from '../core/symlink.ts'
import type { SymlinkEntry } from '../core/symlink.ts'
import type { FileInfo, ReadFile, Store } from './interface.ts'
import { OutputFolder } from './output-folder.ts'
import { refuseProblems, throwIfAborted } from './push-report.ts'

/** What to pull, and how. */
export interface PullTreeOptions {
  /** Only what lies at or below this path. Paths in the output stay whole. */
  readonly prefix?: string
  /** Replaces files and links that are there; what is the same already is left alone. Directories are never replaced. */
  readonly overwrite?: boolean
  /** Fails if any file of the package cannot be had, instead of reporting it. */
  readonly requireComplete?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: PullProgress) => void
}

/** The part of a {@link Store} that a pull needs. */
export interface PullSource {
  readonly packages: Pick<Store['packages'], 'get'>
  readonly files: Pick<Store['files'], 'list' | 'readMany'>
}

/** How far a pull is. */
export interface PullProgress {
  readonly files: number
  readonly bytes: number
  readonly totalFiles: number
  readonly totalBytes: number
}

/** What a pull did. */
export interface PullReport {
  /** Files that are in place, `kept` included. */
  readonly files: number
  readonly bytes: number
  readonly symlinks: number
  /** Empty directories of the package. */
  readonly directories: number
  /** Files that were there already, byte for byte. */
  readonly kept: number
  /** Files of the package that could not be read, and why. */
  readonly missing: readonly EntryProblem[]
}

/** Longest time for which the event loop is held, in ms. */
const SLICE_MS = 10

/**
 * Writes a package into a folder. All that can be known beforehand is checked before anything is written: that every path and link is a proper one
 * (packages may come from elsewhere), and that nothing would be overwritten. Each file appears complete or not at all. After a stop, the same pull with
 * `overwrite` goes on where it was.
 * @param ref a package id, `name:tag` or `name@sha256:…`
 * @throws AlreadyExistsError naming what is in the way
 * @throws TreeRefusedError when the package holds paths or links that lead out of the folder
 * @throws DamagedError with `requireComplete`, when a file cannot be read
 */
export async function pullTree(store: PullSource, ref: string, outputDir: string, options: PullTreeOptions = {}): Promise<PullReport> {
  const { prefix, signal, requireComplete } = options
  // From here on the same package, even if a tag moves.
  const { id } = await store.packages.get(ref)
  const folder = new OutputFolder(outputDir, options.overwrite === true)
  const slice = new Slice(signal)
  const plan = await planned(store.files.list(id, prefix === undefined ? {} : { prefix }), folder, slice)
  const missing: EntryProblem[] = []
  let [files, bytes, kept] = [0, 0, 0]
  const tell = (): void => options.onProgress?.({ files, bytes, totalFiles: plan.files, totalBytes: plan.bytes })
  folder.directory('')
  for await (const item of store.files.readMany(id, { ...(prefix !== undefined && { prefix }), ...(signal !== undefined && { signal }) })) {
    const outcome = 'error' in item ? item.error : await placed(folder, item)
    if (outcome instanceof StoreError) {
      if (requireComplete === true) throw outcome
      missing.push({ path: displayPath(item.file.path), reason: outcome.message })
    } else {
      if (outcome === 'kept') kept++
      files++
      bytes += item.file.size
    }
    if (await slice.pause()) tell()
  }
  if (files + missing.length !== plan.files)
    throw new DamagedError(`package ${id} lists ${plan.files} files, of which only ${files + missing.length} could be read`)
  for (const path of plan.directories) folder.directory(path)
  for (const { path, target } of plan.symlinks) folder.symlink(path, target)
  tell()
  return { files, bytes, symlinks: plan.symlinks.length, directories: plan.directories.length, kept, missing }
}

interface Plan {
  readonly files: number
  readonly bytes: number
  readonly symlinks: readonly SymlinkEntry[]
  readonly directories: readonly FilePath[]
}

/** Goes through the listing once. @throws TreeRefusedError, AlreadyExistsError */
async function planned(entries: AsyncIterable<FileInfo>, folder: OutputFolder, slice: Slice): Promise<Plan> {
  const symlinks: SymlinkEntry[] = []
  const directories: FilePath[] = []
  const refused: EntryProblem[] = []
  const obstacles: EntryProblem[] = []
  let [files, bytes] = [0, 0]
  for await (const entry of entries) {
    const path = parsePath(entry.path)
    if (entry.kind === 'file') {
      files++
      bytes += entry.size
    } else if (entry.kind === 'directory') {
      directories.push(path)
    } else {
      symlinks.push({ path, target: entry.target })
      const reason = checkSymlink(path, entry.target)
      if (reason !== undefined) refused.push({ path: displayPath(path), reason })
    }
    const obstacle = folder.obstacle(path, entry.kind)
    if (obstacle !== undefined) obstacles.push({ path: displayPath(path), reason: obstacle })
    await slice.pause()
  }
  refuseProblems('the package', [...refused, ...symlinkProblems(symlinks)])
  const [first] = obstacles
  if (first !== undefined) {
    const rest = obstacles.length === 1 ? '' : ` (and ${obstacles.length - 1} more)`
    throw new AlreadyExistsError(`"${first.path}" ${first.reason}${rest}; nothing was written`, { detail: { problems: obstacles } })
  }
  return { files, bytes, symlinks, directories }
}

/** @returns what happened, or why the file cannot be had */
async function placed(folder: OutputFolder, item: Exclude<ReadFile, { error: unknown }>): Promise<'written' | 'kept' | StoreError> {
  const path = parsePath(item.file.path)
  try {
    const isNew = 'bytes' in item ? folder.file(path, item.bytes, item.file.executable) : await folder.largeFile(path, item.stream, item.file)
    return isNew ? 'written' : 'kept'
  } catch (error) {
    if (error instanceof DamagedError || error instanceof ObjectMissingError) return error
    throw error
  }
}

/** Work between two turns of the event loop. */
class Slice {
  readonly #signal: AbortSignal | undefined
  #since = performance.now()

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
  }

  /** Lets others run when it is time to. @returns whether it did. @throws AbortedError */
  async pause(): Promise<boolean> {
    throwIfAborted(this.#signal)
    if (performance.now() - this.#since < SLICE_MS) return false
    await setImmediate()
    this.#since = performance.now()
    return true
  }
}
