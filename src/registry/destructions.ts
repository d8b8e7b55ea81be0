import { type SqlBool, sql } from 'kysely'
import { statement, type Session } from './statement.ts'

/**
 * What became of bytes that were let go of. Condemned chunk rows say where bytes still lie (copies that were never named, too); they go when the
 * backend has confirmed that the object is gone, and then the digest gets its row here. Physical facts, not part of the log: whoever needs them for
 * ever (a certificate) writes them down.
 */

const record = statement<{ digest: Uint8Array; key: string }>()((p, db, { now }) =>
  db
    .insertInto('destructions')
    .values({ digest: p('digest'), destroyed_at: now, object_key: p('key') })
    .onConflict((conflict) => conflict.column('digest').doUpdateSet({ destroyed_at: now, object_key: p('key') })),
)
const find = statement<{ digest: Uint8Array }>()((p, db) =>
  db.selectFrom('destructions').select(['destroyed_at', 'object_key']).where('digest', '=', p('digest')),
)
const forget = statement<{ digest: Uint8Array }>()((p, db) => db.deleteFrom('destructions').where('digest', '=', p('digest')))
const living = statement<{ digest: Uint8Array }>()((p, db) =>
  db
    .selectFrom('chunks')
    .select((eb) => [
      'id',
      eb
        .exists(eb.selectFrom('holders').select('holders.target_id').whereRef('holders.target_id', '=', 'chunks.id'))
        .$castTo<number>()
        .as('held'),
    ])
    .where('digest', '=', p('digest'))
    .where(sql<SqlBool>`state < 2`),
)
const remains = statement<{ digest: Uint8Array }>()((p, db) =>
  db
    .selectFrom('chunks')
    .select('id')
    .where('digest', '=', p('digest'))
    .where(sql<SqlBool>`state = 2`)
    .limit(1),
)
const unsettledBefore = statement<{ time: number }>()((p, db) =>
  db
    .selectFrom('objects')
    .select('id')
    .where(sql<SqlBool>`kind = 1 and settled_at is null and state < 3`)
    .where('created_at', '<=', p('time'))
    .limit(1),
)

/**
 * What became of the bytes of a digest.
 * - `referenced`: something holds them (another package, an open one, or they were stored again).
 * - `pending`: nothing holds them, but they, or copies of them, still lie in some object; collection removes them.
 * - `destroyed`: the backend confirmed at `destroyedAt` (UTC ms) that the last object with a copy is gone, the one named `key`.
 * - `unknown`: no such bytes are known, and none were destroyed (as far as this registry knows).
 */
export type Destruction =
  | { readonly state: 'referenced' | 'pending' | 'unknown' }
  | { readonly state: 'destroyed'; readonly destroyedAt: number; readonly key: string }

/**
 * The one question a certificate asks about a digest. Says `destroyed` only when no object is left that could hold an unnamed copy: packs that were
 * written meanwhile and have not been looked through count as such.
 */
export async function destructionOf(session: Session, digest: Uint8Array): Promise<Destruction> {
  const live = await session.get(living, { digest })
  if (live !== undefined) return { state: live.held === 1 ? 'referenced' : 'pending' }
  if ((await session.get(remains, { digest })) !== undefined) return { state: 'pending' }
  const found = await session.get(find, { digest })
  if (found === undefined) return { state: 'unknown' }
  const { destroyed_at: destroyedAt, object_key: key } = found
  if ((await session.get(unsettledBefore, { time: destroyedAt })) !== undefined) return { state: 'pending' }
  return { state: 'destroyed', destroyedAt, key }
}

/** The backend confirmed that an object with these bytes is gone. */
export async function recordDestruction(session: Session, digest: Uint8Array, key: string): Promise<void> {
  await session.run(record, { digest, key })
}

/** Whether bytes of this digest were destroyed before. */
export async function destroyedBefore(session: Session, digest: Uint8Array): Promise<boolean> {
  return (await session.get(find, { digest })) !== undefined
}

/** A certificate has it now. */
export async function forgetDestruction(session: Session, digest: Uint8Array): Promise<void> {
  await session.run(forget, { digest })
}
