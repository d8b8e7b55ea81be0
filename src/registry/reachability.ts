import { type SqlBool, sql } from 'kysely'
import { statement, type Session } from './statement.ts'
import { holderKind } from './tables.ts'

/** What hangs on what, for whoever wants to know what a collection would do. Reads only. */

const due = statement<{ grace: number; queued: number; target: number; limit: number }>()((p, db, { now }) =>
  db
    .selectFrom('reviews')
    .select(['target_id', 'queued_at'])
    .where((eb) => eb('queued_at', '<=', eb(now, '-', p('grace'))))
    .where(sql<SqlBool>`(queued_at, target_id) > (${p('queued')}, ${p('target')})`)
    .orderBy('queued_at')
    .orderBy('target_id')
    .limit(p('limit')),
)
const holders = statement<{ target: number; kind: number; holder: number; limit: number }>()((p, db) =>
  db
    .selectFrom('holders')
    .select(['kind', 'holder_id'])
    .where('target_id', '=', p('target'))
    .where(sql<SqlBool>`(kind, holder_id) > (${p('kind')}, ${p('holder')})`)
    .orderBy('kind')
    .orderBy('holder_id')
    .limit(p('limit')),
)
const targets = statement<{ kind: number; holder: number; after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('holders')
    .select('target_id')
    .where('kind', '=', p('kind'))
    .where('holder_id', '=', p('holder'))
    .where('target_id', '>', p('after'))
    .orderBy('target_id')
    .limit(p('limit')),
)
const chunk = statement<{ id: number }>()((p, db) =>
  db
    .selectFrom('chunks')
    .select(['size', 'stored_length', 'object_id'])
    .where('id', '=', p('id'))
    .where(sql<SqlBool>`state < 2`),
)
const manifestOf = statement<{ chunk: number }>()((p, db) =>
  db
    .selectFrom('manifests')
    .select('id')
    .where('chunk_id', '=', p('chunk'))
    .where(sql<SqlBool>`state = 1`),
)

/** Whose grace is over, and since when it waits. */
export interface QueuedTarget {
  readonly target: number
  readonly queuedAt: number
}

/** Reviews that are due, in their order, those after one. */
export async function listDueReviews(session: Session, grace: number, after: QueuedTarget, limit: number): Promise<readonly QueuedTarget[]> {
  const rows = await session.all(due, { grace, queued: after.queuedAt, target: after.target, limit })
  return rows.map((row) => ({ target: row.target_id, queuedAt: row.queued_at }))
}

/** Somebody who holds something. */
export interface HolderName {
  readonly kind: number
  readonly holder: number
}

/** Who holds a target, those after one. */
export async function listHolders(session: Session, target: number, after: HolderName, limit: number): Promise<readonly HolderName[]> {
  const rows = await session.all(holders, { target, ...after, limit })
  return rows.map(({ kind, holder_id: holder }) => ({ kind, holder }))
}

/** What a holder holds, the targets after one. */
export async function listTargets(session: Session, { kind, holder }: HolderName, after: number, limit: number): Promise<readonly number[]> {
  return (await session.all(targets, { kind, holder, after, limit })).map((row) => row.target_id)
}

/** A chunk that is not condemned: its size and what it takes, bytes; and what it is as a holder: a manifest, a blob that is composed of others. */
export interface ReachableChunk {
  readonly size: number
  readonly stored: number
  readonly asHolder: HolderName | undefined
}

/** @returns undefined when it is condemned or gone */
export async function findReachable(session: Session, id: number): Promise<ReachableChunk | undefined> {
  const row = await session.get(chunk, { id })
  if (row === undefined) return undefined
  const { size, stored_length: stored } = row
  if (row.object_id === null) return { size, stored: 0, asHolder: { kind: holderKind.blob, holder: id } }
  const manifest = await session.get(manifestOf, { chunk: id })
  return { size, stored, asHolder: manifest === undefined ? undefined : { kind: holderKind.manifest, holder: manifest.id } }
}
