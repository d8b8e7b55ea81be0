import { statement, type Session } from './statement.ts'

/** Objects in the backend that no row names, and when an audit first came across each. */

const known = statement<{ key: string }>()((p, db) => db.selectFrom('objects').select('id').where('key', '=', p('key')))
const sight = statement<{ key: string }>()((p, db, { now }) =>
  db
    .insertInto('strays')
    .values({ object_key: p('key'), first_seen_at: now })
    .onConflict((conflict) => conflict.doNothing()),
)
const old = statement<{ key: string; grace: number }>()((p, db, { now }) =>
  db
    .selectFrom('strays')
    .select('object_key')
    .where('object_key', '=', p('key'))
    .where((eb) => eb('first_seen_at', '<=', eb(now, '-', p('grace')))),
)
const page = statement<{ after: string; limit: number }>()((p, db) =>
  db.selectFrom('strays').select('object_key').where('object_key', '>', p('after')).orderBy('object_key').limit(p('limit')),
)
const forget = statement<{ key: string }>()((p, db) => db.deleteFrom('strays').where('object_key', '=', p('key')))

/** Whether a row names an object, whatever state it is in. */
export async function isNamedObject(session: Session, key: string): Promise<boolean> {
  return (await session.get(known, { key })) !== undefined
}

/**
 * Notes that an object was listed that no row names. @returns whether it was first seen at least `grace` milliseconds ago, so that it may be removed
 */
export async function sightStray(session: Session, key: string, grace: number): Promise<boolean> {
  if ((await session.get(old, { key, grace })) !== undefined) return true
  await session.run(sight, { key })
  return false
}

/** Strays that were seen, in order of keys. */
export async function listStrays(session: Session, after: string, limit: number): Promise<readonly string[]> {
  return (await session.all(page, { after, limit })).map((row) => row.object_key)
}

/** A stray is gone, or was none. */
export async function forgetStray(session: Session, key: string): Promise<void> {
  await session.run(forget, { key })
}
