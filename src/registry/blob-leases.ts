import { findLiveChunk, type LiveChunk } from './chunks.ts'
import { hold } from './holders.ts'
import { statement, type Session } from './statement.ts'

/**
 * Blobs that somebody uploaded, asked for or mounted and has not referred to yet: held long enough to push the manifest. All touches of one hour share
 * a lease, so that a blob is held from 24 to 25 hours from its last touch, and touching it again within the hour costs nothing. The reaper removes the
 * lease when it has run out, then what it held.
 */

const HOUR_MS = 3_600_000
const PREFIX = 'blobs '
/** How long a touch keeps a blob at the least, milliseconds. */
export const BLOB_LEASE_MS: number = 24 * HOUR_MS

const readNow = statement<object>()((_p, db, { now }) => db.selectNoFrom(now.as('now')))
const insertLease = statement<{ name: string; acquired: number; expires: number }>()((p, db) =>
  db
    .insertInto('leases')
    .values({ owner: 'blobs', name: p('name'), acquired_at: p('acquired'), expires_at: p('expires') })
    .onConflict((conflict) => conflict.column('name').doNothing()),
)
const findLease = statement<{ name: string }>()((p, db) => db.selectFrom('leases').select('id').where('name', '=', p('name')))

/**
 * Holds a blob for 24 hours from now, on the database's clock (I8). Only for who may know of it: the answer says that it is there (I2).
 * @returns undefined when there is no such blob
 */
export async function leaseBlob(session: Session, digest: Uint8Array): Promise<LiveChunk | undefined> {
  const live = await findLiveChunk(session, digest)
  if (live === undefined) return undefined
  await hold(session, 'lease', await leaseOfTheHour(session), live.id)
  return live
}

/** Whether a lease is one of these, which last for longer than any other. */
export function isBlobLease(name: string | null): boolean {
  return name?.startsWith(PREFIX) === true
}

async function leaseOfTheHour(session: Session): Promise<number> {
  const now = (await session.get(readNow, {}))?.now ?? 0
  const hour = Math.floor(now / HOUR_MS)
  const name = `${PREFIX}${hour}`
  const known = await session.get(findLease, { name })
  if (known !== undefined) return known.id
  await session.run(insertLease, { name, acquired: now, expires: (hour + 1) * HOUR_MS + BLOB_LEASE_MS })
  const made = await session.get(findLease, { name })
  if (made === undefined) throw new TypeError('a lease was not inserted')
  return made.id
}
