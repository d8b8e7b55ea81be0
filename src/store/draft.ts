import type { Digest } from '../core/digest.ts'
import { AlreadyExistsError, FileNotFoundError, InputInvalidError, LimitExceededError, NotFoundError } from '../core/errors.ts'
import type { PackageId, RepositoryName } from '../core/name.ts'
import { parsePath } from '../core/path.ts'
import { getEntry, removeEntry } from '../registry/draft-entries.ts'
import { type DraftRow, findDraft, isDraftOpen, markDraftEnded } from '../registry/drafts.ts'
import type { StoreContext } from './context.ts'
import { finalizeDraft } from './finalize.ts'
import { Intake } from './intake.ts'
import type {
  ArchiveReport,
  Draft,
  FinalizePackage,
  FinalizedPackage,
  KnownFile,
  PutArchiveOptions,
  PutFileOptions,
  PutItem,
  PutOutcome,
  PutSource,
} from './interface.ts'
import { putArchive } from './put-archive.ts'

/** Files of one find-missing call. */
const ATTACH_LIMIT = 10_000

/** An open package of an embedded store. */
export class EmbeddedDraft implements Draft {
  readonly id: PackageId
  readonly repository: RepositoryName
  readonly status = 'open'
  readonly reusedExisting: boolean
  readonly #context: StoreContext
  readonly #row: DraftRow
  readonly #intake: Intake

  constructor(context: StoreContext, row: DraftRow, reusedExisting: boolean) {
    this.#context = context
    this.#row = row
    this.#intake = new Intake(context, row)
    this.id = row.uuid
    this.repository = row.repository
    this.reusedExisting = reusedExisting
  }

  async put(path: string, source: PutSource, options: PutFileOptions = {}): Promise<{ readonly digest: Digest; readonly size: number }> {
    const { signal, ...facts } = options
    // Told before the bytes are read, and again when they would be named.
    if (options.onlyIfAbsent === true) await this.#assertAbsent(path)
    for await (const batch of this.#intake.putMany([{ kind: 'file', path, source, ...facts }], signal)) {
      for (const outcome of batch) {
        if ('error' in outcome) throw outcome.error
        if (outcome.digest !== undefined) return { digest: outcome.digest, size: outcome.size }
      }
    }
    throw new TypeError('storing a file had no outcome')
  }

  putMany(items: AsyncIterable<PutItem> | Iterable<PutItem>, options: { readonly signal?: AbortSignal } = {}): AsyncIterable<readonly PutOutcome[]> {
    return this.#intake.putMany(items, options.signal)
  }

  async attach(files: readonly KnownFile[]): Promise<readonly boolean[]> {
    if (files.length > ATTACH_LIMIT) throw new LimitExceededError(`at most ${ATTACH_LIMIT} files can be asked for at once; ${files.length} were`)
    return this.#intake.attach(files)
  }

  putArchive(source: AsyncIterable<Uint8Array>, options: PutArchiveOptions = {}): Promise<ArchiveReport> {
    return putArchive(this.#context, this.#row, source, options)
  }

  async remove(path: string): Promise<void> {
    const parsed = parsePath(path)
    await this.#context.registry.write('remove', async (session) => {
      if (!(await isDraftOpen(session, this.#row.id))) throw new InputInvalidError(`package ${this.id} is not open`)
      if (!(await removeEntry(session, this.#row.id, parsed))) throw new FileNotFoundError(`package ${this.id} has no entry '${path}'`)
    })
  }

  async #assertAbsent(path: string): Promise<void> {
    if ((await getEntry(this.#context.registry.reader, this.#row.id, parsePath(path))) === undefined) return
    throw new AlreadyExistsError(`package ${this.id} has an entry '${path}' already`)
  }

  finalize(request: FinalizePackage = {}): Promise<FinalizedPackage> {
    return finalizeDraft(this.#context, this.id, request)
  }

  async abort(): Promise<void> {
    await this.#context.registry.write('abort', async (session) => {
      const row = await findDraft(session, this.id)
      if (row === undefined) throw new NotFoundError(`package ${this.id} is not open`)
      await markDraftEnded(session, row.id)
    })
    this.#context.clearance.add(this.#row)
  }
}
