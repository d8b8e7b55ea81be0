import { joinBytes } from '../core/bytes.ts'
import type { Digest } from '../core/digest-text.ts'
import { type EntryProblem, type ErrorCode, InputInvalidError, StoreError, TreeRefusedError } from '../core/errors.ts'
import type { PackageId } from '../core/name.ts'
import { displayPath, type FilePath } from '../core/path.ts'
import { TAR_END, tarHead, tarPadding } from '../core/tar-writer.ts'
import type { PutItem, PutOutcome } from '../store/interface.ts'
import { Members, readCount } from './answer.ts'
import { type Connection, NEVER } from './connection.ts'
import { type Content, contentOf, piecesOfFile } from './content.ts'
import { askMissing } from './missing.ts'
import { assertAnnounced, type FileFacts, type FileTransfer, type StoredFile } from './file-transfer.ts'
import { entryLine, fileFacts, type KnownEntry } from './put-item.ts'
import { pause } from './retry-schedule.ts'
import { loadSha256, type NewSha256 } from './sha256.ts'

/** Larger files go by themselves. */
const SMALL_BYTES = 2 * 1024 * 1024

/** Longest time for which the event loop is held, ms. */
const SLICE_MS = 10

/** An item that was checked: a file with its content, or a link or directory. */
export type ReadyItem =
  | { readonly index: number; readonly path: FilePath; readonly facts: FileFacts; readonly content: Content }
  | { readonly index: number; readonly path: FilePath; readonly entry: KnownEntry }

/** A small file whose bytes are here. */
interface HeldFile {
  readonly index: number
  readonly facts: FileFacts
  readonly bytes: Uint8Array
  readonly digest: Digest
}

/** What is wrong with one item, and says nothing of the others. */
const ITEM_ERRORS: ReadonlySet<ErrorCode> = new Set([
  'input_invalid',
  'path_invalid',
  'digest_invalid',
  'digest_mismatch',
  'limit_exceeded',
  'source_changed',
  'tree_refused',
  'document_invalid',
])

/** Checks an item and takes its source up; at once, unless it is a stream. @throws StoreError saying what is wrong with it */
export function readyItem(item: PutItem, index: number): ReadyItem | Promise<ReadyItem> {
  if (item.kind !== 'file') {
    const entry = entryLine(item)
    return { index, path: entry.path, entry }
  }
  const facts = fileFacts(item.path, item)
  const content = contentOf(item.source, SMALL_BYTES)
  const ready = (taken: Content): ReadyItem => ({ index, path: facts.path, facts, content: taken })
  return content instanceof Promise ? content.then(ready) : ready(content)
}

/** Bytes that an item will take in a request; undefined for one that goes by itself. */
export function bytesTogether(item: ReadyItem): number | undefined {
  if ('entry' in item) return 0
  if (item.content.kind === 'stream') return undefined
  const size = item.content.kind === 'held' ? item.content.bytes.length : item.content.size
  return size > SMALL_BYTES ? undefined : size
}

/** Sends checked items: many small ones in one request, large ones alone. What the server has is attached, not sent. */
export class BatchSender {
  readonly #connection: Connection
  readonly #packageId: PackageId
  readonly #transfer: FileTransfer
  readonly #signal: AbortSignal

  constructor(connection: Connection, packageId: PackageId, transfer: FileTransfer, signal: AbortSignal) {
    this.#connection = connection
    this.#packageId = packageId
    this.#transfer = transfer
    this.#signal = signal
  }

  /** Sends a large file. */
  async single(index: number, facts: FileFacts, content: Content): Promise<readonly PutOutcome[]> {
    return settled(index, async () => {
      const known = content.kind === 'stream' ? undefined : await digested(content, await loadSha256())
      if (known !== undefined) {
        assertAnnounced(facts, known)
        const [isMissing] = await askMissing(this.#connection, this.#packageId, [{ type: 'file', ...facts, ...known }], this.#signal)
        if (isMissing === false) return [{ index, ...known, reused: true }]
      }
      const stored = await this.#transfer.send({ ...facts, ...known }, content, { signal: this.#signal })
      return [{ index, ...stored, reused: false }]
    })
  }

  /** Sends what can go in one request. */
  async together(items: readonly ReadyItem[]): Promise<readonly PutOutcome[]> {
    const newSha256 = await loadSha256()
    const outcomes: PutOutcome[] = []
    const files: HeldFile[] = []
    const others: { readonly index: number; readonly entry: KnownEntry }[] = []
    let since = performance.now()
    for (const item of items) {
      if (performance.now() - since > SLICE_MS) {
        await pause(0, NEVER)
        since = performance.now()
      }
      if ('entry' in item) {
        others.push(item)
        continue
      }
      const refused = await settled(item.index, async () => {
        files.push(await held(item.index, item.facts, item.content, newSha256))
        return []
      })
      outcomes.push(...refused)
    }
    const lines = [
      ...others.map(({ entry }) => entry),
      ...files.map(({ facts, digest, bytes }) => ({ ...facts, type: 'file' as const, digest, size: bytes.length })),
    ]
    const missing = lines.length === 0 ? [] : await askMissing(this.#connection, this.#packageId, lines, this.#signal)
    for (const { index } of others) outcomes.push({ index, size: 0, reused: false })
    const toSend = files.filter((_file, position) => missing[others.length + position] === true)
    const sending = new Set(toSend)
    for (const file of files) if (!sending.has(file)) outcomes.push(outcomeOf(file, true))
    return [...outcomes, ...(await this.#sendArchive(toSend))]
  }

  /** Sends files as one archive. Of one that is refused nothing stays: the entries that are to blame get their error, the others are sent again. */
  async #sendArchive(files: readonly HeldFile[]): Promise<readonly PutOutcome[]> {
    if (files.length === 0) return []
    try {
      await this.#connection.json(
        {
          method: 'POST',
          path: `packages/${this.#packageId}/files`,
          headers: { 'content-type': 'application/x-tar' },
          body: new Uint8Array(tarOf(files)),
          signal: this.#signal,
          // The same files again replace themselves.
          repeatable: true,
        },
        (value, where) => new Members(value, where).one('files', readCount),
      )
      return files.map((file) => outcomeOf(file, false))
    } catch (error) {
      if (!(error instanceof TreeRefusedError)) throw error
      const reasons = new Map(error.problems.map((problem) => [problem.path, problem]))
      const blamed = files.filter(({ facts }) => reasons.has(displayPath(facts.path)))
      if (blamed.length === 0) throw error
      const rest = files.filter((file) => !blamed.includes(file))
      return [...blamed.map(({ index, facts }) => refusal(index, reasons.get(displayPath(facts.path)))), ...(await this.#sendArchive(rest))]
    }
  }
}

/** Errors of an item become its outcome; others end everything. */
async function settled(index: number, work: () => Promise<readonly PutOutcome[]>): Promise<readonly PutOutcome[]> {
  try {
    return await work()
  } catch (error) {
    if (!isItemError(error)) throw error
    return [{ index, error }]
  }
}

/** Whether an error says something of one item only. */
export function isItemError(error: unknown): error is StoreError {
  return error instanceof StoreError && ITEM_ERRORS.has(error.code)
}

function outcomeOf({ index, digest, bytes }: HeldFile, reused: boolean): PutOutcome {
  return { index, digest, size: bytes.length, reused }
}

function refusal(index: number, problem: EntryProblem | undefined): PutOutcome {
  const { path = '', reason = 'was refused' } = problem ?? {}
  return { index, error: new InputInvalidError(`"${path}" ${reason}`, { detail: { path, reason } }) }
}

async function held(index: number, facts: FileFacts, content: Content, newSha256: NewSha256): Promise<HeldFile> {
  const bytes = content.kind === 'held' ? content.bytes : await fileBytes(content)
  const hash = newSha256()
  hash.update(bytes)
  const digest = hash.digest()
  assertAnnounced(facts, { digest, size: bytes.length })
  return { index, facts, bytes, digest }
}

async function fileBytes(content: Exclude<Content, { kind: 'held' }>): Promise<Uint8Array> {
  if (content.kind === 'stream') throw new TypeError('a stream goes by itself')
  const { readLocalFile } = await import('./local-file.ts')
  return readLocalFile(content.file)
}

async function digested(content: Exclude<Content, { kind: 'stream' }>, newSha256: NewSha256): Promise<StoredFile> {
  const hash = newSha256()
  if (content.kind === 'held') hash.update(content.bytes)
  else for await (const piece of piecesOfFile(content.file, 0, content.size)) hash.update(piece)
  return { digest: hash.digest(), size: content.kind === 'held' ? content.bytes.length : content.size }
}

function tarOf(files: readonly HeldFile[]): Uint8Array {
  const pieces = files.flatMap(({ facts, bytes, digest }) => {
    const { path, mediaType, executable = false } = facts
    const media = mediaType === undefined ? {} : { mediaType }
    const head = tarHead({ kind: 'file', path, executable, size: bytes.length, sha256: digest.slice('sha256:'.length), ...media })
    return [head, bytes, tarPadding(bytes.length)]
  })
  return joinBytes([...pieces, TAR_END])
}
