import { BackendFailedError, InputInvalidError, LimitExceededError, StoreError } from '../core/errors.ts'
import type { EntryProblem } from '../core/errors.ts'
import type { Digest } from '../core/digest.ts'
import { comparePaths, displayBytes, displayPath, pathFromBytes } from '../core/path.ts'
import type { FilePath } from '../core/path.ts'
import { checkSymlink } from '../core/symlink.ts'
import { decompress } from './decompress.ts'
import type { Draft, KnownFile, PutItem } from './interface.ts'
import { piecesOf } from '../ports/source.ts'
import { isEntryError, reasonOf, refuseProblems, throwIfAborted } from './push-report.ts'
import type { PushProgress, PushReport } from './push-report.ts'
import { readTar } from './tar-reader.ts'
import type { TarEntry } from './tar-reader.ts'
import { checkTree } from './tree-check.ts'

/** What an archive may ask for. */
export interface TarLimits {
  /** Most entries. Each costs about 300 bytes of memory. */
  readonly entries: number
  /** Most bytes that come out (zeros of sparse files included) for each byte that goes in … */
  readonly expansion: number
  /** … beyond these, which are always allowed. */
  readonly expandedBytes: number
}

/** Generous: what people pack passes, what was made to fill a disk does not. */
const TAR_LIMITS: TarLimits = { entries: 2_000_000, expansion: 1_000, expandedBytes: 4 * 1024 ** 3 }

/** How to push an archive. */
export interface PushTarOptions {
  readonly limits?: Partial<TarLimits>
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: PushProgress) => void
}

/** Files up to this size are sent together; the others one by one, streamed. */
const BUFFERED_BYTES = 2 << 20
const ATTACH_BATCH = 1_000
const OWNER_EXECUTE = 0o100
const DOT = 0x2e
const SLASH = 0x2f

/**
 * Stores the entries of a tar archive (plain, gzip or zstd, told by its first bytes) in an open package. The same tree gives the same package by
 * archive and by {@link import('./push-tree.ts').pushTree}. A leading `./` is dropped, a hard link becomes a file of its own. An entry that a package cannot
 * hold ends the storing, but the archive is read on, so that all of them are named. Nothing is finalized here; whoever opened the draft aborts it.
 * @throws TreeRefusedError with all entries that cannot be stored
 * @throws InputInvalidError when the archive is damaged, cut off, or no tar archive
 * @throws LimitExceededError
 */
export async function pushTar(
  draft: Pick<Draft, 'put' | 'putMany' | 'attach'>,
  source: AsyncIterable<Uint8Array>,
  options: PushTarOptions = {},
): Promise<PushReport> {
  return new TarPush(draft, options).run(source)
}

/** What stands at a path. The digest is known once the file is stored. */
type Stored =
  | { readonly kind: 'file'; digest?: Digest; readonly size: number; readonly executable: boolean }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'directory' }

/** An entry that is to be put now. */
interface Admitted {
  readonly path: FilePath
  readonly stored: Exclude<Stored, { kind: 'directory' }>
}

class TarPush {
  readonly #draft: Pick<Draft, 'put' | 'putMany' | 'attach'>
  readonly #options: PushTarOptions
  readonly #limits: TarLimits
  readonly #stored = new Map<FilePath, Stored>()
  readonly #problems: EntryProblem[] = []
  /** What was given to `putMany`, by position. */
  readonly #sent: FilePath[] = []
  /** Hard links, attached when the bytes of all files are stored. */
  readonly #copies: FilePath[] = []
  #failure: unknown
  #entries = 0
  #bytesIn = 0
  #bytesUnpacked = 0
  #bytesOfContent = 0
  #files = 0
  #symlinks = 0
  #directories = 0
  #bytes = 0
  #reused = 0

  constructor(draft: Pick<Draft, 'put' | 'putMany' | 'attach'>, options: PushTarOptions) {
    this.#draft = draft
    this.#options = options
    this.#limits = { ...TAR_LIMITS, ...options.limits }
  }

  async run(source: AsyncIterable<Uint8Array>): Promise<PushReport> {
    try {
      for await (const outcomes of this.#draft.putMany(this.#items(source), withSignal(this.#options.signal))) {
        for (const outcome of outcomes) {
          const path = this.#sent[outcome.index]
          if (path === undefined) continue
          if ('error' in outcome) this.#refuse(path, outcome.error)
          else this.#settle(path, outcome.digest, outcome.reused)
        }
        this.#options.onProgress?.({ phase: 'send', files: this.#files, bytes: this.#bytes })
      }
    } catch (error) {
      throw this.#failure ?? error
    }
    refuseProblems('the archive', this.#problems)
    await this.#attachCopies()
    return { files: this.#files, symlinks: this.#symlinks, directories: this.#directories, bytes: this.#bytes, unread: 0, reused: this.#reused }
  }

  /** Reads the archive, puts what is large, and yields the rest. */
  async *#items(source: AsyncIterable<Uint8Array>): AsyncGenerator<PutItem, void, undefined> {
    // A draft may put the failure of a source into words of its own; what is wrong with the archive says more.
    try {
      for await (const entry of readTar(this.#unpacked(source))) {
        throwIfAborted(this.#options.signal)
        if (++this.#entries > this.#limits.entries) throw new LimitExceededError(`the archive has more than ${this.#limits.entries} entries`)
        const admitted = this.#admit(entry)
        if (admitted === undefined || this.#problems.length > 0) continue
        const { path, stored } = admitted
        if (stored.kind === 'symlink') {
          this.#sent.push(path)
          yield { kind: 'symlink', path, target: stored.target }
        } else if (entry.size <= BUFFERED_BYTES) {
          const bytes = await this.#bytesOf(entry)
          this.#sent.push(path)
          yield { kind: 'file', path, source: bytes, executable: stored.executable }
        } else {
          await this.#putLarge(path, entry, stored.executable)
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
  #admit(entry: TarEntry): Admitted | undefined {
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
  #understood(path: FilePath, entry: TarEntry): Stored {
    if (entry.problem !== undefined) throw new InputInvalidError(entry.problem)
    if (entry.kind === 'directory') return { kind: 'directory' }
    if (entry.kind === 'file') return { kind: 'file', size: entry.size, executable: (entry.mode & OWNER_EXECUTE) !== 0 }
    if (entry.kind === 'symlink') return symlinkAt(path, targetOf(entry.linkName))
    const original = pathOf(entry.linkName, false)
    const stored = original === undefined ? undefined : this.#stored.get(original)
    if (stored === undefined || stored.kind === 'directory') {
      throw new InputInvalidError(`is a hard link to "${displayBytes(entry.linkName)}", which is no file before it`)
    }
    return stored.kind === 'symlink' && original !== path ? symlinkAt(path, stored.target) : stored
  }

  async #putLarge(path: FilePath, entry: TarEntry, executable: boolean): Promise<void> {
    const { signal } = this.#options
    try {
      const { digest } = await this.#draft.put(path, this.#contentOf(entry), { size: entry.size, executable, ...withSignal(signal) })
      this.#settle(path, digest, false)
    } catch (error) {
      if (this.#failure !== undefined || !(error instanceof StoreError)) throw error
      this.#refuse(path, error)
    }
  }

  async #bytesOf(entry: TarEntry): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    for await (const piece of this.#contentOf(entry)) pieces.push(piece)
    const [only] = pieces
    return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces)
  }

  async *#contentOf(entry: TarEntry): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for await (const piece of entry.content()) {
        this.#bytesOfContent += piece.length
        this.#limitExpansion()
        yield piece
      }
    } catch (error) {
      this.#failure ??= error
      throw error
    }
  }

  async *#packed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of piecesOf(source, this.#options.signal)) {
      this.#bytesIn += piece.length
      yield piece
    }
  }

  async *#unpacked(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of decompress(this.#packed(source))) {
      this.#bytesUnpacked += piece.length
      this.#limitExpansion()
      yield piece
    }
  }

  #limitExpansion(): void {
    const { expansion, expandedBytes } = this.#limits
    if (Math.max(this.#bytesUnpacked, this.#bytesOfContent) <= expandedBytes + this.#bytesIn * expansion) return
    throw new LimitExceededError(`${this.#bytesIn} bytes of the archive became more than ${expandedBytes} bytes and ${expansion} times as many`)
  }

  #settle(path: FilePath, digest: Digest | undefined, reused: boolean): void {
    const stored = this.#stored.get(path)
    if (stored?.kind !== 'file') return
    if (digest !== undefined) stored.digest = digest
    this.#files++
    this.#bytes += stored.size
    if (reused) this.#reused++
  }

  #refuse(path: FilePath, error: StoreError): void {
    if (!isEntryError(error)) throw error
    this.#problems.push({ path: displayPath(path), reason: reasonOf(error) })
  }

  async #attachCopies(): Promise<void> {
    for (let start = 0; start < this.#copies.length; start += ATTACH_BATCH) {
      throwIfAborted(this.#options.signal)
      const batch = this.#copies.slice(start, start + ATTACH_BATCH).map((path) => this.#known(path))
      const attached = await this.#draft.attach(batch)
      if (attached.includes(false)) throw new BackendFailedError('bytes that were stored a moment ago are gone again; push the archive once more')
      for (const { path, digest } of batch) this.#settle(path, digest, true)
    }
  }

  #known(path: FilePath): KnownFile & { readonly path: FilePath; readonly digest: Digest } {
    const stored = this.#stored.get(path)
    if (stored?.kind !== 'file' || stored.digest === undefined) throw new Error(`no digest for ${path}`)
    return { path, digest: stored.digest, size: stored.size, executable: stored.executable }
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
