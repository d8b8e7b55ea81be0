import { type SqlBool, sql } from 'kysely'
import { catches, type HeldFacts, type Hold, type HoldKind, type HoldSelector, type HoldTarget } from '../core/hold.ts'
import type { PackageId, RepositoryName } from '../core/name.ts'
import { type Session, statement } from './statement.ts'

/** Holds: a view of the log. One stands until its release has taken effect everywhere (then it is settled). */

interface HoldValues {
  uuid: string
  kind: string
  matter: string
  authority: string
  reason: string
  package: PackageId | null
  repository: RepositoryName | null
  producer: string | null
  subject: string | null
  run: string | null
  at: number
  by: string
}

const insertHold = statement<HoldValues>()((p, db) =>
  db.insertInto('holds').values({
    uuid: p('uuid'),
    kind: p('kind'),
    matter: p('matter'),
    authority: p('authority'),
    reason: p('reason'),
    package_uuid: p('package'),
    repository: p('repository'),
    producer: p('producer'),
    subject: p('subject'),
    run_id: p('run'),
    placed_at: p('at'),
    placed_by: p('by'),
    released_at: null,
    released_by: null,
    release_reason: null,
    settled: 0,
  }),
)
const releaseRow = statement<{ uuid: string; at: number; by: string; reason: string; settled: number }>()((p, db) =>
  db
    .updateTable('holds')
    .set({ released_at: p('at'), released_by: p('by'), release_reason: p('reason'), settled: p('settled'), unblocking: 1 })
    .where('uuid', '=', p('uuid')),
)
const settle = statement<{ uuid: string }>()((p, db) => db.updateTable('holds').set({ settled: 1 }).where('uuid', '=', p('uuid')))
const noteSettled = statement<{ id: number; to: number }>()((p, db) =>
  db
    .updateTable('holds')
    .set({ settled_to: p('to') })
    .where('id', '=', p('id')),
)
const endUnblocking = statement<{ id: number }>()((p, db) => db.updateTable('holds').set({ unblocking: 0 }).where('id', '=', p('id')))
const byUuid = statement<{ uuid: string }>()((p, db) => db.selectFrom('holds').selectAll().where('uuid', '=', p('uuid')))
const standingOn = statement<{ package: PackageId }>()((p, db) =>
  db
    .selectFrom('holds')
    .selectAll()
    .where(sql<SqlBool>`settled = 0 and package_uuid is not null`)
    .where('package_uuid', '=', p('package')),
)
const standingSelectors = statement<object>()((_p, db) =>
  db
    .selectFrom('holds')
    .selectAll()
    .where(sql<SqlBool>`settled = 0 and package_uuid is null`)
    .orderBy('id'),
)
const released = statement<object>()((_p, db) =>
  db
    .selectFrom('holds')
    .selectAll()
    .where(sql<SqlBool>`released_at is not null and (settled = 0 or unblocking = 1)`)
    .orderBy('id'),
)
const page = statement<{ after: number; limit: number }>()((p, db) =>
  db.selectFrom('holds').selectAll().where('id', '>', p('after')).orderBy('id').limit(p('limit')),
)

/** A hold as it is. `id` is its row; `hold.id` its name. Times are UTC milliseconds. */
export interface StoredHold {
  readonly id: number
  readonly hold: Hold
  readonly released: { readonly at: number; readonly by: string; readonly reason: string } | undefined
  readonly settled: boolean
  /** Hints: up to which package its release was carried out, and whether what it was in the way of has to be looked at again. */
  readonly settledTo: number
  readonly unblocking: boolean
}

/** Places a hold. */
export async function insertStandingHold(session: Session, hold: Hold): Promise<void> {
  const selector: HoldSelector = 'selector' in hold.target ? hold.target.selector : {}
  await session.run(insertHold, {
    uuid: hold.id,
    kind: hold.kind,
    matter: hold.matter,
    authority: hold.authority,
    reason: hold.reason,
    package: 'packageId' in hold.target ? hold.target.packageId : null,
    repository: selector.repository ?? null,
    producer: selector.producer ?? null,
    subject: selector.subject ?? null,
    run: selector.runId ?? null,
    at: hold.placedAt,
    by: hold.placedBy,
  })
}

/** Releases a hold. One that is not settled stands until {@link settleHold}. */
export async function releaseStandingHold(
  session: Session,
  release: { readonly uuid: string; readonly at: number; readonly by: string; readonly reason: string; readonly settled: boolean },
): Promise<void> {
  await session.run(releaseRow, { ...release, settled: release.settled ? 1 : 0 })
}

/** The release of a hold has taken effect everywhere. */
export async function settleHold(session: Session, uuid: string): Promise<void> {
  await session.run(settle, { uuid })
}

/** Notes up to which package the release of a hold was carried out. */
export async function noteSettledTo(session: Session, id: number, packageId: number): Promise<void> {
  await session.run(noteSettled, { id, to: packageId })
}

/** What a released hold was in the way of has been looked at again. */
export async function noteUnblocked(session: Session, id: number): Promise<void> {
  await session.run(endUnblocking, { id })
}

/** By name. */
export async function findHold(session: Session, uuid: string): Promise<StoredHold | undefined> {
  const row = await session.get(byUuid, { uuid })
  return row === undefined ? undefined : storedHold(row)
}

/** The standing holds that catch a package. `selectors`: those from {@link listStandingSelectors}, when many packages are asked about. */
export async function holdsOn(session: Session, facts: HeldFacts, selectors?: readonly StoredHold[]): Promise<readonly StoredHold[]> {
  const own = (await session.all(standingOn, { package: facts.packageId })).map(storedHold)
  const others = selectors ?? (await listStandingSelectors(session))
  return [...own, ...others.filter(({ hold }) => catches(hold.target, facts))]
}

/** All standing holds that select their packages. */
export async function listStandingSelectors(session: Session): Promise<readonly StoredHold[]> {
  return (await session.all(standingSelectors, {})).map(storedHold)
}

/** Released holds whose release has not taken effect everywhere. */
export async function listReleasedHolds(session: Session): Promise<readonly StoredHold[]> {
  return (await session.all(released, {})).map(storedHold)
}

/** Holds in the order in which they were placed. */
export async function listHolds(session: Session, after: number, limit: number): Promise<readonly StoredHold[]> {
  return (await session.all(page, { after, limit })).map(storedHold)
}

function storedHold(row: {
  readonly id: number
  readonly uuid: string
  readonly kind: string
  readonly matter: string
  readonly authority: string
  readonly reason: string
  readonly package_uuid: PackageId | null
  readonly repository: RepositoryName | null
  readonly producer: string | null
  readonly subject: string | null
  readonly run_id: string | null
  readonly placed_at: number
  readonly placed_by: string
  readonly released_at: number | null
  readonly released_by: string | null
  readonly release_reason: string | null
  readonly settled: number
  readonly settled_to: number
  readonly unblocking: number
}): StoredHold {
  const selector: HoldSelector = {
    ...(row.repository === null ? {} : { repository: row.repository }),
    ...(row.producer === null ? {} : { producer: row.producer }),
    ...(row.subject === null ? {} : { subject: row.subject }),
    ...(row.run_id === null ? {} : { runId: row.run_id }),
  }
  const target: HoldTarget = row.package_uuid === null ? { selector } : { packageId: row.package_uuid }
  const { matter, authority, reason } = row
  return {
    id: row.id,
    // Sound: only kinds are written.
    hold: { id: row.uuid, kind: row.kind as HoldKind, matter, authority, reason, target, placedAt: row.placed_at, placedBy: row.placed_by },
    released: row.released_at === null ? undefined : { at: row.released_at, by: row.released_by ?? '', reason: row.release_reason ?? '' },
    settled: row.settled === 1,
    settledTo: row.settled_to,
    unblocking: row.unblocking === 1,
  }
}
