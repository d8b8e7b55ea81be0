import { parseDigest, sha256Digest } from '../core/digest.ts'
import { InputInvalidError, LimitExceededError, NotFoundError, RunConflictError } from '../core/errors.ts'
import { formatTime } from '../core/event.ts'
import { encodeCanonical, type JsonObject } from '../core/canonical-json.ts'
import { packageType, parsePackageId, parseReference, parseRepositoryName, parseTagName } from '../core/name.ts'
import { buildPackageDocument, type PackageDocument } from '../core/package-document.ts'
import { uuidv7 } from '../core/uuid.ts'
import { sumFiles } from '../registry/draft-entries.ts'
import { createDraft, type DraftRow, findDraft, findDraftByRun, reopenDraft } from '../registry/drafts.ts'
import { hasDamage } from '../registry/quarantine.ts'
import { listRetentionClasses } from '../registry/retention-classes.ts'
import { loadRetention } from '../registry/package-parts.ts'
import { findPackage, findPackageByRun, type PackageRow } from '../registry/packages.ts'
import { type PackageQuery, searchPackages } from '../registry/package-search.ts'
import type { Session } from '../registry/statement.ts'
import { draftState } from '../registry/tables.ts'
import { tagsOfPackage } from '../registry/tags.ts'
import { authorize } from './authorization.ts'
import type { StoreContext } from './context.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import { EmbeddedDraft } from './draft.ts'
import type { EmbeddedFiles } from './files.ts'
import type {
  Draft,
  ManifestBytes,
  OpenPackage,
  PackageFilter,
  PackageInfo,
  Packages,
  Page,
  PageRequest,
  VerifiedFile,
  VerifiedPack,
} from './interface.ts'
import { checkMetadata } from './metadata-schemas.ts'
import { checkOpenRequest, documentInput, encodeOpenRequest, type OpenRequest, parseOpenRequest } from './open-request.ts'
import { ifReadable, type PackageReader } from './package-reader.ts'
import { verifyPacks } from './pack-verification.ts'
import { pageLimit } from './page-limit.ts'
import { ensureRepository } from './repositories.ts'
import { SealedDraft } from './sealed-draft.ts'
import { assertNotDisposed, assertThere, statusName } from './tombstone.ts'
import { Verification } from './verification.ts'

type Opened = { readonly draft: DraftRow; readonly existed: boolean } | { readonly sealed: PackageRow }

/** The packages of an embedded store. */
export class EmbeddedPackages implements Packages {
  readonly #context: StoreContext
  readonly #reader: PackageReader
  readonly #files: EmbeddedFiles
  readonly #verification: Verification

  constructor(context: StoreContext, reader: PackageReader, files: EmbeddedFiles) {
    this.#context = context
    this.#reader = reader
    this.#files = files
    this.#verification = new Verification(context, reader, files)
  }

  async open(request: OpenPackage): Promise<Draft> {
    const checked = checkOpenRequest(request, await listRetentionClasses(this.#context.registry.reader))
    await authorize(this.#context, 'write', checked.repository)
    await checkMetadata(this.#context, checked.metadataSchema, checked.metadata)
    const opened = await this.#context.registry.write('open', (session) => this.#open(session, checked))
    if ('draft' in opened) return new EmbeddedDraft(this.#context, opened.draft, opened.existed)
    const document = await ifReadable(this.#reader.document(opened.sealed))
    if (document !== undefined) assertSameContent(checked, document, opened.sealed)
    if (document === undefined || (await this.#mustComeAgain(opened.sealed))) return this.#openAgain(checked)
    return new SealedDraft(opened.sealed, true)
  }

  /** Whether it is not enough that a sealed package is there: it is damaged, or (part of it) on its way out. */
  async #mustComeAgain(sealed: PackageRow): Promise<boolean> {
    const { reader } = this.#context.registry
    return (await hasDamage(reader, sealed.id)) || (await loadRetention(reader, sealed.id)).parts.some(({ stage }) => stage !== 'kept')
  }

  /**
   * A run that is sealed takes its content again: the bytes heal what has the same digests, and sealing finds the package that is there and takes it in
   * again. The run id stays with that package; other content is refused when this is sealed.
   */
  async #openAgain(request: OpenRequest): Promise<Draft> {
    const draft = await this.#context.registry.write('open-again', async (session) => {
      const { id: repository } = await ensureRepository(this.#context, session, request.repository)
      return createAndFind(session, { repository, runId: undefined, request: encodeOpenRequest(request) }, this.#context.clock.now())
    })
    return new EmbeddedDraft(this.#context, draft, false)
  }

  async #open(session: Session, request: OpenRequest): Promise<Opened> {
    const { id: repository } = await ensureRepository(this.#context, session, request.repository)
    const encoded = encodeOpenRequest(request)
    if (request.runId !== undefined) {
      const sealed = await findPackageByRun(session, repository, request.runId)
      if (sealed !== undefined) {
        assertNotDisposed(sealed)
        return { sealed }
      }
      const draft = await findDraftByRun(session, repository, request.runId)
      if (draft !== undefined) {
        if (draft.request !== encoded) throw runConflict(request, draft.uuid)
        // A sealing that broke off is taken up again; one that is under way meets its fence.
        if (draft.state === draftState.sealing) await reopenDraft(session, draft.id)
        return { draft, existed: true }
      }
    }
    const draft = await createAndFind(session, { repository, runId: request.runId, request: encoded }, this.#context.clock.now())
    return { draft, existed: false }
  }

  async resume(id: string): Promise<Draft> {
    const parsed = parsePackageId(id)
    const missing = (): NotFoundError => new NotFoundError(`no package '${id}'`)
    // One that is being sealed takes nothing more, but can be sealed again: the attempt may have died with its process.
    const draft = await findDraft(this.#context.registry.reader, parsed)
    const sealed = draft === undefined ? await findPackage(this.#context.registry.reader, parsed) : undefined
    const repository = draft?.repository ?? sealed?.repository
    if (repository === undefined) throw missing()
    await authorize(this.#context, 'write', repository, missing)
    if (draft !== undefined) return new EmbeddedDraft(this.#context, draft, true)
    if (sealed === undefined) throw missing()
    assertThere(sealed)
    return new SealedDraft(sealed, sealed.uuid !== parsed)
  }

  async get(ref: string): Promise<PackageInfo> {
    const draft = await this.#ownDraft(ref)
    if (draft !== undefined) return openPackageInfo(draft, await sumFiles(this.#context.registry.reader, draft.id))
    const row = await this.#reader.find(ref)
    // Of one that was disposed of only the tombstone is left.
    const metadata = statusName(row.status) === 'finalized' ? (await this.#reader.document(row)).metadata : undefined
    return this.#info(row, metadata)
  }

  /** An open package that the caller may write to; for everybody else there is none yet. */
  async #ownDraft(ref: string): Promise<DraftRow | undefined> {
    const reference = parseReference(ref)
    const draft = reference.kind === 'id' ? await findDraft(this.#context.registry.reader, reference.id) : undefined
    return draft !== undefined && this.#context.access.may('write', draft.repository) ? draft : undefined
  }

  async search(filter: PackageFilter = {}, page: PageRequest = {}): Promise<Page<PackageInfo>> {
    const limit = pageLimit(page.limit)
    const { registry, access } = this.#context
    const rows = await searchPackages(registry.reader, { ...packageQuery(filter, page, limit + 1), readable: access.readable })
    const items = await Promise.all(rows.slice(0, limit).map((row) => this.#info(row)))
    const last = rows[limit - 1]
    return rows.length > limit && last !== undefined ? { items, next: encodeCursor([last.finalized_at, last.id]) } : { items }
  }

  async document(ref: string): Promise<PackageDocument> {
    return this.#reader.document(await this.#reader.resolve(ref))
  }

  async manifest(ref: string, child?: string): Promise<ManifestBytes> {
    const row = await this.#reader.resolve(ref)
    const own = sha256Digest(row.manifest_digest)
    const digest = child === undefined ? own : parseDigest(child)
    const root = await this.#reader.manifest(own)
    const isChild = root.kind === 'index' && root.children.some((candidate) => candidate.digest === digest)
    if (digest !== own && !isChild) throw new NotFoundError(`package ${row.uuid} has no manifest ${digest}`)
    await this.#files.assertChildThere(row, digest)
    const { mediaType } = digest === own ? root : await this.#reader.manifest(digest)
    return { bytes: await this.#reader.readSmall(digest), digest, mediaType }
  }

  verifyPacks(options: { readonly signal?: AbortSignal } = {}): AsyncIterable<VerifiedPack> {
    return verifyPacks(this.#context, options.signal)
  }

  verify(ref: string | 'all', options: { readonly signal?: AbortSignal } = {}): AsyncIterable<VerifiedFile> {
    return this.#verification.run(ref, options.signal)
  }

  async #info(row: PackageRow, metadata?: JsonObject): Promise<PackageInfo> {
    const { reader } = this.#context.registry
    const status = statusName(row.status)
    const tags = status === 'finalized' ? await tagsOfPackage(reader, row.id) : []
    return {
      id: row.uuid,
      repository: row.repository,
      tags,
      status,
      type: row.type,
      createdAt: formatTime(row.opened_at),
      finalizedAt: formatTime(row.finalized_at),
      manifestDigest: sha256Digest(row.manifest_digest),
      fileCount: row.file_count,
      size: row.size,
      ...(row.producer === null ? {} : { producer: row.producer }),
      ...(row.subject === null ? {} : { subject: row.subject }),
      ...(row.run_id === null ? {} : { runId: row.run_id }),
      ...(row.retention_class === null ? {} : { retentionClass: row.retention_class }),
      ...(row.expires_at === null ? {} : { expiresAt: formatTime(row.expires_at) }),
      ...(metadata === undefined ? {} : { metadata }),
    }
  }
}

function openPackageInfo(draft: DraftRow, files: { readonly count: number; readonly size: number }): PackageInfo {
  const { type, producer, subject, runId, retentionClass, metadata, tags } = parseOpenRequest(draft.request)
  return {
    id: draft.uuid,
    repository: draft.repository,
    tags,
    status: 'open',
    type,
    createdAt: formatTime(draft.created_at),
    fileCount: files.count,
    size: files.size,
    ...(producer === undefined ? {} : { producer }),
    ...(subject === undefined ? {} : { subject }),
    ...(runId === undefined ? {} : { runId }),
    ...(retentionClass === undefined ? {} : { retentionClass }),
    ...(metadata === undefined ? {} : { metadata }),
  }
}

async function createAndFind(session: Session, draft: Omit<Parameters<typeof createDraft>[1], 'uuid'>, now: number): Promise<DraftRow> {
  const uuid = parsePackageId(uuidv7(now))
  await createDraft(session, { uuid, ...draft })
  const created = await findDraft(session, uuid)
  if (created === undefined) throw new TypeError('an open package vanished inside its own transaction')
  return created
}

/** Members of metadata that one search may ask for: each is counted before the search. */
const MOST_MEMBERS = 16

function packageQuery(filter: PackageFilter, page: PageRequest, limit: number): Omit<PackageQuery, 'readable'> {
  const { repository, producer, subject, runId, type, retentionClass, status, tag, from, until, metadata } = filter
  const after = page.after === undefined ? undefined : decodeCursor(page.after, ['number', 'number'])
  if (Object.keys(metadata ?? {}).length > MOST_MEMBERS)
    throw new LimitExceededError(`a search may ask for ${MOST_MEMBERS} members of metadata at most`)
  return {
    limit,
    ...(after === undefined ? {} : { after: { finalizedAt: after[0], id: after[1] } }),
    ...(repository === undefined ? {} : { repository: parseRepositoryName(repository) }),
    ...(producer === undefined ? {} : { producer }),
    ...(subject === undefined ? {} : { subject }),
    ...(runId === undefined ? {} : { runId }),
    ...(type === undefined ? {} : { type: packageType(type) }),
    ...(retentionClass === undefined ? {} : { retentionClass }),
    ...(status === undefined ? {} : { status }),
    ...(tag === undefined ? {} : { tag: parseTagName(tag) }),
    ...(from === undefined ? {} : { from: parseTime(from) }),
    ...(until === undefined ? {} : { until: parseTime(until) }),
    ...(metadata === undefined ? {} : { metadata: new Map(Object.entries(metadata)) }),
  }
}

function parseTime(text: string): number {
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw new InputInvalidError(`not an RFC 3339 time: '${text.slice(0, 100)}'`)
  return time
}

function runConflict(request: OpenRequest, uuid: string): RunConflictError {
  return new RunConflictError(`run '${request.runId ?? ''}' of ${request.repository} is package ${uuid} already, opened with other facts`, {
    detail: { packageId: uuid },
  })
}

/** What the request says must be what the sealed package says; what sealing may have added is compared only where the request has it too. */
function assertSameContent(request: OpenRequest, sealed: PackageDocument, row: PackageRow): void {
  const asked = buildPackageDocument(documentInput(request, {}))
  const { symlinks: _links, directories: _directories, ...kept } = sealed
  const expected = { ...kept, ...pick(asked, ['metadata', 'provenance', 'links']) }
  const given = { ...pick(kept, ['metadata', 'provenance', 'links']), ...asked }
  if (request.type !== row.type || !sameJson(expected, kept) || !sameJson(given, kept)) throw runConflict(request, row.uuid)
}

function pick(document: PackageDocument | Omit<PackageDocument, 'symlinks' | 'directories'>, names: readonly (keyof PackageDocument)[]): object {
  return Object.fromEntries(Object.entries(document).filter(([name]) => names.some((wanted) => wanted === name)))
}

function sameJson(left: object, right: object): boolean {
  // Sound: documents are JSON all through.
  return Buffer.compare(encodeCanonical(left as JsonObject), encodeCanonical(right as JsonObject)) === 0
}
