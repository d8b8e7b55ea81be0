import { sql } from 'kysely'
import type { PackageId } from '../core/name.ts'
import type { FilePath } from '../core/path.ts'
import type { DraftRow } from './drafts.ts'
import { type Session, statement } from './statement.ts'
import { draftState, holderKind } from './tables.ts'

/*
 * Entries on their way into an open package that are to appear in it together or not at all. They are gathered under a draft of their own, which
 * nobody finds by id or run, and then moved.
 */

/** How long staged entries are kept that nobody says are still wanted, milliseconds. */
const ABANDONED_MS = 86_400_000

const insertStaging = statement<{ uuid: PackageId; repository: number; request: string }>()((p, db, { now }) =>
  db
    .insertInto('drafts')
    .values({
      uuid: p('uuid'),
      repository_id: p('repository'),
      state: draftState.staging,
      run_id: null,
      sealer: null,
      request: p('request'),
      created_at: now,
      touched_at: now,
    })
    .returning('id'),
)
const touch = statement<{ id: number }>()((p, db, { now }) =>
  db.updateTable('drafts').set({ touched_at: now }).where('id', '=', p('id')).where('state', '=', draftState.staging),
)
const listOld = statement<{ limit: number }>()((p, db, { now }) =>
  db
    .selectFrom('drafts')
    .select(['id', 'uuid'])
    // Spelled out, not a parameter, so that the partial index applies.
    .where(sql`state`, '=', sql.lit(draftState.staging))
    .where((eb) => eb('touched_at', '<', eb(now, '-', sql.lit(ABANDONED_MS))))
    .orderBy('touched_at')
    .limit(p('limit')),
)
const endOld = statement<{ id: number }>()((p, db, { now }) =>
  db
    .updateTable('drafts')
    .set({ state: draftState.ended, touched_at: now })
    .where('id', '=', p('id'))
    .where('state', '=', draftState.staging)
    .where((eb) => eb('touched_at', '<', eb(now, '-', sql.lit(ABANDONED_MS)))),
)
const lastOfPage = statement<{ draft: number; limit: number }>()((p, db) =>
  db
    .selectFrom(db.selectFrom('draft_entries').select('path').where('draft_id', '=', p('draft')).orderBy('path').limit(p('limit')).as('page'))
    .select((eb) => [eb.fn.max('path').as('last'), eb.fn.countAll<number>().as('count')]),
)

interface Move {
  readonly from: number
  readonly to: number
  readonly last: FilePath
}
const holdMoved = statement<Move>()((p, db) =>
  db
    .insertInto('holders')
    .columns(['kind', 'holder_id', 'target_id'])
    .expression(
      db
        .selectFrom('draft_entries')
        .select([sql.lit(holderKind.draft).as('kind'), sql<number>`${p('to')}`.as('holder_id'), 'chunk_id'])
        .where('draft_id', '=', p('from'))
        .where('path', '<=', p('last'))
        .where('chunk_id', 'is not', null),
    )
    .onConflict((conflict) => conflict.doNothing()),
)
const contents = ['kind', 'chunk_id', 'size', 'media_type', 'executable', 'target'] as const
const putMoved = statement<Move>()((p, db) =>
  db
    .insertInto('draft_entries')
    .columns(['draft_id', 'path', 'set_key', ...contents])
    .expression(
      db
        .selectFrom('draft_entries')
        .select([sql<number>`${p('to')}`.as('draft_id'), 'path', 'set_key', ...contents])
        .where('draft_id', '=', p('from'))
        .where('path', '<=', p('last')),
    )
    .onConflict((conflict) =>
      conflict
        .columns(['draft_id', 'path'])
        .doUpdateSet((eb) => Object.fromEntries(contents.map((column) => [column, eb.ref(`excluded.${column}`)]))),
    ),
)
const releaseMoved = statement<Omit<Move, 'to'>>()((p, db) =>
  db
    .deleteFrom('holders')
    .where('kind', '=', holderKind.draft)
    .where('holder_id', '=', p('from'))
    .where(
      'target_id',
      'in',
      db
        .selectFrom('draft_entries')
        .select(sql<number>`chunk_id`.as('chunk_id'))
        .where('draft_id', '=', p('from'))
        .where('path', '<=', p('last'))
        .where('chunk_id', 'is not', null),
    ),
)
const deleteMoved = statement<Omit<Move, 'to'>>()((p, db) =>
  db.deleteFrom('draft_entries').where('draft_id', '=', p('from')).where('path', '<=', p('last')),
)

/** Begins gathering for an open package, which the caller has seen open in this transaction. */
export async function createStaging(session: Session, target: DraftRow, uuid: PackageId): Promise<DraftRow> {
  const row = await session.returning(insertStaging, { uuid, repository: target.repository_id, request: target.request })
  if (row === undefined) throw new TypeError('a staging draft was not inserted')
  return { ...target, id: row.id, uuid, state: draftState.staging, run_id: null }
}

/** Says that what is being gathered is still wanted. @returns false when it was given up meanwhile */
export async function touchStaging(session: Session, id: number): Promise<boolean> {
  return (await session.run(touch, { id })) > 0
}

/**
 * Moves up to `limit` entries and what they hold, in order of paths; entries of the same paths are replaced. The caller has seen both drafts to be
 * there in this transaction, hence a holder that goes here has another in its place already: a move is no removal, and nothing is reviewed.
 * @returns how many; less than `limit`: none are left
 */
export async function moveEntries(session: Session, from: number, to: number, limit: number): Promise<number> {
  const { last = null, count = 0 } = (await session.get(lastOfPage, { draft: from, limit })) ?? {}
  if (last === null) return 0
  await session.run(holdMoved, { from, to, last })
  await session.run(putMoved, { from, to, last })
  await session.run(releaseMoved, { from, last })
  await session.run(deleteMoved, { from, last })
  return count
}

/** Staging drafts that nobody touched for a day: whoever filled them is gone. */
export async function listAbandonedStaging(session: Session, limit: number): Promise<readonly { readonly id: number; readonly uuid: PackageId }[]> {
  return session.all(listOld, { limit })
}

/** Ends an abandoned staging draft. @returns false when it was touched meanwhile, or is gone */
export async function endAbandonedStaging(session: Session, id: number): Promise<boolean> {
  return (await session.run(endOld, { id })) > 0
}
