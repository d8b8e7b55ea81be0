import { type ArchiveEntry, DamagedEntryError } from '../core/archive-entry.ts'
import { type Digest, DigestStream } from '../core/digest.ts'
import { BackendFailedError, DigestMismatchError, type EntryProblem, InputInvalidError, StoreError } from '../core/errors.ts'
import { comparePaths, displayBytes, displayPath, type FilePath, pathFromBytes } from '../core/path.ts'
import { parseMediaType } from '../core/media-type.ts'
import { checkSymlink } from '../core/symlink.ts'
import { type ArchiveReading, readArchive } from './archive-source.ts'
import type { ArchiveReport, Draft, KnownFile, PutArchiveOptions, PutItem, PutOptions } from './interface.ts'
import { isEntryError, reasonOf, refuseProblems, throwIfAborted } from './push-report.ts'
import { checkTree } from './tree-check.ts'

/** How to take an archive in. */
export type ArchiveIntakeOptions = ArchiveReading & Pick<PutArchiveOptions, 'onProgress'>

/** What an archive is put into. */
export type ArchiveTarget = Pick<Draft, 'put' | 'putMany' | 'attach'>

/** Files up to this size are sent together; the others one by one, streamed. */
const BUFFERED_BYTES = 2 << 20
const ATTACH_BATCH = 1_000
const OWNER_EXECUTE = 0o100
const DOT = 0x2e
const SLASH = 0x2f

/**
 * Stores the entries of an archive, tar (plain, gzip or zstd) or zip. The same tree gives the same package by archive and by
 * {@link import('./push-tree.ts').pushTree}. A leading `./` is dropped, a hard link becomes a file of its own. An entry that a package cannot hold ends the
 * storing, but the archive is read on, so that all of them are named. What was stored before stays; whoever opened the target gives it up.
 * @throws TreeRefusedError with all entries that cannot be stored
 * @throws InputInvalidError when the archive is damaged, cut off, or none
 * @throws LimitExceededError
 */
export async function takeArchive(target: ArchiveTarget, source: AsyncIterable<Uint8Array>, options: ArchiveIntakeOptions): Promise<ArchiveReport> {
  return new ArchiveIntake(target, options).run(source)
}

/** What stands at a path. The digest is known once the file is stored. */
type Stored =
  | { readonly kind: 'file'; digest?: Digest; readonly size: number; readonly facts: FileFacts }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'directory' }

/** What is said of a file when it is put. */
type FileFacts = Pick<PutOptions, 'executable' | 'mediaType' | 'digest'>

/** An entry that is to be put now. */
interface Admitted {
  readonly path: FilePath
  readonly stored: Exclude<Stored, { kind: 'directory' }>
}

class ArchiveIntake {
  readonly #target: ArchiveTarget
  readonly #options: ArchiveIntakeOptions
  readonly #stored = new Map<FilePath, Stored>()
  readonly #problems: EntryProblem[] = []
  /** What was given to `putMany`, by position. */
  readonly #sent: FilePath[] = []
  /** Hard links, attached when the bytes of all files are stored. */
  readonly #copies: FilePath[] = []
  #failure: unknown
  #files = 0
  #symlinks = 0
  #directories = 0
  #bytes = 0

  constructor(target: ArchiveTarget, options: ArchiveIntakeOptions) {
    this.#target = target
    this.#options = options
  }

  async run(source: AsyncIterable<Uint8Array>): Promise<ArchiveReport> {
    try {
      for await (const outcomes of this.#target.putMany(this.#items(source), withSignal(this.#options.signal))) {
        for (const outcome of outcomes) {
          const path = this.#sent[outcome.index]
          if (path === undefined) continue
          if ('error' in outcome) this.#refuse(path, outcome.error)
          else this.#settle(path, outcome.digest)
        }
        this.#options.onProgress?.({ files: this.#files, bytes: this.#bytes })
      }
    } catch (error) {
      throw this.#failure ?? error
    }
    refuseProblems('the archive', this.#problems)
    await this.#attachCopies()
    return { files: this.#files, symlinks: this.#symlinks, directories: this.#directories, bytes: this.#bytes }
  }

  /** Reads the archive, puts what is large, and yields the rest. */
  async *#items(source: AsyncIterable<Uint8Array>): AsyncGenerator<PutItem, void, undefined> {
    // A draft may put the failure of a source into words of its own; what is wrong with the archive says more.
    try {
      for await (const entry of readArchive(source, this.#options)) {
        const admitted = this.#admit(entry)
        if (admitted === undefined) continue
        const { path, stored } = admitted
        if (this.#problems.length > 0) {
          if (stored.kind === 'file') await this.#check(path, entry, stored.facts)
        } else if (stored.kind === 'symlink') {
          this.#sent.push(path)
          yield { kind: 'symlink', path, target: stored.target }
        } else if (entry.size > BUFFERED_BYTES) {
          await this.#putLarge(path, entry, stored.facts)
        } else {
          const bytes = await this.#bytesOf(path, entry)
          if (bytes === undefined) continue
          this.#sent.push(path)
          yield { kind: 'file', path, source: bytes, ...stored.facts }
        }
      }
      yield* this.#emptyDirectories()
    } catch (error) {
      this.#failure ??= error
      throw error
    }
  }

  /** When all entries are known, so is what is wrong between them, and which directories are empty. */
  *#emptyDirectories(): Generator<PutItem, void, undefined> {
    const links = [...this.#stored].flatMap(([path, entry]) => (entry.kind === 'symlink' ? [{ path, target: entry.target }] : []))
    const { problems, emptyDirectories } = checkTree(
      [...this.#stored.keys()].sort(comparePaths),
      (path) => this.#stored.get(path)?.kind ?? 'file',
      links,
    )
    this.#problems.push(...problems)
    this.#symlinks = links.length
    this.#directories = emptyDirectories.length
    if (this.#problems.length > 0) return
    for (const path of emptyDirectories) {
      this.#sent.push(path)
      yield { kind: 'directory', path }
    }
  }

  /** Takes note of an entry, or of why it is refused. @returns undefined when there is nothing to put */
  #admit(entry: ArchiveEntry): Admitted | undefined {
    try {
      const path = pathOf(entry.name, entry.kind === 'directory')
      if (path === undefined) return undefined
      const stored = this.#understood(path, entry)
      const known = this.#stored.get(path)
      // GNU tar writes a file that it was told to pack twice as a link to itself.
      if (known !== undefined && (known === stored || (known.kind === 'directory' && stored.kind === 'directory'))) return undefined
      if (known !== undefined) throw new InputInvalidError('appears twice')
      this.#stored.set(path, stored)
      if (stored.kind === 'directory') return undefined
      if (entry.kind !== 'hardlink' || stored.kind !== 'file') return { path, stored }
      this.#copies.push(path)
      return undefined
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      this.#problems.push({ path: displayBytes(entry.name), reason: reasonOf(error) })
      return undefined
    }
  }

  /** @throws StoreError saying why a package cannot hold the entry */
  #understood(path: FilePath, entry: ArchiveEntry): Stored {
    if (entry.problem !== undefined) throw new InputInvalidError(entry.problem)
    if (entry.kind === 'directory') return { kind: 'directory' }
    if (entry.kind === 'file') return { kind: 'file', size: entry.size, facts: factsOf(entry) }
    if (entry.kind === 'symlink') return symlinkAt(path, targetOf(entry.linkName))
    const original = pathOf(entry.linkName, false)
    const stored = original === undefined ? undefined : this.#stored.get(original)
    if (stored === undefined || stored.kind === 'directory') {
      throw new InputInvalidError(`is a hard link to "${displayBytes(entry.linkName)}", which is no file before it`)
    }
    return stored.kind === 'symlink' && original !== path ? symlinkAt(path, stored.target) : stored
  }

  async #putLarge(path: FilePath, entry: ArchiveEntry, facts: FileFacts): Promise<void> {
    let damage: StoreError | undefined
    const content = this.#contentOf(entry, (error) => (damage = error))
    try {
      const { digest } = await this.#target.put(path, content, { size: entry.size, ...facts, ...withSignal(this.#options.signal) })
      this.#settle(path, digest)
    } catch (error) {
      if (this.#failure !== undefined || !(error instanceof StoreError)) throw error
      this.#refuse(path, damage ?? error)
    }
  }

  /** @returns undefined when the entry is damaged, which is noted */
  async #bytesOf(path: FilePath, entry: ArchiveEntry): Promise<Uint8Array | undefined> {
    let damage: StoreError | undefined
    const pieces: Uint8Array[] = []
    try {
      for await (const piece of this.#contentOf(entry, (error) => (damage = error))) pieces.push(piece)
    } catch (error) {
      if (damage === undefined) throw error
      this.#refuse(path, damage)
      return undefined
    }
    const [only] = pieces
    return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces)
  }

  /** Once the archive is refused nothing more is stored, but what is wrong with the other entries is still found. */
  async #check(path: FilePath, entry: ArchiveEntry, { digest }: FileFacts): Promise<void> {
    const hash = new DigestStream()
    let damage: StoreError | undefined
    try {
      for await (const piece of this.#contentOf(entry, (error) => (damage = error))) if (digest !== undefined) hash.update(piece)
    } catch (error) {
      if (damage === undefined) throw error
      this.#refuse(path, damage)
      return
    }
    const found = digest === undefined ? undefined : hash.digest()
    if (found !== digest) this.#refuse(path, new DigestMismatchError(`is ${String(found)}, not ${String(digest)}`))
  }

  /** Tells apart what ends the archive from what is wrong with one entry only. */
  async *#contentOf(entry: ArchiveEntry, onDamage: (error: DamagedEntryError) => void): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* entry.content()
    } catch (error) {
      if (error instanceof DamagedEntryError) onDamage(error)
      else this.#failure ??= error
      throw error
    }
  }

  #settle(path: FilePath, digest: Digest | undefined): void {
    const stored = this.#stored.get(path)
    if (stored?.kind !== 'file') return
    if (digest !== undefined) stored.digest = digest
    this.#files++
    this.#bytes += stored.size
  }

  #refuse(path: FilePath, error: StoreError): void {
    if (!isEntryError(error)) throw error
    this.#problems.push({ path: displayPath(path), reason: reasonOf(error) })
  }

  async #attachCopies(): Promise<void> {
    for (let start = 0; start < this.#copies.length; start += ATTACH_BATCH) {
      throwIfAborted(this.#options.signal)
      const batch = this.#copies.slice(start, start + ATTACH_BATCH).map((path) => this.#known(path))
      const attached = await this.#target.attach(batch)
      if (attached.includes(false)) throw new BackendFailedError('bytes that were stored a moment ago are gone again; push the archive once more')
      for (const { path, digest } of batch) this.#settle(path, digest)
    }
  }

  #known(path: FilePath): KnownFile & { readonly path: FilePath; readonly digest: Digest } {
    const stored = this.#stored.get(path)
    if (stored?.kind !== 'file' || stored.digest === undefined) throw new Error(`no digest for ${path}`)
    return { path, digest: stored.digest, size: stored.size, executable: stored.facts.executable === true }
  }
}

/** What an entry says of its content. @throws InputInvalidError */
function factsOf({ mode, mediaType, sha256 }: ArchiveEntry): FileFacts {
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256)) throw new InputInvalidError('has something else than a SHA-256 for its checksum')
  return {
    executable: (mode & OWNER_EXECUTE) !== 0,
    ...(mediaType === undefined ? {} : { mediaType: parseMediaType(mediaType) }),
    ...(sha256 === undefined ? {} : { digest: `sha256:${sha256}` }),
  }
}

function symlinkAt(path: FilePath, target: string): Stored {
  const problem = checkSymlink(path, target)
  if (problem !== undefined) throw new InputInvalidError(problem)
  return { kind: 'symlink', target }
}

/** A name without `./` in front and, of a directory, without slashes behind. @returns undefined for the top of the tree. @throws PathInvalidError */
function pathOf(name: Uint8Array, isDirectory: boolean): FilePath | undefined {
  let start = 0
  let end = name.length
  while (end - start >= 2 && name[start] === DOT && name[start + 1] === SLASH) start += 2
  while (isDirectory && end > start && name[end - 1] === SLASH) end--
  const rest = name.subarray(start, end)
  if (isDirectory && (rest.length === 0 || (rest.length === 1 && rest[0] === DOT))) return undefined
  return pathFromBytes(rest)
}

function targetOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new InputInvalidError('has a target that is not valid UTF-8', { cause })
  }
}

function withSignal(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}
