import { rawSha256, sha256Digest } from '../core/digest.ts'
import { InputInvalidError, LimitExceededError, NotFoundError, OffsetConflictError, StateConflictError } from '../core/errors.ts'
import { formatTime } from '../core/event.ts'
import { mediaTypeFor } from '../core/media-type.ts'
import { parsePackageId } from '../core/name.ts'
import { parsePath } from '../core/path.ts'
import { uuidv4 } from '../core/uuid.ts'
import { findDraft, touchDraft } from '../registry/drafts.ts'
import type { Session } from '../registry/statement.ts'
import { draftState, uploadState } from '../registry/tables.ts'
import {
  claimUpload,
  createUpload,
  describeUpload,
  dropPartsFrom,
  findUpload,
  listExpiredUploads,
  markUploadEnded,
  markUploadExpired,
  type NewUpload,
  type UploadRow,
} from '../registry/uploads.ts'
import { authorize, authorizeStore } from './authorization.ts'
import type { StoreContext } from './context.ts'
import { sha256Only } from './intake.ts'
import type { AppendToUpload, CreateUpload, UploadInfo, Uploads } from './upload-interface.ts'
import { appendToUpload, noUpload, UPLOAD_TTL_MS, type UploadClaim } from './upload-append.ts'
import { completeUpload } from './upload-completion.ts'
import type { UploadTurn } from './upload-work.ts'

/** Left-over parts that one transaction drops. */
const ROWS_PER_COMMIT = 500

/** The resumable uploads of an embedded store. One belongs to whoever made it; for others it is not there. */
export class EmbeddedUploads implements Uploads {
  readonly #context: StoreContext

  constructor(context: StoreContext) {
    this.#context = context
  }

  async create(request: CreateUpload): Promise<UploadInfo> {
    const upload = await this.#checked(request)
    const row = await this.#context.registry.write('upload-create', (session) => createUpload(session, upload, UPLOAD_TTL_MS))
    return row.length === 0 ? this.#settled(row) : infoOf(row)
  }

  /** An upload whose last byte is durable, but that was not settled since the process was killed, is settled by whoever asks next. */
  async get(id: string): Promise<UploadInfo> {
    const row = await this.#find(id)
    return isUnsettled(row) ? this.#settled(row) : infoOf(row)
  }

  async append(id: string, offset: number, source: AsyncIterable<Uint8Array>, options: AppendToUpload = {}): Promise<UploadInfo> {
    if (!Number.isSafeInteger(offset) || offset < 0) throw new InputInvalidError(`an offset counts whole bytes from 0, not ${String(offset)}`)
    const { checksum, signal } = options
    return this.#inTurn(id, async (turn) => {
      const claim = await this.#claim(id, offset)
      if (claim === undefined) {
        await assertEmpty(source)
        return
      }
      const written = await appendToUpload(this.#context, claim, source, { checksum, signal, turn: turn.signal })
      if (written.offset === claim.length) await completeUpload(this.#context, { ...claim, ...written })
    })
  }

  async declareLength(id: string, length: number): Promise<UploadInfo> {
    checkLength(length)
    const row = await this.#context.registry.write('upload-length', async (session) => {
      const found = await this.#find(id, session)
      if (found.length === length) return found
      if (found.length !== null) throw new StateConflictError(`upload ${id} was said to have ${found.length} bytes, which cannot be changed`)
      return this.#describe(session, found, length, found.expected)
    })
    return isUnsettled(row) ? this.#settled(row) : infoOf(row)
  }

  /**
   * Says that nothing follows, and what the bytes must be: for protocols that tell the digest last. Of an upload that is complete only the digest is compared.
   * @throws DigestMismatchError; StateConflictError when bytes are still to come
   */
  async complete(id: string, digest: string): Promise<UploadInfo> {
    const expected = rawSha256(sha256Only(digest))
    const row = await this.#context.registry.write('upload-length', async (session) => {
      const found = await this.#find(id, session)
      if (found.digest !== null) return found
      if (found.length !== null && found.length !== found.offset) {
        throw new StateConflictError(`upload ${id} has ${found.offset} of the ${found.length} bytes that it was said to have`)
      }
      return this.#describe(session, found, found.offset, expected)
    })
    if (row.digest === null) return this.#settled(row)
    if (Buffer.compare(row.digest, expected) === 0) return infoOf(row)
    throw new StateConflictError(`upload ${id} is complete, and is ${sha256Digest(row.digest)}`)
  }

  async remove(id: string): Promise<void> {
    const { registry, uploadWork } = this.#context
    const row = await registry.write('upload-remove', async (session) => {
      const found = await this.#find(id, session)
      await markUploadEnded(session, found.id)
      return found
    })
    // Whoever is writing learns it now rather than at the next commit.
    const turn = await uploadWork.turn(row.id)
    turn.end()
    uploadWork.digests.delete(row.id)
    uploadWork.clearance.add(row.id)
  }

  async #checked({ packageId, path, mediaType, executable = false, digest, length }: CreateUpload): Promise<NewUpload> {
    if ((packageId === undefined) !== (path === undefined))
      throw new InputInvalidError('an upload goes to a path of a package: give both, or neither')
    if (length !== undefined) checkLength(length)
    const expected = digest === undefined ? null : rawSha256(sha256Only(digest))
    const common = { uuid: uuidv4(), actor: this.#context.actor, executable: executable ? 1 : 0, expected, length: length ?? null }
    if (packageId === undefined || path === undefined) {
      authorizeStore(this.#context, 'write')
      return { ...common, package_uuid: null, path: null, media_type: mediaType ?? null }
    }
    const parsed = parsePath(path)
    mediaTypeFor(parsed, mediaType)
    const id = parsePackageId(packageId)
    const missing = (): NotFoundError => new NotFoundError(`no open package '${packageId}'`, { detail: { packageId } })
    const draft = await findDraft(this.#context.registry.reader, id)
    if (draft === undefined) throw missing()
    await authorize(this.#context, 'write', draft.repository, missing)
    if (draft.state !== draftState.open) throw new StateConflictError(`package ${id} takes no more content: it is being sealed`)
    return { ...common, package_uuid: id, path: parsed, media_type: mediaType ?? null }
  }

  async #find(id: string, session: Session = this.#context.registry.reader): Promise<UploadRow> {
    const row = await findUpload(session, id, this.#context.actor)
    if (row === undefined) throw noUpload(id)
    return row
  }

  /** The package that the upload goes to is still wanted, too. */
  async #touchPackage(session: Session, { package_uuid: packageId }: UploadRow): Promise<void> {
    const draft = packageId === null ? undefined : await findDraft(session, packageId)
    if (draft !== undefined) await touchDraft(session, draft.id)
  }

  async #describe(session: Session, row: UploadRow, length: number, expected: Uint8Array | null): Promise<UploadRow> {
    if (row.offset > length) throw new LimitExceededError(`upload ${row.uuid} has ${row.offset} bytes already, more than ${length}`)
    await describeUpload(session, row.id, { length, expected }, UPLOAD_TTL_MS)
    return { ...row, length, expected }
  }

  /** Settles an upload whose bytes are all there. */
  async #settled(row: UploadRow): Promise<UploadInfo> {
    return this.#inTurn(row.uuid, async () => {
      const claim = await this.#claim(row.uuid, row.offset)
      if (claim !== undefined && claim.offset === claim.length) await completeUpload(this.#context, claim)
    })
  }

  async #inTurn(id: string, work: (turn: UploadTurn) => Promise<void>): Promise<UploadInfo> {
    const { id: row } = await this.#find(id)
    const turn = await this.#context.uploadWork.turn(row)
    try {
      await work(turn)
    } finally {
      turn.end()
    }
    return infoOf(await this.#find(id))
  }

  /**
   * Takes an upload over from any other writer, and drops parts that never counted.
   * @returns undefined when it is complete
   * @throws OffsetConflictError
   */
  async #claim(id: string, offset: number): Promise<UploadClaim | undefined> {
    for (;;) {
      const claim = await this.#context.registry.write('upload-claim', async (session) => {
        const row = await this.#find(id, session)
        if (row.offset !== offset) {
          throw new OffsetConflictError(`upload ${id} stands at ${row.offset}, not at ${offset}`, { detail: { offset: row.offset } })
        }
        if (row.state === uploadState.complete) return undefined
        const parts = await dropPartsFrom(session, row.id, row.offset, ROWS_PER_COMMIT)
        if (parts === undefined) return 'more'
        const writer = uuidv4()
        await claimUpload(session, row.id, writer, UPLOAD_TTL_MS)
        await this.#touchPackage(session, row)
        return { id: row.id, uuid: row.uuid, writer, offset, length: row.length, parts }
      })
      if (claim !== 'more') return claim
    }
  }
}

/**
 * Gives up uploads that nobody touched for 24 hours, up to `limit`, and lets go of what they held.
 * @returns how many
 */
export async function removeExpiredUploads(context: StoreContext, limit: number): Promise<number> {
  const { registry, uploadWork } = context
  const expired = await listExpiredUploads(registry.reader, limit)
  for (const upload of expired) {
    // Touched meanwhile: still wanted.
    if (!(await registry.write('upload-expire', (session) => markUploadExpired(session, upload)))) continue
    uploadWork.digests.delete(upload)
    await uploadWork.clearance.clear(upload)
  }
  return expired.length
}

function isUnsettled(row: UploadRow): boolean {
  return row.state === uploadState.open && row.offset === row.length
}

function infoOf(row: UploadRow): UploadInfo {
  return {
    id: row.uuid,
    offset: row.offset,
    expiresAt: formatTime(row.expires_at),
    ...(row.length === null ? {} : { length: row.length }),
    ...(row.package_uuid === null ? {} : { packageId: row.package_uuid }),
    ...(row.path === null ? {} : { path: row.path }),
    ...(row.media_type === null ? {} : { mediaType: row.media_type }),
    ...(row.executable === 0 ? {} : { executable: true }),
    ...(row.expected === null ? {} : { expectedDigest: sha256Digest(row.expected) }),
    ...(row.digest === null ? {} : { digest: sha256Digest(row.digest) }),
  }
}

/** What follows an upload that is complete is too much. */
async function assertEmpty(source: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const piece of source) if (piece.length > 0) throw new LimitExceededError('the upload is complete, but more bytes arrive')
}

function checkLength(length: number): void {
  if (!Number.isSafeInteger(length) || length < 0) throw new InputInvalidError(`a length counts whole bytes from 0, not ${String(length)}`)
}
