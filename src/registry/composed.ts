import { type RawBuilder, type SqlBool, sql } from 'kysely'
import { hold, letGo } from './holders.ts'
import { DEFAULT_DOMAIN } from './objects.ts'
import { statement, type Session } from './statement.ts'
import { chunkCodec, chunkState, holderKind } from './tables.ts'

/**
 * Blobs that are composed of others by a recipe. Their parts lie in objects; none is composed itself. A recipe is filled in short transactions while
 * its blob is invisible, and the blob holds its parts from then on.
 */

/** Rows of a recipe that go in one statement. */
const ROWS = 1_000

const insertBlob = statement<{ digest: Uint8Array; size: number }>()((p, db, { now }) =>
  db
    .insertInto('chunks')
    .values({
      domain: DEFAULT_DOMAIN,
      digest: p('digest'),
      size: p('size'),
      object_id: null,
      offset: 0,
      stored_length: 0,
      codec: chunkCodec.raw,
      state: chunkState.composing,
      erase_by: null,
      verified_at: null,
      created_at: now,
    })
    .returning('id'),
)
const insertPart = statement<RecipePart>()((p, db) =>
  db.insertInto('recipes').values({ blob_id: p('blob'), position: p('position'), chunk_id: p('chunk'), start: p('start') }),
)
const addStoredOf = statement<{ blob: number; chunk: number }>()((p, db) =>
  db
    .updateTable('chunks')
    .set((eb) => ({
      stored_length: eb('stored_length', '+', sql<number>`(select part.stored_length from chunks as part where part.id = ${p('chunk')})`),
    }))
    .where('id', '=', p('blob')),
)
const lastPosition = statement<{ blob: number }>()((p, db) =>
  db.selectFrom('recipes').select('position').where('blob_id', '=', p('blob')).orderBy('position', 'desc').limit(1),
)
const copyParts = statement<Page>()((p, db) =>
  db
    .insertInto('recipes')
    .columns(['blob_id', 'position', 'chunk_id', 'start'])
    .expression(
      db
        .selectFrom('upload_parts')
        .select((eb) => [eb.val(p('blob')).as('blob_id'), 'position', 'chunk_id', 'start'])
        .where('upload_id', '=', p('upload'))
        .where('position', '>', p('after'))
        .where('position', '<=', p('to')),
    ),
)
const holdParts = statement<Page>()((p, db) =>
  db
    .insertInto('holders')
    .columns(['kind', 'holder_id', 'target_id'])
    .expression(
      db
        .selectFrom('upload_parts')
        .select((eb) => [eb.lit(holderKind.blob).as('kind'), eb.val(p('blob')).as('holder_id'), 'chunk_id'])
        .where('upload_id', '=', p('upload'))
        .where('position', '>', p('after'))
        .where('position', '<=', p('to')),
    )
    .onConflict((conflict) => conflict.doNothing()),
)
const addStored = statement<Page>()((p, db) =>
  db
    .updateTable('chunks')
    .set((eb) => ({ stored_length: eb('stored_length', '+', storedOf(p)) }))
    .where('id', '=', p('blob')),
)
const turnLive = statement<{ blob: number }>()((p, db) =>
  db.updateTable('chunks').set({ state: chunkState.live }).where('id', '=', p('blob')).where('state', '=', chunkState.composing),
)
const findDamaged = statement<{ digest: Uint8Array }>()((p, db) =>
  db
    .selectFrom('chunks')
    .select('id')
    .where('digest', '=', p('digest'))
    .where('domain', '=', DEFAULT_DOMAIN)
    .where(sql<SqlBool>`chunks.state < 2`)
    .where('state', '=', chunkState.damaged),
)
const moveRecipe = statement<{ from: number; to: number }>()((p, db) =>
  db
    .updateTable('recipes')
    .set({ blob_id: p('to') })
    .where('blob_id', '=', p('from')),
)
const moveHolds = statement<{ from: number; to: number }>()((p, db) =>
  db
    .updateTable('holders')
    .set({ holder_id: p('to') })
    .where('kind', '=', holderKind.blob)
    .where('holder_id', '=', p('from')),
)
const healByRecipe = statement<{ id: number; from: number }>()((p, db) =>
  db
    .updateTable('chunks')
    .set({
      state: chunkState.live,
      object_id: null,
      offset: 0,
      codec: chunkCodec.raw,
      size: sql<number>`(select made.size from chunks as made where made.id = ${p('from')})`,
      stored_length: sql<number>`(select made.stored_length from chunks as made where made.id = ${p('from')})`,
    })
    .where('id', '=', p('id')),
)
const damagedPart = statement<{ blob: number }>()((p, db) =>
  db
    .selectFrom('chunks')
    .innerJoin('recipes', 'recipes.chunk_id', 'chunks.id')
    .select('chunks.digest')
    // As the partial index has it, which is empty in a healthy store.
    .where(sql<SqlBool>`chunks.state = 1`)
    .where('recipes.blob_id', '=', p('blob'))
    .limit(1),
)
const pageEnd = statement<{ blob: number; limit: number }>()((p, db) =>
  db
    .selectFrom(db.selectFrom('recipes').select('position').where('blob_id', '=', p('blob')).orderBy('position').limit(p('limit')).as('page'))
    .select((eb) => [eb.fn.max('position').as('last'), eb.fn.countAll<number>().as('count')]),
)
const deleteUpTo = statement<{ blob: number; last: number }>()((p, db) =>
  db.deleteFrom('recipes').where('blob_id', '=', p('blob')).where('position', '<=', p('last')),
)
const deleteBlob = statement<{ blob: number }>()((p, db) =>
  db.deleteFrom('chunks').where('id', '=', p('blob')).where('state', '=', chunkState.composing),
)
const stateOf = statement<{ blob: number }>()((p, db) => db.selectFrom('chunks').select('state').where('id', '=', p('blob')))
const spoilBlobs = statement<{ part: number }>()((p, db) =>
  db
    .updateTable('chunks')
    .set({ state: chunkState.damaged })
    .where('state', '=', chunkState.live)
    .where('object_id', 'is', null)
    .where('id', 'in', (eb) => eb.selectFrom('recipes').select('blob_id').where('chunk_id', '=', p('part'))),
)
const reviveBlobs = statement<{ part: number }>()((p, db) =>
  db
    .updateTable('chunks')
    .set({ state: chunkState.live })
    .where('state', '=', chunkState.damaged)
    .where('object_id', 'is', null)
    .where('id', 'in', (eb) => eb.selectFrom('recipes').select('blob_id').where('chunk_id', '=', p('part')))
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('chunks as part')
            .innerJoin('recipes', 'recipes.chunk_id', 'part.id')
            .select('part.id')
            .where(sql<SqlBool>`part.state = 1`)
            .whereRef('recipes.blob_id', '=', 'chunks.id'),
        ),
      ),
    ),
)

interface Page {
  blob: number
  upload: number
  after: number
  to: number
}

function storedOf(place: (name: keyof Page) => number): RawBuilder<number> {
  return sql<number>`(select coalesce(sum(part.stored_length), 0) from upload_parts inner join chunks as part on part.id = upload_parts.chunk_id
    where upload_parts.upload_id = ${place('upload')} and upload_parts.position > ${place('after')} and upload_parts.position <= ${place('to')})`
}

/** A part of a composed blob; `start`: where it begins in the blob, in bytes. */
export interface RecipePart {
  readonly blob: number
  readonly position: number
  readonly chunk: number
  readonly start: number
}

/** Begins a blob that is composed of others; nobody sees it. `size` in bytes. @returns its row */
export async function beginComposed(session: Session, digest: Uint8Array, size: number): Promise<number> {
  const row = await session.returning(insertBlob, { digest, size })
  if (row === undefined) throw new TypeError('a blob was not inserted')
  return row.id
}

/**
 * Takes the next parts of an upload, whose parts are complete, into the recipe of its blob, up to 1,000.
 * @param parts how many the upload has
 * @returns whether all of them are in it
 */
export async function fillRecipe(session: Session, blob: number, upload: number, parts: number): Promise<boolean> {
  const last = await session.get(lastPosition, { blob })
  const after = last?.position ?? -1
  const page = { blob, upload, after, to: after + ROWS }
  await session.run(copyParts, page)
  await session.run(holdParts, page)
  await session.run(addStored, page)
  return page.to >= parts - 1
}

/** Takes one more part into the recipe of a blob that is being composed. The caller has seen it live, and that it lies in an object. */
export async function addRecipePart(session: Session, part: RecipePart): Promise<void> {
  await session.run(insertPart, part)
  await session.run(addStoredOf, { blob: part.blob, chunk: part.chunk })
  await hold(session, 'blob', part.blob, part.chunk)
}

/** The digest of a part that is damaged, if one is. */
export async function findDamagedPart(session: Session, blob: number): Promise<Uint8Array | undefined> {
  return (await session.get(damagedPart, { blob }))?.digest
}

/**
 * Makes a composed blob visible, its recipe being complete and durable. The caller has seen in this transaction that no such blob is live. One that
 * is damaged is healed: it gets this recipe.
 * @returns the row by which the blob is held
 */
export async function publishComposed(session: Session, blob: number, digest: Uint8Array): Promise<number> {
  const damaged = await session.get(findDamaged, { digest })
  if (damaged === undefined) {
    await session.run(turnLive, { blob })
    return blob
  }
  await dropRecipe(session, damaged.id)
  await session.run(moveRecipe, { from: blob, to: damaged.id })
  await session.run(moveHolds, { from: blob, to: damaged.id })
  await session.run(healByRecipe, { id: damaged.id, from: blob })
  await session.run(deleteBlob, { blob })
  return damaged.id
}

/** Lets go of up to `limit` parts of a blob whose recipe is not needed any more. @returns how many; less than `limit`: none is left */
export async function clearRecipe(session: Session, blob: number, limit: number): Promise<number> {
  const { last = null, count = 0 } = (await session.get(pageEnd, { blob, limit })) ?? {}
  if (last !== null) await session.run(deleteUpTo, { blob, last })
  const held = await letGo(session, 'blob', blob, limit)
  return Math.max(count, held)
}

/** Lets go of all parts of a blob: its bytes have a place of their own now, or others. */
export async function dropRecipe(session: Session, blob: number): Promise<void> {
  while ((await clearRecipe(session, blob, ROWS)) === ROWS);
}

/** Whether a blob is still being composed. */
export async function isComposing(session: Session, blob: number): Promise<boolean> {
  return (await session.get(stateOf, { blob }))?.state === chunkState.composing
}

/** Removes a blob that was never made visible; its recipe is cleared. */
export async function removeComposing(session: Session, blob: number): Promise<void> {
  await session.run(deleteBlob, { blob })
}

/** A part turned out damaged: so are the blobs that are composed of it, until the part or they are stored again. */
export async function spoilComposed(session: Session, part: number): Promise<void> {
  await session.run(spoilBlobs, { part })
}

/** A part is whole again: so are the blobs that have no other damaged one. */
export async function reviveComposed(session: Session, part: number): Promise<void> {
  await session.run(reviveBlobs, { part })
}
