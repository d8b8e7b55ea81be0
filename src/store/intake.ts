import { type Digest, parseDigest, rawSha256, sha256Digest } from '../core/digest.ts'
import { AlreadyExistsError, DigestInvalidError, InputInvalidError, LeaseLostError, StateConflictError, StoreError } from '../core/errors.ts'
import { compileFileSets } from '../core/file-set.ts'
import { mediaTypeFor } from '../core/media-type.ts'
import { type FilePath, parsePath } from '../core/path.ts'
import { checkSymlink } from '../core/symlink.ts'
import type { Ingested, IngestItem, IngestSource, Resolve } from '../ports/data-plane.ts'
import { holds } from '../registry/blob-readers.ts'
import { findLiveChunk, findNamedFirst, type LiveChunk, nameChunk } from '../registry/chunks.ts'
import { type DraftRow, isDraftOpen, touchDraft } from '../registry/drafts.ts'
import { getEntry, putEntry } from '../registry/draft-entries.ts'
import { hold } from '../registry/holders.ts'
import { markWholeSealed } from '../registry/objects.ts'
import type { Session } from '../registry/statement.ts'
import { entryKind } from '../registry/tables.ts'
import type { StoreContext } from './context.ts'
import { gather } from './gather.ts'
import type { KnownFile, PutFileOptions, PutItem, PutOptions, PutOutcome, PutSource } from './interface.ts'
import { parseOpenRequest } from './open-request.ts'
import { ReadableBlobs } from './readable-blobs.ts'

/** Rows of one transaction; few enough that other processes wait milliseconds. */
const ROWS_PER_COMMIT = 500
/** How often an open package says that it is still wanted. */
const TOUCH_MS = 60_000

interface FileFacts {
  readonly path: FilePath
  readonly mediaType: string
  readonly executable: boolean
  readonly onlyIfAbsent: boolean
}

/** With `onlyIfAbsent` the call ends when there is an entry of that path. */
type IntakeItem = PutItem & Pick<PutFileOptions, 'onlyIfAbsent'>

/** A file that the data plane has, and where it stands in what the caller gave. */
interface WaitingFile extends FileFacts {
  readonly item: number
}

/**
 * How content gets into one open package. Bytes go through the data plane; what they are called, and that the package holds them, is committed here.
 */
export class Intake {
  readonly #context: StoreContext
  readonly #draft: DraftRow
  readonly #setOf: (path: FilePath) => string
  #touched = 0

  constructor(context: StoreContext, draft: DraftRow) {
    this.#context = context
    this.#draft = draft
    this.#setOf = compileFileSets(parseOpenRequest(draft.request).fileSets)
  }

  /** Stores entries; yields durable outcomes in batches, each item once, in any order. @throws AlreadyExistsError */
  async *putMany(
    items: AsyncIterable<IntakeItem> | Iterable<IntakeItem>,
    signal?: AbortSignal,
  ): AsyncGenerator<readonly PutOutcome[], void, undefined> {
    const waiting = new Map<number, WaitingFile>()
    const aside: Aside = { entries: [], outcomes: [] }
    const reused = new Map<number, Extract<PutOutcome, { reused: boolean }>>()
    const resolve: Resolve = async (blobs) => {
      const outcomes = await this.#reuse(blobs.map(({ index, digest, size }) => ({ facts: facts(waiting, index), digest, size })))
      for (const [position, { index, digest, size }] of blobs.entries()) {
        const { live = false, readable = false } = outcomes[position] ?? {}
        if (live) reused.set(index, { index, digest: sha256Digest(digest), size, reused: readable })
      }
      return outcomes.map(({ live }) => live)
    }
    const batches = this.#context.dataPlane.ingestMany(this.#sources(items, waiting, aside), signal === undefined ? { resolve } : { resolve, signal })
    for await (const batch of gather(batches, ROWS_PER_COMMIT)) {
      yield* this.#flushAside(aside)
      yield await this.#record(batch, waiting, reused)
    }
    yield* this.#flushAside(aside)
  }

  /** Find-missing: attaches what is here and the caller may read (I2); answers in order. */
  async attach(files: readonly KnownFile[]): Promise<readonly boolean[]> {
    const parsed = files.map((file) => ({ facts: fileFacts(file.path, file), digest: rawSha256(sha256Only(file.digest)), size: file.size }))
    const answers: boolean[] = []
    for (let start = 0; start < parsed.length; start += ROWS_PER_COMMIT) {
      answers.push(...(await this.#attachReadable(parsed.slice(start, start + ROWS_PER_COMMIT))))
    }
    return answers
  }

  async #attachReadable(blobs: readonly KnownBlob[]): Promise<boolean[]> {
    const readable = new ReadableBlobs(this.#context, this.#draft)
    return this.#context.registry.write('attach', async (session) => {
      await this.#assertOpen(session)
      const answers: boolean[] = []
      for (const { facts: file, digest, size } of blobs) {
        const live = await findLiveChunk(session, digest)
        const isAttached =
          live?.size === size && ((await holds(session, 'draft', this.#draft.id, live.id)) || (await readable.includes(session, live.id)))
        if (isAttached) await this.#enter(session, file, live)
        answers.push(isAttached)
      }
      return answers
    })
  }

  /** Whoever sent the bytes may have them, wherever they were from; whether they were here is told only to those who may read them there. */
  async #reuse(blobs: readonly KnownBlob[]): Promise<readonly { readonly live: boolean; readonly readable: boolean }[]> {
    const known = new ReadableBlobs(this.#context, this.#draft)
    return this.#context.registry.write('attach', async (session) => {
      await this.#assertOpen(session)
      const answers: { live: boolean; readable: boolean }[] = []
      for (const { facts: file, digest, size } of blobs) {
        const live = await findLiveChunk(session, digest)
        const isSame = live?.size === size
        answers.push({ live: isSame, readable: isSame && (await known.includes(session, live.id)) })
        if (isSame) await this.#enter(session, file, live)
      }
      return answers
    })
  }

  async *#sources(
    items: AsyncIterable<IntakeItem> | Iterable<IntakeItem>,
    waiting: Map<number, WaitingFile>,
    aside: Aside,
  ): AsyncGenerator<IngestItem, void, undefined> {
    let index = -1
    // The data plane counts what it is given; links, directories and refused names are not.
    let given = 0
    for await (const item of items) {
      index += 1
      try {
        if (item.kind !== 'file') {
          aside.entries.push({ index, item: otherEntry(item) })
          continue
        }
        const ingest = ingestItem(item.source, item)
        waiting.set(given, { ...fileFacts(item.path, item), item: index })
        given += 1
        yield ingest
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        aside.outcomes.push({ index, error })
      }
    }
  }

  async *#flushAside(aside: Aside): AsyncGenerator<readonly PutOutcome[], void, undefined> {
    if (aside.outcomes.length > 0) yield aside.outcomes.splice(0)
    while (aside.entries.length > 0) {
      const entries = aside.entries.splice(0, ROWS_PER_COMMIT)
      await this.#context.registry.write('entries', async (session) => {
        await this.#assertOpen(session)
        for (const { item } of entries) {
          await putEntry(session, this.#draft.id, {
            ...item,
            set_key: this.#setOf(item.path),
            chunk_id: null,
            size: 0,
            media_type: '',
            executable: 0,
          })
        }
      })
      yield entries.map(({ index }) => ({ index, size: 0, reused: false }))
    }
  }

  /** Names what became durable. */
  async #record(
    batch: readonly Ingested[],
    waiting: Map<number, WaitingFile>,
    reused: Map<number, Extract<PutOutcome, { reused: boolean }>>,
  ): Promise<readonly PutOutcome[]> {
    const outcomes: PutOutcome[] = []
    const placed: Stored[] = []
    for (const outcome of batch) {
      const known = reused.get(outcome.index)
      reused.delete(outcome.index)
      if ('error' in outcome) outcomes.push({ index: outcome.index, error: outcome.error })
      else if (known !== undefined) outcomes.push(known)
      else placed.push(outcome)
    }
    for (let start = 0; start < placed.length; start += ROWS_PER_COMMIT) {
      // In order of digests, as the index has them.
      const page = placed.slice(start, start + ROWS_PER_COMMIT).toSorted((left, right) => Buffer.compare(left.digest, right.digest))
      await this.#context.registry.write('record', async (session) => {
        await this.#assertOpen(session)
        const ids = await nameStored(this.#context, session, page)
        for (const [position, stored] of page.entries()) {
          const id = ids[position]
          if (id !== undefined) await this.#enter(session, facts(waiting, stored.index), { id, size: stored.size })
        }
      })
      for (const { index, digest, size } of page) outcomes.push({ index, digest: sha256Digest(digest), size, reused: false })
    }
    const named = outcomes.map((outcome) => ({ ...outcome, index: facts(waiting, outcome.index).item }))
    for (const { index } of batch) waiting.delete(index)
    return named
  }

  /** Enters a blob as a file, in the caller's transaction, which has seen it live (I3). @throws StateConflictError */
  async enter(session: Session, file: Pick<PutFileOptions, 'mediaType' | 'executable'> & { readonly path: string }, chunk: LiveChunk): Promise<void> {
    await this.#assertOpen(session)
    await this.#enter(session, fileFacts(file.path, file), chunk)
  }

  async #enter(session: Session, file: FileFacts, chunk: LiveChunk): Promise<void> {
    if (file.onlyIfAbsent && (await getEntry(session, this.#draft.id, file.path)) !== undefined) {
      throw new AlreadyExistsError(`package ${this.#draft.uuid} has an entry '${file.path}' already`)
    }
    await hold(session, 'draft', this.#draft.id, chunk.id)
    await putEntry(session, this.#draft.id, {
      path: file.path,
      kind: entryKind.file,
      set_key: this.#setOf(file.path),
      chunk_id: chunk.id,
      size: chunk.size,
      media_type: file.mediaType,
      executable: file.executable ? 1 : 0,
      target: null,
    })
  }

  async #assertOpen(session: Session): Promise<void> {
    if (!(await isDraftOpen(session, this.#draft.id))) {
      throw new StateConflictError(`package ${this.#draft.uuid} takes no more content: it is sealed, being sealed, or was given up`)
    }
    const now = this.#context.clock.now()
    if (now - this.#touched < TOUCH_MS) return
    await touchDraft(session, this.#draft.id)
    this.#touched = now
  }
}

interface KnownBlob {
  readonly facts: FileFacts
  readonly digest: Uint8Array
  readonly size: number
}

interface Aside {
  readonly entries: { readonly index: number; readonly item: OtherEntry }[]
  readonly outcomes: PutOutcome[]
}

interface OtherEntry {
  readonly path: FilePath
  readonly kind: number
  readonly target: string | null
}

/** An outcome of the data plane that carries bytes to name (or that were held already). */
export type Stored = Extract<Ingested, { digest: Uint8Array }>

/**
 * Gives durable bytes their rows, in the caller's transaction. Duplicates within the batch, which the data plane stored once, find the first row.
 * @returns row ids in the order of the batch
 * @throws LeaseLostError when this writer no longer owns an object, or what was there has gone meanwhile
 */
export async function nameStored(context: StoreContext, session: Session, batch: readonly Stored[]): Promise<number[]> {
  const leases = new Map<number, number>()
  const ids: number[] = []
  const named = new Map<number, number>()
  for (const { digest, size, placement } of batch) {
    if (placement === undefined || leases.has(placement.objectId)) continue
    // A whole object is nobody's once it is named (or not needed); the same bytes may come a second time.
    const id = placement.kind === 'whole' ? await findNamedFirst(session, digest, size, placement) : undefined
    if (id === undefined) leases.set(placement.objectId, await context.writer.assertOwns(session, placement.objectId))
    else named.set(placement.objectId, id)
  }
  for (const { digest, size, placement } of batch) {
    if (placement === undefined) {
      const live = await findLiveChunk(session, digest)
      if (live === undefined) throw new LeaseLostError('bytes that were here have been collected meanwhile; send them again')
      ids.push(live.id)
      continue
    }
    const known = named.get(placement.objectId)
    if (known !== undefined) {
      ids.push(known)
      continue
    }
    ids.push(await nameChunk(session, digest, size, placement))
    const lease = leases.get(placement.objectId)
    if (placement.kind === 'whole' && lease !== undefined) await markWholeSealed(session, placement.objectId, lease, placement.storedLength)
  }
  return ids
}

function facts(waiting: ReadonlyMap<number, WaitingFile>, index: number): WaitingFile {
  const found = waiting.get(index)
  if (found === undefined) throw new TypeError(`the data plane answered for item ${index}, which it was not given`)
  return found
}

function fileFacts(path: string, options: Pick<PutFileOptions, 'mediaType' | 'executable' | 'onlyIfAbsent'>): FileFacts {
  const parsed = parsePath(path)
  return {
    path: parsed,
    mediaType: mediaTypeFor(parsed, options.mediaType),
    executable: options.executable === true,
    onlyIfAbsent: options.onlyIfAbsent === true,
  }
}

function otherEntry(item: Extract<PutItem, { kind: 'symlink' | 'directory' }>): OtherEntry {
  const path = parsePath(item.path)
  if (item.kind === 'directory') return { path, kind: entryKind.directory, target: null }
  const reason = checkSymlink(path, item.target)
  if (reason !== undefined) throw new InputInvalidError(`link "${path}" cannot be kept: ${reason}`)
  return { path, kind: entryKind.symlink, target: item.target }
}

function ingestItem(source: PutSource, options: PutOptions): IngestItem {
  return {
    source: ingestSource(source),
    ...(options.digest === undefined ? {} : { expectedDigest: rawSha256(sha256Only(options.digest)) }),
    ...(options.size === undefined ? {} : { expectedSize: options.size }),
  }
}

function ingestSource(source: PutSource): IngestSource {
  if (source instanceof Uint8Array) return { kind: 'bytes', bytes: source }
  if ('file' in source) return { kind: 'file', path: source.file, fingerprint: source.fingerprint }
  return { kind: 'stream', stream: source }
}

/** Reads the digest that a caller announces of a file. @throws DigestInvalidError */
export function sha256Only(text: string): Digest {
  const digest = parseDigest(text)
  if (digest.startsWith('sha256:')) return digest
  throw new DigestInvalidError(`files are announced by sha256, not by ${digest.slice(0, digest.indexOf(':'))}`)
}
