import { encodeCanonical, isJsonObject, type JsonObject, parseJson } from '../../core/canonical-json.ts'
import { type Digest, digestOf, parseDigest, rawSha256, sha256Digest } from '../../core/digest.ts'
import { DamagedError, NotFoundError, StateConflictError } from '../../core/errors.ts'
import { formatTime } from '../../core/event.ts'
import { parseReason } from '../../core/hold.ts'
import { parseRepositoryName, type RepositoryName } from '../../core/name.ts'
import { parseRepositoryPolicy } from '../../core/repository-policy.ts'
import { approvable, assertAnother, assertSomebody } from '../../core/retention-rules.ts'
import type { PartState } from '../../core/retention-state.ts'
import { uuidv7 } from '../../core/uuid.ts'
import { findDocument } from '../../registry/documents.ts'
import { listStandingSelectors, type StoredHold } from '../../registry/holds.ts'
import { listWaitingParts } from '../../registry/package-parts.ts'
import { findPackage, listChildren } from '../../registry/packages.ts'
import { findPlan, listPlans, type PlanRow } from '../../registry/plans.ts'
import { findRepository } from '../../registry/repositories.ts'
import type { Session } from '../../registry/statement.ts'
import { authorize, authorizeStore } from '../authorization.ts'
import type { StoreContext } from '../context.ts'
import { decodeCursor, encodeCursor } from '../cursor.ts'
import { holdDocument, storeDocument } from '../documents.ts'
import type { Page, PageRequest } from '../interface.ts'
import type { PackageReader } from '../package-reader.ts'
import { pageLimit } from '../page-limit.ts'
import type { DeletionPlan, PlanItem } from '../retention-interface.ts'
import { assertClockTrusted } from '../trusted-clock.ts'
import { recordEvent } from './retention-log.ts'
import { loadSubject, type RetentionSubject } from './retention-subject.ts'

/** Names the form of a plan's document. */
const PLAN_FORMAT = 'artifact-store.deletion-plan.v1'
/** How long a plan can be approved. */
const PLAN_MS = 7 * 86_400_000
/** A plan ends behind the item that reaches one of these; its document is read whole. */
const MOST_ITEMS = 5_000
const MOST_BYTES = 3 * 1024 * 1024
/** Parts that are looked at together when a plan is made, and items that one transaction approves. */
const PAGE = 500
const ITEMS_PER_COMMIT = 100
/** Before which plan the first page begins. */
const NEWEST: { readonly createdAt: number; readonly digest: Uint8Array } = { createdAt: Number.MAX_SAFE_INTEGER, digest: new Uint8Array(32) }

/** Plans: what may be deleted, once somebody else has looked at it and approved exactly that. */
export class DeletionPlans {
  readonly #context: StoreContext
  readonly #reader: PackageReader

  constructor(context: StoreContext, reader: PackageReader) {
    this.#context = context
    this.#reader = reader
  }

  async create(request: { readonly repository?: string }): Promise<DeletionPlan> {
    const repository = request.repository === undefined ? undefined : parseRepositoryName(request.repository)
    if (repository === undefined) authorizeStore(this.#context, 'retention')
    else await authorize(this.#context, 'retention', repository)
    const { items, more } = await this.#collect(repository)
    if (items.length === 0) throw new NotFoundError('nothing waits for an approval of its deletion')
    const { clock, actor, storeId } = this.#context
    const now = clock.now()
    const times = { createdAt: formatTime(now), expiresAt: formatTime(now + PLAN_MS) }
    // Sound: items are JSON all through.
    const listed = items as unknown as JsonObject[]
    const bytes = encodeCanonical({
      format: PLAN_FORMAT,
      storeId,
      createdBy: actor,
      ...times,
      more,
      items: listed,
      ...(repository === undefined ? {} : { repository }),
    })
    const digest = digestOf(bytes)
    const stored = await storeDocument(this.#context, bytes)
    return this.#context.registry.write('plan', async (session) => {
      const size = items.reduce((sum, item) => sum + item.size, 0)
      await recordEvent(this.#context, session, {
        type: 'plan.created',
        data: {
          plan: digest,
          items: items.length,
          packages: items.length,
          size,
          at: times.createdAt,
          expiresAt: times.expiresAt,
          ...(repository === undefined ? {} : { repository }),
        },
      })
      const document = await findDocument(session, 'plan', digest)
      if (document === undefined) throw new TypeError('a plan has no document')
      await holdDocument(this.#context, session, document.id, stored)
      return { ...planInfo(await this.#row(digest, session)), more }
    })
  }

  async #collect(repository: RepositoryName | undefined): Promise<{ readonly items: readonly PlanItem[]; readonly more: boolean }> {
    const { reader } = this.#context.registry
    const selectors = await listStandingSelectors(reader)
    const items: PlanItem[] = []
    let bytes = 0
    for (let after = 0; ;) {
      const page = await listWaitingParts(reader, after, PAGE)
      // The last package's parts may go on on the next page, unless it is the only one.
      const ids = [...new Set(page.map(({ package_id }) => package_id))]
      const whole = page.length < PAGE || ids.length === 1 ? ids : ids.slice(0, -1)
      for (const id of whole) {
        const found = page.find(({ package_id }) => package_id === id)
        if (repository !== undefined && !isBelow(found?.repository ?? '', repository)) continue
        const item = await this.#item(reader, id, selectors)
        if (item === undefined) continue
        if (items.length === MOST_ITEMS || bytes > MOST_BYTES) return { items, more: true }
        items.push(item)
        bytes += JSON.stringify(item).length
      }
      const last = whole.at(-1)
      if (last === undefined || page.length < PAGE) return { items, more: false }
      after = last
    }
  }

  /** What of a package a plan may name. */
  async #item(session: Session, packageId: number, selectors: readonly StoredHold[]): Promise<PlanItem | undefined> {
    const subject = await loadSubject(session, packageId, selectors)
    if (subject.holds.length > 0) return undefined
    const sets = subject.state.parts.map(({ set }) => set)
    const parts = approvable(subject.state, sets, this.#context.clock.now())
    if (parts.length === 0) return undefined
    return describeItem(subject, parts, await sizesOf(session, subject, parts))
  }

  async list(page: PageRequest): Promise<Page<DeletionPlan>> {
    authorizeStore(this.#context, 'retention')
    const limit = pageLimit(page.limit)
    const before = page.after === undefined ? NEWEST : cursorOf(page.after)
    const rows = await listPlans(this.#context.registry.reader, before, limit + 1)
    const items = rows.slice(0, limit).map((row) => planInfo(row))
    const last = rows[limit - 1]
    return rows.length > limit && last !== undefined ? { items, next: encodeCursor([last.created_at, sha256Digest(last.digest)]) } : { items }
  }

  async get(digest: string): Promise<DeletionPlan> {
    return planInfo(await this.#visible(parseDigest(digest)))
  }

  async items(digest: string, page: PageRequest): Promise<Page<PlanItem>> {
    const limit = pageLimit(page.limit)
    const start = page.after === undefined ? 0 : decodeCursor(page.after, ['number'])[0]
    const items = await this.#read(await this.#visible(parseDigest(digest)))
    const shown = items.slice(start, start + limit)
    return start + limit < items.length ? { items: shown, next: encodeCursor([start + limit]) } : { items: shown }
  }

  /**
   * Approves exactly what the digest names, and deletes what of it may still go: what was extended, taken in again or held meanwhile is left out. Called
   * again after a crash it goes on where it broke off.
   */
  async approve(digest: string, request: { readonly reason?: string }): Promise<DeletionPlan> {
    const parsed = parseDigest(digest)
    const reason = request.reason === undefined ? {} : { reason: parseReason(request.reason) }
    const { actor, clock, registry } = this.#context
    assertSomebody(actor, 'approve deletions')
    const row = await this.#visible(parsed)
    if (row.completed_at !== null) return planInfo(row)
    const items = await this.#read(row)
    await this.#assertMayApprove(row, items)
    await registry.write('approve', async (session) => {
      await assertClockTrusted(clock, session)
      const current = await this.#row(parsed, session)
      if (current.approved_at !== null) return
      const now = clock.now()
      if (current.expired === 1 || current.expires_at <= now) throw new StateConflictError(`plan ${digest} expired; make a new one`)
      await recordEvent(this.#context, session, {
        type: 'plan.approved',
        data: { plan: parsed, at: formatTime(now), ...ofRepository(row), ...reason },
      })
    })
    return this.carryOut(parsed, items)
  }

  /** Carries out what was approved. */
  async carryOut(plan: Digest, items: readonly PlanItem[]): Promise<DeletionPlan> {
    const { registry, clock } = this.#context
    let approved = 0
    for (let start = 0; start < items.length; start += ITEMS_PER_COMMIT) {
      approved += await registry.write('approve-items', async (session) => {
        await assertClockTrusted(clock, session)
        const row = await this.#row(plan, session)
        const selectors = await listStandingSelectors(session)
        let done = 0
        for (const item of items.slice(start, start + ITEMS_PER_COMMIT)) if (await this.#approveItem(session, row, plan, item, selectors)) done += 1
        return done
      })
    }
    return registry.write('plan-completed', async (session) => {
      const row = await this.#row(plan, session)
      if (row.completed_at === null) {
        const data = { plan, approved, at: formatTime(clock.now()), ...ofRepository(row) }
        await recordEvent(this.#context, session, { type: 'plan.completed', data })
      }
      return planInfo(await this.#row(plan, session))
    })
  }

  /** @returns whether the item went, now or before a crash */
  async #approveItem(session: Session, row: PlanRow, plan: Digest, item: PlanItem, selectors: readonly StoredHold[]): Promise<boolean> {
    const found = await findPackage(session, item.packageId)
    if (found === undefined) return false
    const subject = await loadSubject(session, found.id, selectors)
    const named = subject.state.parts.filter(({ set }) => item.sets.includes(set))
    if (named.length > 0 && named.every(({ stage }) => ['deleted', 'purging', 'purged'].includes(stage))) return true
    const now = this.#context.clock.now()
    const parts = approvable(subject.state, item.sets, now)
    if (parts.length === 0 || subject.holds.length > 0) return false
    const data = { packageId: item.packageId, repository: item.repository, sets: parts.map(({ set }) => set), at: formatTime(now), plan }
    await recordEvent(this.#context, session, { type: 'package.approved', data })
    const reason = row.reason === null ? {} : { reason: row.reason }
    await recordEvent(this.#context, session, { type: 'package.deleted', data: { ...data, deletionId: uuidv7(now), authority: 'plan', ...reason } })
    return true
  }

  async #assertMayApprove(row: PlanRow, items: readonly PlanItem[]): Promise<void> {
    for (const repository of new Set(items.map((item) => item.repository))) {
      await authorize(this.#context, 'delete', repository)
      const found = await findRepository(this.#context.registry.reader, repository)
      const policy = parseRepositoryPolicy(found?.policy ?? '{}')
      if (policy.separationOfDuties === true) assertAnother(this.#context.actor, row.created_by, 'approve this plan')
    }
  }

  /** A plan that the caller may see. */
  async #visible(digest: Digest): Promise<PlanRow> {
    const row = await this.#row(digest, this.#context.registry.reader)
    if (row.repository === null) authorizeStore(this.#context, 'retention')
    else await authorize(this.#context, 'retention', row.repository)
    return row
  }

  async #row(digest: Digest, session: Session): Promise<PlanRow> {
    const row = await findPlan(session, rawSha256(digest))
    if (row === undefined) throw new NotFoundError(`no plan ${digest}`)
    return row
  }

  /** The items of a plan's document. */
  async #read(row: PlanRow): Promise<readonly PlanItem[]> {
    const digest = sha256Digest(row.digest)
    if (row.expired === 1) throw new StateConflictError(`plan ${digest} expired, and its items are not kept; make a new one`)
    const document = parseJson(await this.#reader.readSmall(digest))
    if (!isJsonObject(document) || document['format'] !== PLAN_FORMAT || !Array.isArray(document['items'])) {
      throw new DamagedError(`${digest} is no plan`, { detail: { digest } })
    }
    const items: unknown = document['items']
    // Sound: the digest proved that these are the bytes that create() wrote.
    return items as readonly PlanItem[]
  }
}

/** How users see a plan. */
function planInfo(row: PlanRow): DeletionPlan {
  return {
    digest: sha256Digest(row.digest),
    state: row.completed_at !== null ? 'completed' : row.approved_at !== null ? 'approved' : row.expired === 1 ? 'expired' : 'open',
    ...ofRepository(row),
    createdAt: formatTime(row.created_at),
    createdBy: row.created_by,
    expiresAt: formatTime(row.expires_at),
    items: row.items,
    size: row.size,
    ...(row.approved_at === null ? {} : { approvedAt: formatTime(row.approved_at) }),
    ...(row.approved_by === null ? {} : { approvedBy: row.approved_by }),
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.completed_at === null ? {} : { completedAt: formatTime(row.completed_at), approvedItems: row.approved_items }),
  }
}

function ofRepository({ repository }: PlanRow): { readonly repository?: RepositoryName } {
  return repository === null ? {} : { repository }
}

function describeItem({ row }: RetentionSubject, parts: readonly PartState[], sizes: { readonly files: number; readonly size: number }): PlanItem {
  return {
    packageId: row.uuid,
    repository: row.repository,
    manifestDigest: sha256Digest(row.manifest_digest),
    sets: parts.map(({ set }) => set),
    classes: [...new Set(parts.flatMap(({ retentionClass }) => retentionClass ?? []))],
    expiresAt: formatTime(Math.max(...parts.map(({ expiresAt }) => expiresAt ?? 0))),
    ...sizes,
  }
}

async function sizesOf(
  session: Session,
  { row }: RetentionSubject,
  parts: readonly PartState[],
): Promise<{ readonly files: number; readonly size: number }> {
  const sets = new Set(parts.map(({ set }) => set))
  const children = (await listChildren(session, row.id)).filter((child) => sets.has(child.set_key))
  return { files: children.reduce((sum, child) => sum + child.file_count, 0), size: children.reduce((sum, child) => sum + child.size, 0) }
}

function isBelow(name: string, repository: RepositoryName): boolean {
  return name === repository || name.startsWith(`${repository}/`)
}

function cursorOf(after: string): typeof NEWEST {
  const [createdAt, digest] = decodeCursor(after, ['number', 'string'])
  return { createdAt, digest: rawSha256(parseDigest(digest)) }
}
