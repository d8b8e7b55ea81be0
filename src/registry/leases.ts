import { statement, type Session } from './statement.ts'

const insertLease = statement<{ owner: string; name: string | null; ttl: number }>()((p, db, { now }) =>
  db
    .insertInto('leases')
    .values((eb) => ({ owner: p('owner'), name: p('name'), acquired_at: now, expires_at: eb(now, '+', p('ttl')) }))
    .onConflict((conflict) => conflict.column('name').doNothing())
    .returning('id'),
)
const renewLease = statement<{ id: number; owner: string; ttl: number }>()((p, db, { now }) =>
  db
    .updateTable('leases')
    .set((eb) => ({ expires_at: eb(now, '+', p('ttl')) }))
    .where('id', '=', p('id'))
    .where('owner', '=', p('owner')),
)
const takeOver = statement<{ owner: string; name: string; ttl: number }>()((p, db, { now }) =>
  db
    .updateTable('leases')
    .set((eb) => ({ owner: p('owner'), acquired_at: now, expires_at: eb(now, '+', p('ttl')) }))
    .where('name', '=', p('name'))
    // One that lasts far longer than any was taken by a process whose clock was ahead.
    .where((eb) => eb.or([eb('expires_at', '<', now), eb('expires_at', '>', eb(eb(now, '+', p('ttl')), '+', p('ttl')))]))
    .returning('id'),
)
const readLease = statement<{ id: number }>()((p, db) => db.selectFrom('leases').select('id').where('id', '=', p('id')))
const deleteOwnLease = statement<{ id: number; owner: string }>()((p, db) =>
  db.deleteFrom('leases').where('id', '=', p('id')).where('owner', '=', p('owner')),
)
const deleteExpired = statement<{ id: number }>()((p, db, { now }) => db.deleteFrom('leases').where('id', '=', p('id')).where('expires_at', '<', now))
const readExpired = statement<{ limit: number }>()((p, db, { now }) =>
  db.selectFrom('leases').selectAll().where('name', 'is', null).where('expires_at', '<', now).orderBy('id').limit(p('limit')),
)

const readExpiredNamed = statement<{ limit: number }>()((p, db, { now }) =>
  db.selectFrom('leases').select('id').where('name', 'is not', null).where('expires_at', '<', now).orderBy('id').limit(p('limit')),
)

/** Takes a lease for `owner` (a UUID of this process's session). `ttl` in milliseconds, on the database's clock (I8). */
export async function acquireLease(session: Session, owner: string, ttl: number): Promise<number> {
  const row = await session.returning(insertLease, { owner, name: null, ttl })
  if (row === undefined) throw new TypeError('an unnamed lease cannot conflict')
  return row.id
}

/** Takes a job that only one process may do at a time. @returns undefined while another does it */
export async function acquireNamedLease(session: Session, owner: string, name: string, ttl: number): Promise<number | undefined> {
  const taken = (await session.returning(insertLease, { owner, name, ttl })) ?? (await session.returning(takeOver, { owner, name, ttl }))
  return taken?.id
}

/** @returns false when the lease is gone: this owner was taken for dead */
export async function extendLease(session: Session, id: number, owner: string, ttl: number): Promise<boolean> {
  return (await session.run(renewLease, { id, owner, ttl })) > 0
}

/** The fence: existence decides, never an expiry time read by the writer. */
export async function leaseExists(session: Session, id: number): Promise<boolean> {
  return (await session.get(readLease, { id })) !== undefined
}

/** Gives a lease back. */
export async function releaseLease(session: Session, id: number, owner: string): Promise<void> {
  await session.run(deleteOwnLease, { id, owner })
}

/** Writers' leases that ran out, for the reaper. */
export async function listExpiredLeases(session: Session, limit: number): Promise<readonly { readonly id: number; readonly owner: string }[]> {
  return session.all(readExpired, { limit })
}

/** Jobs and other named leases that ran out, for the reaper. */
export async function listExpiredNamedLeases(session: Session, limit: number): Promise<readonly number[]> {
  return (await session.all(readExpiredNamed, { limit })).map(({ id }) => id)
}

/** Removes a lease that has run out, on the database's clock (I8). @returns false when it was renewed or is gone */
export async function deleteExpiredLease(session: Session, id: number): Promise<boolean> {
  return (await session.run(deleteExpired, { id })) > 0
}
