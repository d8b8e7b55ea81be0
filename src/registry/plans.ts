import { type SqlBool, sql } from 'kysely'
import type { RepositoryName } from '../core/name.ts'
import { type Session, statement } from './statement.ts'

/** A deletion plan, whose items are a document. Times are UTC milliseconds. `expired`, 1: it was never approved, and its document was let go. */
export interface PlanRow {
  readonly digest: Uint8Array
  readonly repository: RepositoryName | null
  readonly items: number
  readonly packages: number
  readonly size: number
  readonly created_at: number
  readonly created_by: string
  readonly expires_at: number
  readonly approved_at: number | null
  readonly approved_by: string | null
  readonly reason: string | null
  readonly completed_at: number | null
  readonly approved_items: number
  readonly expired: number
}

/** What making a plan inserts. */
export type NewPlan = Pick<PlanRow, 'digest' | 'repository' | 'items' | 'packages' | 'size' | 'created_at' | 'created_by' | 'expires_at'>

const insert = statement<NewPlan>()((p, db) =>
  db.insertInto('plans').values({
    digest: p('digest'),
    repository: p('repository'),
    items: p('items'),
    packages: p('packages'),
    size: p('size'),
    created_at: p('created_at'),
    created_by: p('created_by'),
    expires_at: p('expires_at'),
    approved_at: null,
    approved_by: null,
    reason: null,
    completed_at: null,
  }),
)
const find = statement<{ digest: Uint8Array }>()((p, db) => db.selectFrom('plans').selectAll().where('digest', '=', p('digest')))
const approve = statement<{ digest: Uint8Array; at: number; by: string; reason: string | null }>()((p, db) =>
  db
    .updateTable('plans')
    .set({ approved_at: p('at'), approved_by: p('by'), reason: p('reason') })
    .where('digest', '=', p('digest')),
)
const complete = statement<{ digest: Uint8Array; at: number; approved: number }>()((p, db) =>
  db
    .updateTable('plans')
    .set({ completed_at: p('at'), approved_items: p('approved') })
    .where('digest', '=', p('digest')),
)
const expire = statement<{ digest: Uint8Array }>()((p, db) => db.updateTable('plans').set({ expired: 1 }).where('digest', '=', p('digest')))
const newest = statement<{ before: number; digest: Uint8Array; limit: number }>()((p, db) =>
  db
    .selectFrom('plans')
    .selectAll()
    .where((eb) => eb(eb.refTuple('created_at', 'digest'), '<', eb.tuple(p('before'), p('digest'))))
    .orderBy('created_at', 'desc')
    .orderBy('digest', 'desc')
    .limit(p('limit')),
)
const overdue = statement<{ now: number; limit: number }>()((p, db) =>
  db
    .selectFrom('plans')
    .selectAll()
    .where(sql<SqlBool>`approved_at is null and expired = 0`)
    .where('expires_at', '<=', p('now'))
    .orderBy('expires_at')
    .limit(p('limit')),
)
const underway = statement<{ limit: number }>()((p, db) =>
  db
    .selectFrom('plans')
    .selectAll()
    .where(sql<SqlBool>`approved_at is not null and completed_at is null`)
    .orderBy('approved_at')
    .limit(p('limit')),
)

/** Writes down a plan. */
export async function insertPlan(session: Session, plan: NewPlan): Promise<void> {
  await session.run(insert, plan)
}

/** By the digest of its document. */
export async function findPlan(session: Session, digest: Uint8Array): Promise<PlanRow | undefined> {
  return session.get(find, { digest })
}

/** Somebody approved it. */
export async function approvePlan(
  session: Session,
  approval: { readonly digest: Uint8Array; readonly at: number; readonly by: string; readonly reason: string | undefined },
): Promise<void> {
  await session.run(approve, { ...approval, reason: approval.reason ?? null })
}

/** Its approval was carried out for as many of its items as could still go. */
export async function completePlan(session: Session, digest: Uint8Array, at: number, approved: number): Promise<void> {
  await session.run(complete, { digest, at, approved })
}

/** Nobody approved it in time. */
export async function expirePlan(session: Session, digest: Uint8Array): Promise<void> {
  await session.run(expire, { digest })
}

/** Plans, the newest first, before one of them. */
export async function listPlans(
  session: Session,
  before: { readonly createdAt: number; readonly digest: Uint8Array },
  limit: number,
): Promise<readonly PlanRow[]> {
  return session.all(newest, { before: before.createdAt, digest: before.digest, limit })
}

/** Plans that nobody approved in time. */
export async function listOverduePlans(session: Session, now: number, limit: number): Promise<readonly PlanRow[]> {
  return session.all(overdue, { now, limit })
}

/** Approved plans that were not carried out to the end. */
export async function listPlansUnderway(session: Session, limit: number): Promise<readonly PlanRow[]> {
  return session.all(underway, { limit })
}
