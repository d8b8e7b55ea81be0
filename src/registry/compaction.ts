import { type SqlBool, sql } from 'kysely'
import { type ObjectKey, parseObjectKey } from '../ports/backend.ts'
import type { Placement } from '../ports/data-plane.ts'
import { condemnObject, hasRemains } from './condemned-objects.ts'
import { insertCondemnedCopy } from './condemned.ts'
import { countDeadBytes, ENTRY_OVERHEAD } from './objects.ts'
import { statement, type Session } from './statement.ts'
import { chunkCodec, chunkState, objectState } from './tables.ts'

/** Packs that nobody appends to: looking through them once, finding those worth rewriting, and moving what lives out of them. */

const freeColumns = ['objects.id', 'objects.key', 'objects.size'] as const
/** Spelled out as the partial indexes have it. */
const isSealed = sql<SqlBool>`kind = 1 and state = 2 and lease_id is null`
const isFree = sql<SqlBool>`kind = 1 and state = 2 and lease_id is null and settled_at is not null`
const isQuarantined = sql<SqlBool>`exists (select 1 from quarantine where quarantine.object_id = objects.id)`

const unsettled = statement<{ after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('objects')
    .select(freeColumns)
    .where(sql<SqlBool>`kind = 1 and state < 3 and settled_at is null`)
    .where(isSealed)
    .where('id', '>', p('after'))
    .orderBy('id')
    .limit(p('limit')),
)
const rowsIn = statement<{ object: number; after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('chunks')
    .select(['id', 'digest', 'offset', 'state'])
    .where('object_id', '=', p('object'))
    .where('offset', '>', p('after'))
    .orderBy('offset')
    .limit(p('limit')),
)
const quarantinedIn = statement<{ object: number }>()((p, db) => db.selectFrom('quarantine').select('offset').where('object_id', '=', p('object')))
const settle = statement<{ id: number; size: number; entries: number }>()((p, db, { now }) =>
  db
    .updateTable('objects')
    .set({
      settled_at: now,
      size: p('size'),
      entries: p('entries'),
      dead_bytes: deadBytes(),
      erase_by: sql<number>`(select min(chunks.erase_by) from chunks where chunks.object_id = objects.id and chunks.state = 2)`,
    })
    .where('id', '=', p('id'))
    .where(isSealed),
)
const worn = statement<{ after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('objects')
    .select(freeColumns)
    .where(isFree)
    .where(sql<SqlBool>`dead_bytes * 5 > size * 2`)
    .where(({ not }) => not(isQuarantined))
    .where('id', '>', p('after'))
    .orderBy('id')
    .limit(p('limit')),
)
const overdue = statement<{ limit: number }>()((p, db, { now }) =>
  db
    .selectFrom('objects')
    .select(freeColumns)
    .where(sql<SqlBool>`kind = 1 and state < 3 and erase_by is not null`)
    .where('erase_by', '<=', now)
    .where(isFree)
    .where(({ not }) => not(isQuarantined))
    .orderBy('erase_by')
    .limit(p('limit')),
)
const small = statement<{ limit: number }>()((p, db) =>
  db
    .selectFrom('objects')
    .select(freeColumns)
    .where(isFree)
    .where(sql<SqlBool>`size < 16777216`)
    .where(({ not }) => not(isQuarantined))
    .orderBy('size')
    .orderBy('id')
    .limit(p('limit')),
)
const packState = statement<{ id: number }>()((p, db) =>
  db
    .selectFrom('objects')
    .select(['id', 'key', 'size'])
    .where('id', '=', p('id'))
    .where(isFree)
    .where(({ not }) => not(isQuarantined)),
)
const repoint = statement<{ from: number; offset: number; digest: Uint8Array; object: number; to: number; stored: number; codec: number }>()(
  (p, db) =>
    db
      .updateTable('chunks')
      .set({ object_id: p('object'), offset: p('to'), stored_length: p('stored'), codec: p('codec') })
      .where('object_id', '=', p('from'))
      .where('offset', '=', p('offset'))
      .where('digest', '=', p('digest'))
      .where(sql<SqlBool>`state = 0`),
)
const condemnedAt = statement<{ object: number; offset: number }>()((p, db, { now }) =>
  db
    .selectFrom('chunks')
    .select((eb) => ['size', eb('erase_by', '-', now).as('within')])
    .where('object_id', '=', p('object'))
    .where('offset', '=', p('offset'))
    .limit(1),
)
const objectByKey = statement<{ key: string }>()((p, db) =>
  db.selectFrom('objects').select('id').where('key', '=', p('key')).where('state', '<', objectState.condemned),
)
const composedBy = statement<{ digest: Uint8Array }>()((p, db) =>
  db
    .selectFrom('chunks')
    .select('id')
    .where('digest', '=', p('digest'))
    .where(sql<SqlBool>`state < 2`)
    .where('object_id', 'is', null),
)
const wornPack = statement<{ after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('objects')
    .select((eb) => ['id', 'key', 'dead_bytes', deadBytes().as('counted'), eb.ref('size').as('size')])
    .where(sql<SqlBool>`+kind = 1 and +state = 2`)
    .where('settled_at', 'is not', null)
    .where('id', '>', p('after'))
    .orderBy('id')
    .limit(p('limit')),
)
const setDead = statement<{ id: number; bytes: number; found: number }>()((p, db) =>
  db
    .updateTable('objects')
    .set({ dead_bytes: p('bytes') })
    .where('id', '=', p('id'))
    .where('dead_bytes', '=', p('found')),
)

function deadBytes(): ReturnType<typeof sql<number>> {
  return sql<number>`(select coalesce(sum(chunks.stored_length + ${sql.lit(ENTRY_OVERHEAD)}), 0) from chunks where chunks.object_id = objects.id and chunks.state = 2)`
}

/** A pack that nobody appends to. `size` in bytes; 0: not known. */
export interface FreePack {
  readonly id: number
  readonly key: ObjectKey
  readonly size: number
}

/** Packs that have not been looked through since their writer let go of them, in order of ids. */
export async function listUnsettledPacks(session: Session, after: number, limit: number): Promise<readonly FreePack[]> {
  return (await session.all(unsettled, { after, limit })).map(freePack)
}

/** A place in a pack that a row speaks of. */
export interface NamedPlace {
  readonly offset: number
  readonly digest: Uint8Array
  readonly live: boolean
}

/** The places in an object that have a row, in order of offsets, those after `after`. Where a place has two rows, a live one counts. */
export async function listNamedPlaces(session: Session, object: number, after: number, limit: number): Promise<readonly NamedPlace[]> {
  const rows = await session.all(rowsIn, { object, after, limit })
  return rows.map(({ offset, digest, state }) => ({ offset, digest, live: state !== chunkState.condemned }))
}

/** Offsets in an object where damage was found. */
export async function listQuarantinedPlaces(session: Session, object: number): Promise<readonly number[]> {
  return (await session.all(quarantinedIn, { object })).map(({ offset }) => offset)
}

/**
 * A pack was looked through, and everything in it has a row; its counters are what these rows say.
 * @param facts `size` in bytes; `entries`: how many its table of contents lists, 0 when it has none
 * @returns false when it has gone, or is somebody's again
 */
export async function settlePack(session: Session, id: number, facts: { readonly size: number; readonly entries: number }): Promise<boolean> {
  return (await session.run(settle, { id, ...facts })) > 0
}

/** Packs of which more than 40 % is dead, as far as the hint says, in order of ids. Those with damage in them are left alone. */
export async function listWornPacks(session: Session, after: number, limit: number): Promise<readonly FreePack[]> {
  return (await session.all(worn, { after, limit })).map(freePack)
}

/** Packs in which something that was released has to be gone by now. */
export async function listOverduePacks(session: Session, limit: number): Promise<readonly FreePack[]> {
  return (await session.all(overdue, { limit })).map(freePack)
}

/** Packs smaller than 16 MiB, smallest first. */
export async function listSmallPacks(session: Session, limit: number): Promise<readonly FreePack[]> {
  return (await session.all(small, { limit })).map(freePack)
}

/** Whether a pack may (still) be rewritten: sealed, nobody's, looked through, and without damage. */
export async function isFreePack(session: Session, id: number): Promise<boolean> {
  return (await session.get(packState, { id })) !== undefined
}

/** A copy that is durable at `placement`, of what lay in an object at an offset. */
export interface MovedChunk {
  readonly digest: Uint8Array
  readonly from: number
  readonly placement: Placement
}

/**
 * Points a chunk to its copy, if it is still where the copy was taken from. The caller owns the object of the copy (I3). If the chunk was condemned
 * or healed meanwhile, the copy is known of as dead, and goes as soon as the original.
 * @returns whether it was moved
 */
export async function moveChunk(session: Session, from: number, { digest, from: offset, placement }: MovedChunk): Promise<boolean> {
  const { objectId: object, offset: to, storedLength: stored } = placement
  const codec = chunkCodec[placement.codec]
  if ((await session.run(repoint, { from, offset, digest, object, to, stored, codec })) > 0) return true
  const original = await session.get(condemnedAt, { object: from, offset })
  const copy = { digest, size: original?.size ?? 0, object, offset: to, stored, codec }
  if (await insertCondemnedCopy(session, copy, original?.within ?? null)) await countDeadBytes(session, object, stored)
  return false
}

/** Condemns a pack if it may be rewritten and nothing is left in it. @returns whether it is condemned */
export async function leavePack(session: Session, id: number): Promise<boolean> {
  if (!(await isFreePack(session, id)) || (await hasRemains(session, id))) return false
  return condemnObject(session, id)
}

/** Whether what a pack says of an object that lies elsewhere may still be needed. */
export async function isObjectKnown(session: Session, key: ObjectKey): Promise<boolean> {
  return (await session.get(objectByKey, { key })) !== undefined
}

/** Whether a recipe is that of a blob which is there. (One that is to be published needs the pack to be its writer's still.) */
export async function isRecipeNeeded(session: Session, digest: Uint8Array): Promise<boolean> {
  return (await session.get(composedBy, { digest })) !== undefined
}

/** A pack whose hint may be wrong. Bytes. */
export interface PackWear {
  readonly id: number
  readonly key: string
  readonly size: number
  /** As the hint has it, and as its rows say. */
  readonly hint: number
  readonly counted: number
}

/** Dead bytes of packs that were looked through, in order of ids. */
export async function listPackWear(session: Session, after: number, limit: number): Promise<readonly PackWear[]> {
  const rows = await session.all(wornPack, { after, limit })
  return rows.map(({ id, key, size, dead_bytes: hint, counted }) => ({ id, key, size, hint, counted }))
}

/** Corrects a hint, if it is what it was. */
export async function correctDeadBytes(session: Session, id: number, found: number, bytes: number): Promise<void> {
  await session.run(setDead, { id, found, bytes })
}

function freePack({ id, key, size }: { readonly id: number; readonly key: string; readonly size: number }): FreePack {
  return { id, key: parseObjectKey(key), size }
}
