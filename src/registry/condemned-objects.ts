import { type SqlBool, sql } from 'kysely'
import { type ObjectKey, parseObjectKey } from '../ports/backend.ts'
import { recordDestruction } from './destructions.ts'
import { statement, type Session } from './statement.ts'
import { chunkState, objectState } from './tables.ts'

/** Objects that are to be deleted: bytes first, and rows once the backend has confirmed that the bytes are gone (I7). */

/** Spelled out as the partial index has it. */
const isCondemned = sql<SqlBool>`state = 3`

const condemnObjectRow = statement<{ id: number }>()((p, db, { now }) =>
  db
    .updateTable('objects')
    .set({ state: objectState.condemned, lease_id: null, changed_at: now })
    .where('id', '=', p('id'))
    .where('state', '<', objectState.condemned),
)
const unfinished = statement<{ limit: number }>()((p, db) =>
  db
    .selectFrom('objects')
    .select('id')
    // Spelled out as the partial index has it, so that the index applies.
    .where(sql<SqlBool>`state <> 2`)
    .where('state', '=', objectState.intended)
    .where('lease_id', 'is', null)
    .orderBy('id')
    .limit(p('limit')),
)
const drained = statement<{ drain: number; changed: number; after: number; limit: number }>()((p, db, { now }) =>
  db
    .selectFrom('objects')
    .select(['id', 'key', 'size', 'changed_at'])
    .where(isCondemned)
    .where((eb) => eb('changed_at', '<=', eb(now, '-', p('drain'))))
    .where(sql<SqlBool>`(changed_at, id) > (${p('changed')}, ${p('after')})`)
    .orderBy('changed_at')
    .orderBy('id')
    .limit(p('limit')),
)
const waiting = statement<object>()((_p, db) =>
  db
    .selectFrom('objects')
    .select((eb) => [eb.fn.countAll<number>().as('objects'), sql<number>`coalesce(sum(size), 0)`.as('size')])
    .where(isCondemned),
)
const remainsIn = statement<{ object: number }>()((p, db) =>
  db.selectFrom('chunks').select('id').where('object_id', '=', p('object')).where('state', '<>', chunkState.condemned).limit(1),
)
const chunksIn = statement<{ object: number; limit: number }>()((p, db) =>
  db.selectFrom('chunks').select(['id', 'digest', 'state', 'erase_by']).where('object_id', '=', p('object')).orderBy('offset').limit(p('limit')),
)
const deleteChunk = statement<{ id: number }>()((p, db) =>
  db
    .deleteFrom('chunks')
    .where('id', '=', p('id'))
    .where(sql<SqlBool>`state = 2`),
)
const deleteChecksums = statement<{ id: number }>()((p, db) => db.deleteFrom('checksums').where('chunk_id', '=', p('id')))
const deleteObject = statement<{ id: number }>()((p, db) =>
  db.deleteFrom('objects').where('id', '=', p('id')).where('state', '=', objectState.condemned),
)

/** An object is to be deleted; nothing in it is needed. */
export async function condemnObject(session: Session, id: number): Promise<boolean> {
  return (await session.run(condemnObjectRow, { id })) > 0
}

/** Condemns up to `limit` objects that were begun by writers that are gone, and never named. @returns how many */
export async function condemnUnfinished(session: Session, limit: number): Promise<number> {
  const rows = await session.all(unfinished, { limit })
  for (const { id } of rows) await condemnObject(session, id)
  return rows.length
}

/** An object that may be deleted, and when it was condemned (UTC ms). `size` in bytes; 0: not known. */
export interface DrainedObject {
  readonly id: number
  readonly key: ObjectKey
  readonly size: number
  readonly condemnedAt: number
}

/** Objects that were condemned at least `drain` milliseconds ago, oldest first: whoever found one before has read it by now. */
export async function listDrainedObjects(
  session: Session,
  drain: number,
  after: Pick<DrainedObject, 'id' | 'condemnedAt'>,
  limit: number,
): Promise<readonly DrainedObject[]> {
  const rows = await session.all(drained, { drain, changed: after.condemnedAt, after: after.id, limit })
  return rows.map(({ id, key, size, changed_at: condemnedAt }) => ({ id, key: parseObjectKey(key), size, condemnedAt }))
}

/** Objects that are condemned and not deleted yet. `size` in bytes, as far as it is known. */
export async function sumWaitingObjects(session: Session): Promise<{ readonly objects: number; readonly size: number }> {
  return (await session.get(waiting, {})) ?? { objects: 0, size: 0 }
}

/** Whether something in an object is not condemned. */
export async function hasRemains(session: Session, object: number): Promise<boolean> {
  return (await session.get(remainsIn, { object })) !== undefined
}

/**
 * Removes up to `limit` rows of an object whose bytes the backend has confirmed to be gone, the object's own last.
 * @returns whether all are gone
 */
export async function removeObjectRows(session: Session, { id, key }: Pick<DrainedObject, 'id' | 'key'>, limit: number): Promise<boolean> {
  const chunks = await session.all(chunksIn, { object: id, limit })
  for (const chunk of chunks) {
    if (chunk.state !== chunkState.condemned) throw new TypeError(`chunk ${chunk.id} is in use, but its object ${key} was deleted`)
    if (chunk.erase_by !== null) await recordDestruction(session, chunk.digest, key)
    await session.run(deleteChecksums, { id: chunk.id })
    await session.run(deleteChunk, { id: chunk.id })
  }
  if (chunks.length === limit) return false
  await session.run(deleteObject, { id })
  return true
}
