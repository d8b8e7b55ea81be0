import { type SqlBool, sql } from 'kysely'
import { statement, type Session } from './statement.ts'
import { chunkState, draftState, objectState, uploadState } from './tables.ts'

/** Read-only queries about the state of the physical tables, for whoever examines a store. None of them decides anything. */

const isEnded = sql<SqlBool>`state = ${sql.lit(uploadState.ended)}`

const readLeases = statement<{ limit: number }>()((p, db, { now }) =>
  db
    .selectFrom('leases')
    .select((eb) => ['id', 'owner', 'name', eb('expires_at', '-', now).as('left')])
    .orderBy('id')
    .limit(p('limit')),
)
const unfinished = statement<{ limit: number }>()((p, db, { now }) =>
  db
    .selectFrom('objects')
    .leftJoin('leases', 'leases.id', 'objects.lease_id')
    .select(['objects.key', 'objects.kind', 'objects.state', 'objects.changed_at'])
    // Spelled out as the partial index has it, so that the index applies.
    .where(sql<SqlBool>`objects.state <> 2`)
    .where('objects.state', '<', objectState.condemned)
    .where((eb) => eb.or([eb('leases.id', 'is', null), eb('leases.expires_at', '<', now)]))
    .orderBy('objects.state')
    .orderBy('objects.id')
    .limit(p('limit')),
)
const pageByKey = statement<{ after: string; limit: number }>()((p, db) =>
  db
    .selectFrom('objects')
    .select((eb) => [
      'objects.key',
      'objects.state',
      'objects.size',
      'objects.entries',
      eb
        .selectFrom('chunks')
        .select((of) => of('chunks.offset', '+', of.ref('chunks.stored_length')).as('end'))
        .whereRef('chunks.object_id', '=', 'objects.id')
        .where('chunks.state', '<>', chunkState.condemned)
        .orderBy('chunks.offset', 'desc')
        .limit(1)
        .as('named_to'),
    ])
    .where('objects.key', '>', p('after'))
    .orderBy('objects.key')
    .limit(p('limit')),
)
const oneByKey = statement<{ key: string }>()((p, db) => db.selectFrom('objects').select('state').where('key', '=', p('key')))
const readDrafts = statement<object>()((_p, db) =>
  db
    .selectFrom('drafts')
    .select((eb) => ['state', eb.fn.countAll<number>().as('count'), eb.fn.min('touched_at').as('oldest')])
    .groupBy('state'),
)
const readUploads = statement<object>()((_p, db, { now }) =>
  db.selectFrom('uploads').select((eb) => {
    const count = (condition: typeof isEnded): ReturnType<typeof sql<number>> => sql`coalesce(sum(case when ${condition} then 1 else 0 end), 0)`
    const isExpired = eb('expires_at', '<=', now)
    return [
      count(sql`state = ${sql.lit(uploadState.open)} and not ${isExpired}`).as('open'),
      count(sql`state = ${sql.lit(uploadState.complete)} and not ${isExpired}`).as('complete'),
      count(sql`state < ${sql.lit(uploadState.ended)} and ${isExpired}`).as('expired'),
      count(isEnded).as('ended'),
    ]
  }),
)
const readReviews = statement<object>()((_p, db) =>
  db.selectFrom('reviews').select((eb) => [eb.fn.countAll<number>().as('count'), eb.fn.min('queued_at').as('oldest')]),
)
const damagedChunks = statement<{ after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('chunks')
    .leftJoin('objects', 'objects.id', 'chunks.object_id')
    .select(['chunks.id', 'chunks.digest', 'chunks.size', 'objects.key'])
    .where(sql<SqlBool>`chunks.state = 1`)
    .where('chunks.id', '>', p('after'))
    .orderBy('chunks.id')
    .limit(p('limit')),
)
const quarantined = statement<{ after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('quarantine')
    .innerJoin('objects', 'objects.id', 'quarantine.object_id')
    .select((eb) => [
      'quarantine.id',
      'quarantine.digest',
      'quarantine.size',
      'quarantine.offset',
      'quarantine.reason',
      'quarantine.found_at',
      'objects.key',
      eb
        .selectFrom('chunks')
        .select('chunks.id')
        .whereRef('chunks.digest', '=', 'quarantine.digest')
        .where(sql<SqlBool>`chunks.state < 2`)
        .where(sql<SqlBool>`chunks.state = 0`)
        .limit(1)
        .as('live'),
    ])
    .where('quarantine.id', '>', p('after'))
    .orderBy('quarantine.id')
    .limit(p('limit')),
)

/** A lease; `left`: milliseconds until it runs out on the database's clock. `name` null: a writer. */
export interface LeaseState {
  readonly id: number
  readonly owner: string
  readonly name: string | null
  readonly left: number
}

/** Leases in the order in which they were taken. */
export async function listLeases(session: Session, limit: number): Promise<readonly LeaseState[]> {
  return session.all(readLeases, { limit })
}

/** An object that was begun and whose writer is gone. */
export interface AbandonedObject {
  readonly key: string
  readonly kind: number
  readonly state: number
  readonly changed_at: number
}

/** Objects that nobody will finish, for whoever lists or freezes them. */
export async function listAbandoned(session: Session, limit: number): Promise<readonly AbandonedObject[]> {
  return session.all(unfinished, { limit })
}

/**
 * An object as the registry has it. `size` 0: not known. `entries` 0: `size` is that of what is known in it, and there may be more. `named_to`: nothing
 * needs a byte behind this offset; null: nothing needs any.
 */
export interface ObjectState {
  readonly key: string
  readonly state: number
  readonly size: number
  readonly entries: number
  readonly named_to: number | null
}

/** Objects in the order of their keys. */
export async function listObjectsByKey(session: Session, after: string, limit: number): Promise<readonly ObjectState[]> {
  return session.all(pageByKey, { after, limit })
}

/** @returns undefined when no row names the key */
export async function objectStateOf(session: Session, key: string): Promise<number | undefined> {
  return (await session.get(oneByKey, { key }))?.state
}

/** Open packages by what they are doing, and when the one that is idle for longest was touched (UTC ms). */
export interface DraftCounts {
  readonly open: number
  readonly sealing: number
  /** Ended, but not cleared away yet. */
  readonly ended: number
  readonly oldest: number | undefined
}

/** How many open packages there are. */
export async function countDrafts(session: Session): Promise<DraftCounts> {
  const rows = await session.all(readDrafts, {})
  const count = (state: number): number => rows.find((row) => row.state === state)?.count ?? 0
  const oldest = rows.filter((row) => row.state < draftState.ended).map((row) => row.oldest ?? Infinity)
  return {
    open: count(draftState.open),
    sealing: count(draftState.sealing),
    ended: count(draftState.ended),
    oldest: oldest.length === 0 ? undefined : Math.min(...oldest),
  }
}

/** Uploads by what they are doing; those that nobody touched for too long count as `expired` alone. */
export interface UploadCounts {
  readonly open: number
  readonly complete: number
  readonly expired: number
  /** Ended, but not cleared away yet. */
  readonly ended: number
}

/** How many uploads there are. */
export async function countUploads(session: Session): Promise<UploadCounts> {
  const row = await session.get(readUploads, {})
  return row ?? { open: 0, complete: 0, expired: 0, ended: 0 }
}

/** How much waits for the collector's review, and since when (UTC ms). */
export async function countReviews(session: Session): Promise<{ readonly count: number; readonly oldest: number | undefined }> {
  const row = await session.get(readReviews, {})
  return { count: row?.count ?? 0, oldest: row?.oldest ?? undefined }
}

/** Bytes that are known to be damaged, and not healed. `key` null: they lie nowhere any more. */
export interface DamagedChunk {
  readonly id: number
  readonly digest: Uint8Array
  readonly size: number
  readonly key: string | null
}

/** Damaged chunks, those with ids after `after`. */
export async function listDamaged(session: Session, after: number, limit: number): Promise<readonly DamagedChunk[]> {
  return session.all(damagedChunks, { after, limit })
}

/** A damaged place that is kept. `live` null: its bytes have not been healed. */
export interface QuarantinedPlace {
  readonly id: number
  readonly digest: Uint8Array
  readonly size: number
  readonly key: string
  readonly offset: number
  readonly reason: string
  readonly found_at: number
  readonly live: number | null
}

/** Damaged places in the order in which they were found, those with ids after `after`. */
export async function listQuarantine(session: Session, after: number, limit: number): Promise<readonly QuarantinedPlace[]> {
  return session.all(quarantined, { after, limit })
}
