import { parseDigest, sha256Digest } from '../core/digest.ts'
import { InputInvalidError, NotFoundError, RunConflictError, StateConflictError } from '../core/errors.ts'
import { formatTime } from '../core/event.ts'
import { encodeCanonical, type JsonObject } from '../core/canonical-json.ts'
import { packageType, parsePackageId, parseRepositoryName, parseTagName, type RepositoryName, tenantOf } from '../core/name.ts'
import { buildPackageDocument, type PackageDocument } from '../core/package-document.ts'
import { uuidv7 } from '../core/uuid.ts'
import { createDraft, type DraftRow, findDraft, findDraftByRun, reopenDraft } from '../registry/drafts.ts'
import { hasDamage } from '../registry/quarantine.ts'
import { findPackage, findPackageByRun, listChildren, type PackageQuery, type PackageRow, searchPackages } from '../registry/packages.ts'
import { findRepository, listRepositories } from '../registry/repositories.ts'
import type { Session } from '../registry/statement.ts'
import { draftState, packageStatus } from '../registry/tables.ts'
import { tagsOfPackage } from '../registry/tags.ts'
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
  RepositoryInfo,
  VerifiedFile,
  VerifiedPack,
} from './interface.ts'
import { checkOpenRequest, documentInput, encodeOpenRequest, type OpenRequest } from './open-request.ts'
import { ifReadable, type PackageReader } from './package-reader.ts'
import { verifyPacks } from './pack-verification.ts'
import { pageLimit } from './page-limit.ts'
import { SealedDraft } from './sealed-draft.ts'
import { Verification } from './verification.ts'
import { applyRepositoryCreated, eventData, type RepositoryCreated } from './views.ts'

type Opened = { readonly draft: DraftRow; readonly existed: boolean } | { readonly sealed: PackageRow }

/** The packages of an embedded store. */
export class EmbeddedPackages implements Packages {
  readonly #context: StoreContext
  readonly #reader: PackageReader
  readonly #verification: Verification

  constructor(context: StoreContext, reader: PackageReader, files: EmbeddedFiles) {
    this.#context = context
    this.#reader = reader
    this.#verification = new Verification(context, reader, files)
  }

  async open(request: OpenPackage): Promise<Draft> {
    const checked = checkOpenRequest(request)
    const opened = await this.#context.registry.write('open', (session) => this.#open(session, checked))
    if ('draft' in opened) return new EmbeddedDraft(this.#context, opened.draft, opened.existed)
    const document = await ifReadable(this.#reader.document(opened.sealed))
    if (document !== undefined) assertSameContent(checked, document, opened.sealed)
    if (document === undefined || (await hasDamage(this.#context.registry.reader, opened.sealed.id))) return this.#openForRepair(checked)
    return new SealedDraft(opened.sealed)
  }

  /**
   * A run that is sealed but damaged takes its content again: the bytes heal what has the same digests, and sealing finds the package that is there.
   * The run id stays with that package; other content is refused when this is sealed.
   */
  async #openForRepair(request: OpenRequest): Promise<Draft> {
    const draft = await this.#context.registry.write('open-repair', async (session) => {
      const repository = await this.#repository(session, request.repository)
      return createAndFind(session, { repository, runId: undefined, request: encodeOpenRequest(request) }, this.#context.clock.now())
    })
    return new EmbeddedDraft(this.#context, draft, false)
  }

  async #open(session: Session, request: OpenRequest): Promise<Opened> {
    const repository = await this.#repository(session, request.repository)
    const encoded = encodeOpenRequest(request)
    if (request.runId !== undefined) {
      const sealed = await findPackageByRun(session, repository, request.runId)
      if (sealed !== undefined) return { sealed }
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

  async #repository(session: Session, name: RepositoryName): Promise<number> {
    const known = await findRepository(session, name)
    if (known !== undefined) return known.id
    const now = this.#context.clock.now()
    const data: RepositoryCreated = { repository: name, tenant: tenantOf(name), createdAt: formatTime(now) }
    const { actor } = this.#context
    session.emit({ id: uuidv7(now), type: 'repository.created', tenant: data.tenant, resource: `repositories/${name}`, actor, data: eventData(data) })
    return applyRepositoryCreated(session, data)
  }

  async resume(id: string): Promise<Draft> {
    const parsed = parsePackageId(id)
    const draft = await findDraft(this.#context.registry.reader, parsed)
    if (draft !== undefined) {
      if (draft.state === draftState.sealing) throw new StateConflictError(`package ${id} is being sealed; finalize it again`)
      return new EmbeddedDraft(this.#context, draft, true)
    }
    const sealed = await findPackage(this.#context.registry.reader, parsed)
    if (sealed === undefined) throw new NotFoundError(`no package '${id}'`)
    return new SealedDraft(sealed)
  }

  async get(ref: string): Promise<PackageInfo> {
    const row = await this.#reader.resolve(ref)
    const document = await this.#reader.document(row)
    return this.#info(row, document.metadata)
  }

  async search(filter: PackageFilter = {}, page: PageRequest = {}): Promise<Page<PackageInfo>> {
    const limit = pageLimit(page.limit)
    const rows = await searchPackages(this.#context.registry.reader, packageQuery(filter, page, limit + 1))
    const items = await Promise.all(rows.slice(0, limit).map((row) => this.#info(row)))
    const last = rows[limit - 1]
    return rows.length > limit && last !== undefined ? { items, next: encodeCursor([last.finalized_at, last.id]) } : { items }
  }

  async repositories(prefix = '', page: PageRequest = {}): Promise<Page<RepositoryInfo>> {
    const limit = pageLimit(page.limit)
    const after = page.after === undefined ? '' : decodeCursor(page.after, ['string'])[0]
    const rows = await listRepositories(this.#context.registry.reader, prefix, after, limit + 1)
    const items = rows.slice(0, limit).map((row) => ({ name: row.name, packages: row.packages ?? 0, createdAt: formatTime(row.created_at) }))
    const last = items.at(-1)
    return rows.length > limit && last !== undefined ? { items, next: encodeCursor([last.name]) } : { items }
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
    const [tags, children] = [await tagsOfPackage(reader, row.id), row.retention_class === null ? await listChildren(reader, row.id) : []]
    const retentionClass = row.retention_class ?? children.find((child) => child.set_key === '')?.retention_class
    return {
      id: row.uuid,
      repository: row.repository,
      tags,
      status: row.status === packageStatus.purged ? 'purged' : 'finalized',
      type: row.type,
      createdAt: formatTime(row.opened_at),
      finalizedAt: formatTime(row.finalized_at),
      manifestDigest: sha256Digest(row.manifest_digest),
      fileCount: row.file_count,
      size: row.size,
      ...(row.producer === null ? {} : { producer: row.producer }),
      ...(row.subject === null ? {} : { subject: row.subject }),
      ...(row.run_id === null ? {} : { runId: row.run_id }),
      ...(retentionClass === null || retentionClass === undefined ? {} : { retentionClass }),
      ...(row.expires_at === null ? {} : { expiresAt: formatTime(row.expires_at) }),
      ...(metadata === undefined ? {} : { metadata }),
    }
  }
}

async function createAndFind(session: Session, draft: Omit<Parameters<typeof createDraft>[1], 'uuid'>, now: number): Promise<DraftRow> {
  const uuid = parsePackageId(uuidv7(now))
  await createDraft(session, { uuid, ...draft })
  const created = await findDraft(session, uuid)
  if (created === undefined) throw new TypeError('an open package vanished inside its own transaction')
  return created
}

function packageQuery(filter: PackageFilter, page: PageRequest, limit: number): PackageQuery {
  const { repository, producer, subject, runId, type, retentionClass, status, tag, from, until, metadata } = filter
  const after = page.after === undefined ? undefined : decodeCursor(page.after, ['number', 'number'])
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
