import { lstatSync, readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { basename, resolve } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { InputInvalidError, TreeRefusedError } from '../core/errors.ts'
import type { EntryProblem } from '../core/errors.ts'
import { comparePaths, displayBytes, displayPath, isFilePath, pathProblem } from '../core/path.ts'
import type { FilePath } from '../core/path.ts'
import { checkSymlink } from '../core/symlink.ts'
import type { FileFingerprint } from '../ports/data-plane.ts'
import { abortedError } from '../ports/source.ts'

/** One entry of a folder to push. `absolute` is `<root>/<path>`; directories are the empty ones only. */
export type LocalEntry =
  | {
      readonly kind: 'file'
      readonly path: FilePath
      readonly absolute: string
      readonly fingerprint: FileFingerprint
      /** Whether its owner may execute it. */
      readonly executable: boolean
    }
  | { readonly kind: 'symlink'; readonly path: FilePath; readonly target: string }
  | { readonly kind: 'directory'; readonly path: FilePath }

/** Whether an entry is meant; `compileGlob` makes one. */
export type PathFilter = (path: FilePath) => boolean

/** What to walk and what to leave out. */
export interface WalkTreeOptions {
  /** An entry that one of these accepts is left out, with everything below it and whatever is wrong with it. */
  readonly exclude?: readonly PathFilter[]
  readonly signal?: AbortSignal
}

/** Entries in a batch at most. */
const BATCH = 1_000
/** The event loop waits no longer than this at a time, unless a single folder takes longer to list. */
const SLICE_MS = 5
/** Refused entries that are listed; more are only counted. */
const LISTED_PROBLEMS = 10_000

/** Behind the name of a folder: the place where it stands if it is empty, which is that of a file of its name. No name holds a NUL. */
const FOLDER_ITSELF = '\0'
/** Behind the name of a folder: the place of what it holds (`a` < `a-b` < `a/b` < `a0`). */
const FOLDER_CONTENT = '/'

const SURROGATE = /[\ud800-\udfff]/
const REPLACEMENT = '\ufffd'

/**
 * Lists a folder, or a single file under its own name, in byte order of the paths (UTF-8), in batches. A root that is a link is followed, no other
 * link is. Whatever cannot be stored is collected and told at the end: special files, links that lead out of the tree, names that are not UTF-8,
 * folders that cannot be listed. What is wrong only between entries (normalisation twins) is the caller's to find. Memory: the names of one folder
 * on each level.
 *
 * Synchronous calls in short slices: [M] 4 µs an entry, where asynchronous ones take 40.
 * @throws TreeRefusedError after the last batch, with all problems, at most 10,000 of them listed (`detail.count` has their number); AbortedError;
 * InputInvalidError when the root does not exist
 */
export async function* walkTree(root: string, options: WalkTreeOptions = {}): AsyncGenerator<readonly LocalEntry[]> {
  const walk = new TreeWalk(root, options.exclude ?? [])
  for (;;) {
    if (options.signal?.aborted === true) throw abortedError(options.signal)
    const entries = walk.slice()
    if (entries === undefined) break
    if (entries.length > 0) yield entries
    await setImmediate()
  }
  walk.assertNoProblems()
}

/** A folder being walked. */
interface OpenFolder {
  readonly absolute: string
  /** '' for the root. */
  readonly path: string
  /** Names in order; those of folders twice, with {@link FOLDER_ITSELF} and {@link FOLDER_CONTENT} behind them. */
  readonly names: readonly string[]
  next: number
  /** Names in the folders that were looked into, but whose content comes later. */
  readonly listed: Map<string, readonly string[]>
}

class TreeWalk {
  readonly #root: string
  readonly #exclude: readonly PathFilter[]
  readonly #folders: OpenFolder[] = []
  readonly #problems: EntryProblem[] = []
  #problemCount = 0
  #entries: LocalEntry[] = []

  constructor(root: string, exclude: readonly PathFilter[]) {
    this.#root = root
    this.#exclude = exclude
    const facts = statSync(root, { bigint: true, throwIfNoEntry: false })
    if (facts === undefined) throw new InputInvalidError(`there is no file or folder ${displayPath(root)}`)
    if (!facts.isDirectory()) this.#visitRootFile(facts)
    else this.#enter(root, '', this.#list(root, '') ?? [])
  }

  /** Works for a few milliseconds. @returns what was found, or undefined when there is nothing more */
  slice(): readonly LocalEntry[] | undefined {
    const until = performance.now() + SLICE_MS
    for (let folder = this.#folders.at(-1); folder !== undefined; folder = this.#folders.at(-1)) {
      const name = folder.names[folder.next]
      folder.next += 1
      if (name === undefined) this.#folders.pop()
      else this.#visit(folder, name)
      if (this.#entries.length >= BATCH || performance.now() > until) break
    }
    const entries = this.#entries
    this.#entries = []
    return entries.length === 0 && this.#folders.length === 0 ? undefined : entries
  }

  assertNoProblems(): void {
    if (this.#problemCount === 0) return
    const problems = this.#problems.toSorted((a, b) => comparePaths(a.path, b.path))
    throw new TreeRefusedError(
      `${String(this.#problemCount)} of the entries of ${displayPath(this.#root)} cannot be stored; remove or exclude them`,
      problems,
      { detail: { count: this.#problemCount } },
    )
  }

  #visitRootFile(facts: BigIntStats): void {
    const name = basename(resolve(this.#root))
    if (this.#isWanted(name)) this.#addFile(name, realpathSync(this.#root), facts)
  }

  #visit(folder: OpenFolder, name: string): void {
    if (name.endsWith(FOLDER_ITSELF)) {
      const plain = name.slice(0, -1)
      const names = this.#list(`${folder.absolute}/${plain}`, join(folder.path, plain))
      if (names?.length === 0) this.#addDirectory(join(folder.path, plain))
      else if (names !== undefined) folder.listed.set(plain, names)
    } else if (name.endsWith(FOLDER_CONTENT)) {
      const plain = name.slice(0, -1)
      const names = folder.listed.get(plain)
      folder.listed.delete(plain)
      if (names !== undefined) this.#enter(`${folder.absolute}/${plain}`, join(folder.path, plain), names)
    } else {
      this.#visitEntry(`${folder.absolute}/${name}`, join(folder.path, name))
    }
  }

  #enter(absolute: string, path: string, names: readonly string[]): void {
    this.#folders.push({ absolute, path, names, next: 0, listed: new Map() })
  }

  #visitEntry(absolute: string, path: string): void {
    let facts: BigIntStats | undefined
    try {
      facts = lstatSync(absolute, { bigint: true, throwIfNoEntry: false })
      if (facts?.isSymbolicLink() === true) return this.#addSymlink(path, readlinkSync(absolute, 'buffer'))
    } catch (error) {
      return this.#refuse(path, `cannot be looked at (${codeOf(error)})`)
    }
    if (facts === undefined) return this.#refuse(path, 'disappeared while the tree was listed')
    return this.#addFile(path, absolute, facts)
  }

  #addFile(path: string, absolute: string, facts: BigIntStats): void {
    if (!facts.isFile()) return this.#refuse(path, kindOf(facts))
    if (!this.#isStorable(path)) return
    const { ino, size, mtimeNs, ctimeNs } = facts
    const executable = (Number(facts.mode) & 0o100) !== 0
    this.#entries.push({ kind: 'file', path, absolute, fingerprint: { ino, size, mtimeNs, ctimeNs }, executable })
  }

  #addDirectory(path: string): void {
    if (this.#isStorable(path)) this.#entries.push({ kind: 'directory', path })
  }

  #addSymlink(path: string, bytes: Buffer): void {
    if (!this.#isStorable(path)) return
    const target = bytes.toString()
    const problem = Buffer.from(target).equals(bytes) ? checkSymlink(path, target) : 'has a target that is not valid UTF-8'
    if (problem === undefined) this.#entries.push({ kind: 'symlink', path, target })
    else this.#refuse(path, `${problem}: ${displayBytes(bytes)}`)
  }

  /** The wanted names in a folder, in order; undefined when it cannot be listed or stored. */
  #list(absolute: string, path: string): readonly string[] | undefined {
    if (path !== '' && !this.#isStorable(path)) return undefined
    const names: string[] = []
    const add = (name: string, isFolder: boolean): void => {
      if (!this.#isWanted(join(path, name))) return
      if (isFolder) names.push(name + FOLDER_ITSELF, name + FOLDER_CONTENT)
      else names.push(name)
    }
    try {
      const entries = readdirSync(absolute, { withFileTypes: true })
      if (entries.some(({ name }) => name.includes(REPLACEMENT))) this.#addByBytes(absolute, path, add)
      else for (const entry of entries) add(entry.name, entry.isDirectory())
    } catch (error) {
      this.#refuse(path === '' ? '.' : path, `cannot be listed (${codeOf(error)})`)
      return undefined
    }
    // The order of UTF-16 units is that of the bytes unless there are surrogates, and needs no function of ours for each comparison.
    return names.some((name) => SURROGATE.test(name)) ? names.toSorted(comparePaths) : names.toSorted()
  }

  /** Names with a replacement character may be names that are not UTF-8. */
  #addByBytes(absolute: string, path: string, add: (name: string, isFolder: boolean) => void): void {
    for (const entry of readdirSync(absolute, { withFileTypes: true, encoding: 'buffer' })) {
      const name = entry.name.toString()
      if (Buffer.from(name).equals(entry.name)) add(name, entry.isDirectory())
      else this.#note(displayBytes(Buffer.concat([Buffer.from(join(path, '')), entry.name])), 'is not valid UTF-8')
    }
  }

  #isWanted(path: string): boolean {
    return this.#exclude.length === 0 || !isFilePath(path) || !this.#exclude.some((excludes) => excludes(path))
  }

  #isStorable(path: string): path is FilePath {
    if (isFilePath(path)) return true
    this.#refuse(path, pathProblem(path) ?? '')
    return false
  }

  #refuse(path: string, reason: string): void {
    this.#note(displayPath(path), reason)
  }

  #note(path: string, reason: string): void {
    this.#problemCount += 1
    if (this.#problems.length < LISTED_PROBLEMS) this.#problems.push({ path, reason })
  }
}

function join(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`
}

function kindOf(facts: BigIntStats): string {
  if (facts.isDirectory()) return 'became a folder while the tree was listed'
  if (facts.isFIFO()) return 'is a named pipe (FIFO)'
  if (facts.isSocket()) return 'is a socket'
  return facts.isBlockDevice() || facts.isCharacterDevice() ? 'is a device' : 'is no regular file'
}

function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  throw error
}
