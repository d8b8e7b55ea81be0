import { createReadStream } from 'node:fs'
import { tmpdir } from 'node:os'
import type { Digest } from '../core/digest.ts'
import { DigestStream } from '../core/digest.ts'
import { RunConflictError, StateConflictError } from '../core/errors.ts'
import { displayPath } from '../core/path.ts'
import type {
  ArchiveReport,
  Draft,
  FileInfo,
  FinalizedPackage,
  KnownFile,
  PutArchiveOptions,
  PutItem,
  PutOptions,
  PutOutcome,
  PutSource,
  Store,
} from '../store/interface.ts'

/** How many differences are named. */
const NAMED = 5

/**
 * Stands in for the open package when a run is pushed that was sealed before: it stores nothing and compares what it is given with what the package
 * holds. So a run that is pushed again by mistake with other files is refused, rather than taken for done.
 */
export class SealedRun implements Draft {
  readonly status = 'finalized'
  readonly reusedExisting = true
  readonly #draft: Draft
  /** Entries of the package that were not given yet. */
  readonly #awaited: Map<string, FileInfo>
  /** Everything above an entry of the package. */
  readonly #folders = new Set<string>()
  readonly #seen = new Set<string>()
  readonly #differing: string[] = []

  private constructor(draft: Draft, entries: Map<string, FileInfo>) {
    this.#draft = draft
    this.#awaited = entries
    for (const path of entries.keys()) {
      for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) this.#folders.add(path.slice(0, at))
    }
  }

  /** Lists the package that was sealed for the run. */
  static async of(store: Store, draft: Draft): Promise<SealedRun> {
    const entries = new Map<string, FileInfo>()
    for await (const entry of store.files.list(draft.id)) entries.set(entry.path, entry)
    return new SealedRun(draft, entries)
  }

  get id(): Draft['id'] {
    return this.#draft.id
  }

  get repository(): Draft['repository'] {
    return this.#draft.repository
  }

  async put(path: string, source: PutSource, options: PutOptions = {}): Promise<{ readonly digest: Digest; readonly size: number }> {
    const { digest, size } = await digestOfSource(source)
    this.#compare(path, (entry) => entry?.kind === 'file' && entry.digest === digest && entry.executable === (options.executable === true))
    return { digest, size }
  }

  async *putMany(items: AsyncIterable<PutItem> | Iterable<PutItem>): AsyncGenerator<readonly PutOutcome[], void, undefined> {
    let index = 0
    for await (const item of items) {
      yield [{ index, reused: true, ...(await this.#putItem(item)) }]
      index += 1
    }
  }

  async #putItem(item: PutItem): Promise<{ readonly digest?: Digest; readonly size: number }> {
    if (item.kind === 'file') return this.put(item.path, item.source, item)
    if (item.kind === 'symlink') this.#compare(item.path, (entry) => entry?.kind === 'symlink' && entry.target === item.target)
    // A directory that holds something is no entry of a package.
    else if (!this.#folders.has(item.path)) this.#compare(item.path, (entry) => entry?.kind === 'directory')
    return { size: 0 }
  }

  async attach(files: readonly KnownFile[]): Promise<readonly boolean[]> {
    for (const { path, digest, executable = false } of files) {
      this.#compare(path, (entry) => entry?.kind === 'file' && entry.digest === digest && entry.executable === executable)
    }
    return files.map(() => true)
  }

  async putArchive(source: AsyncIterable<Uint8Array>, options: PutArchiveOptions = {}): Promise<ArchiveReport> {
    const { takeArchive } = await import('../store/archive-intake.ts')
    return takeArchive(this, source, { ...options, spoolFolder: tmpdir() })
  }

  remove(): Promise<never> {
    return Promise.reject(new StateConflictError(`package ${this.id} is sealed; nothing can be removed from it`))
  }

  finalize(): Promise<FinalizedPackage> {
    return this.#draft.finalize()
  }

  abort(): Promise<never> {
    return Promise.reject(new StateConflictError(`package ${this.id} is sealed`))
  }

  /** @throws RunConflictError naming what differs */
  assertSame(runId = ''): void {
    const problems = [
      ...this.#differing.map((path) => `${displayPath(path)} is not what it was`),
      ...[...this.#awaited.keys()].map((path) => `${displayPath(path)} is missing now`),
    ]
    if (problems.length === 0) return
    const more = problems.length > NAMED ? ` and ${problems.length - NAMED} more` : ''
    throw new RunConflictError(
      `run '${displayPath(runId)}' of ${this.repository} is package ${this.id} already, with other content: ${problems.slice(0, NAMED).join(', ')}${more}`,
      { detail: { packageId: this.id, differences: problems.length } },
    )
  }

  #compare(path: string, isSame: (entry: FileInfo | undefined) => boolean): void {
    if (this.#seen.has(path)) return
    this.#seen.add(path)
    if (!isSame(this.#awaited.get(path))) this.#differing.push(path)
    this.#awaited.delete(path)
  }
}

async function digestOfSource(source: PutSource): Promise<{ readonly digest: Digest; readonly size: number }> {
  const hash = new DigestStream()
  const pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array> =
    source instanceof Uint8Array ? [source] : 'file' in source ? createReadStream(source.file, { highWaterMark: 1 << 20 }) : source
  for await (const piece of pieces) hash.update(piece)
  return { digest: hash.digest(), size: hash.size }
}
