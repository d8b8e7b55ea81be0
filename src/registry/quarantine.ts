import { type SqlBool, sql } from 'kysely'
import { reviveComposed, spoilComposed } from './composed.ts'
import { DEFAULT_DOMAIN } from './objects.ts'
import { statement, type Session } from './statement.ts'
import { chunkState } from './tables.ts'

/** What is kept of the words that say what was found. */
const REASON_CHARACTERS = 500

const findPlaced = statement<{ digest: Uint8Array; key: string }>()((p, db) =>
  db
    .selectFrom('chunks')
    .innerJoin('objects', 'objects.id', 'chunks.object_id')
    .select(['chunks.id', 'chunks.size', 'chunks.state', 'chunks.object_id', 'chunks.offset', 'chunks.stored_length', 'chunks.codec'])
    .where('chunks.digest', '=', p('digest'))
    .where('chunks.domain', '=', DEFAULT_DOMAIN)
    .where(sql<SqlBool>`chunks.state < 2`)
    .where('objects.key', '=', p('key')),
)
const turn = statement<{ id: number; from: number; to: number }>()((p, db) =>
  db
    .updateTable('chunks')
    .set({ state: p('to') })
    .where('id', '=', p('id'))
    .where('state', '=', p('from')),
)
const keep = statement<{ object: number; offset: number; stored: number; codec: number; digest: Uint8Array; size: number; reason: string }>()(
  (p, db, { now }) =>
    db
      .insertInto('quarantine')
      .values({
        object_id: p('object'),
        offset: p('offset'),
        stored_length: p('stored'),
        codec: p('codec'),
        digest: p('digest'),
        size: p('size'),
        reason: p('reason'),
        found_at: now,
      })
      .onConflict((conflict) => conflict.columns(['object_id', 'offset']).doNothing()),
)
const release = statement<{ object: number; offset: number }>()((p, db) =>
  db.deleteFrom('quarantine').where('object_id', '=', p('object')).where('offset', '=', p('offset')),
)
const damagedIn = statement<{ package: number }>()((p, db) =>
  db
    .selectFrom('chunks')
    .select('chunks.id')
    // As the partial index has it, which is empty in a healthy store.
    .where(sql<SqlBool>`chunks.state = 1`)
    .where(({ or, exists, selectFrom }) =>
      or([
        exists(
          selectFrom('holders as direct')
            .select('direct.target_id')
            .whereRef('direct.target_id', '=', 'chunks.id')
            .where(sql<SqlBool>`direct.kind = 3`)
            .where('direct.holder_id', '=', p('package')),
        ),
        exists(
          selectFrom('holders as edge')
            .innerJoin('manifests', 'manifests.id', 'edge.holder_id')
            .innerJoin('holders as root', 'root.target_id', 'manifests.chunk_id')
            .select('edge.target_id')
            .whereRef('edge.target_id', '=', 'chunks.id')
            .where(sql<SqlBool>`edge.kind = 4`)
            .where(sql<SqlBool>`root.kind = 3`)
            .where('root.holder_id', '=', p('package')),
        ),
      ]),
    )
    .limit(1),
)

/** Bytes that are not what they were, and the object they were read from. */
export interface DamagedPlace {
  readonly digest: Uint8Array
  readonly key: string
  /** What the reader found, in words. */
  readonly reason: string
}

/**
 * Takes damaged bytes out of deduplication until the same bytes arrive again, and puts their place into quarantine. Bytes that were healed
 * meanwhile lie elsewhere, and are left alone.
 * @returns whether the chunk is (still) damaged
 */
export async function quarantineChunk(session: Session, { digest, key, reason }: DamagedPlace): Promise<boolean> {
  const placed = await session.get(findPlaced, { digest, key })
  if (!isPlaced(placed)) return false
  const { id, size, object_id: object, offset, stored_length: stored, codec } = placed
  await session.run(turn, { id, from: chunkState.live, to: chunkState.damaged })
  await spoilComposed(session, id)
  await session.run(keep, { object, offset, stored, codec, digest, size, reason: reason.slice(0, REASON_CHARACTERS) })
  return true
}

/** Bytes that were damaged have been read as they should be: somebody put the object back. They may be used again. */
export async function releaseChunk(session: Session, place: { readonly digest: Uint8Array; readonly key: string }): Promise<void> {
  const placed = await session.get(findPlaced, place)
  if (!isPlaced(placed)) return
  await session.run(turn, { id: placed.id, from: chunkState.damaged, to: chunkState.live })
  await reviveComposed(session, placed.id)
  await session.run(release, { object: placed.object_id, offset: placed.offset })
}

/** Whether something that a package consists of is known to be damaged. */
export async function hasDamage(session: Session, packageId: number): Promise<boolean> {
  return (await session.get(damagedIn, { package: packageId })) !== undefined
}

/** A chunk that was found through its object lies in one. */
function isPlaced<Row extends { readonly object_id: number | null }>(row: Row | undefined): row is Row & { readonly object_id: number } {
  return typeof row?.object_id === 'number'
}
