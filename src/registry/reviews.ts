import { type SqlBool, sql } from 'kysely'
import { statement, type Session } from './statement.ts'
import { holderKind } from './tables.ts'

/** The queue of what lost a holder. Being in it means nothing; only a review decides (STORAGE section 5). */

const due = statement<{ grace: number; limit: number }>()((p, db, { now }) =>
  db
    .selectFrom('reviews')
    .select(['target_id', 'queued_at', 'released'])
    .where((eb) => eb('queued_at', '<=', eb(now, '-', p('grace'))))
    .orderBy('queued_at')
    .orderBy('target_id')
    .limit(p('limit')),
)
const holderOf = statement<{ target: number }>()((p, db) => db.selectFrom('holders').select('kind').where('target_id', '=', p('target')).limit(1))
const dequeue = statement<{ target: number }>()((p, db) => db.deleteFrom('reviews').where('target_id', '=', p('target')))
const remember = statement<{ target: number }>()((p, db, { now }) =>
  db.updateTable('chunks').set({ erase_by: now }).where('id', '=', p('target')).where('erase_by', 'is', null),
)
const unknownEdges = statement<object>()((_p, db) =>
  db
    .selectFrom('chunks')
    .select('chunks.digest')
    // As the partial index has it, which is empty in a healthy store.
    .where(sql<SqlBool>`chunks.state = 1`)
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom('holders').select('holders.kind').whereRef('holders.target_id', '=', 'chunks.id').where('holders.kind', '=', holderKind.package),
      ),
    )
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('manifests')
            .select('manifests.id')
            .whereRef('manifests.chunk_id', '=', 'chunks.id')
            .where(sql<SqlBool>`manifests.state = 1`),
        ),
      ),
    )
    .limit(1),
)
/** A target whose grace is over. `released`: a package or document that held it was given up for good. */
export interface DueReview {
  readonly target: number
  readonly released: boolean
}

/**
 * The targets that have waited longest, if they have waited for `grace` milliseconds on the database's clock (I8). Called inside the transaction that
 * reviews them. (PostgreSQL: locks these rows and those of the chunks, skipping what others have locked, so that {@link isHeld}, a statement of its
 * own, sees what is committed by then.)
 */
export async function takeDueReviews(session: Session, grace: number, limit: number): Promise<readonly DueReview[]> {
  return (await session.all(due, { grace, limit })).map((row) => ({ target: row.target_id, released: row.released === 1 }))
}

/** Whether anything keeps a target: asked in a second statement, after it was locked. */
export async function isHeld(session: Session, target: number): Promise<boolean> {
  return (await session.get(holderOf, { target })) !== undefined
}

/** The review is over. */
export async function endReview(session: Session, target: number): Promise<void> {
  await session.run(dequeue, { target })
}

/** A target is still held, but was released by somebody: whenever it goes, it goes within the time that was promised then. */
export async function rememberRelease(session: Session, target: number): Promise<void> {
  await session.run(remember, { target })
}

/**
 * A manifest that a package holds but whose edges nobody knows, since its bytes could not be read when the registry was recovered. While there is
 * one, nothing can be known to be held by nobody (I10). @returns its digest
 */
export async function findUnknownEdges(session: Session): Promise<Uint8Array | undefined> {
  return (await session.get(unknownEdges, {}))?.digest
}
