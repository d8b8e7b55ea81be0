import { type SqlBool, sql } from 'kysely'
import type { Codec, ObjectKind, Placement } from '../ports/data-plane.ts'
import { dropRecipe, reviveComposed } from './composed.ts'
import { condemnObject } from './condemned-objects.ts'
import { insertCondemnedCopy } from './condemned.ts'
import { countDeadBytes, DEFAULT_DOMAIN } from './objects.ts'
import { statement, type Session } from './statement.ts'
import { chunkCodec, chunkState, objectKind } from './tables.ts'

/** Bytes of checksums in one row: 1,024 blocks of 1 MiB. */
const SEGMENT_BYTES = 4_096

/** Spelled out as the unique index has it, not with parameters, so that the index applies. */
const notCondemned = sql<SqlBool>`chunks.state < 2`

/** Whether a blob was composed of others, and whether others are composed of it: 0 or 1. */
const hasRecipe = sql<number>`case when exists (select 1 from recipes where recipes.blob_id = chunks.id) then 1 else 0 end`
const isPart = sql<number>`case when exists (select 1 from recipes where recipes.chunk_id = chunks.id) then 1 else 0 end`

/** What {@link placeOf} reads. */
export const placeColumns = [
  'chunks.id',
  'chunks.size',
  'chunks.state',
  'chunks.offset',
  'chunks.stored_length',
  'chunks.codec',
  'objects.key',
  'objects.kind',
] as const

const findLive = statement<{ digest: Uint8Array }>()((p, db) =>
  db
    .selectFrom('chunks')
    .select(['id', 'size', 'object_id', 'offset'])
    .where('digest', '=', p('digest'))
    .where('domain', '=', DEFAULT_DOMAIN)
    .where(notCondemned)
    .where('state', '=', chunkState.live),
)
const insertChunk = statement<{ digest: Uint8Array; size: number; object: number; offset: number; stored: number; codec: number }>()(
  (p, db, { now }) =>
    db
      .insertInto('chunks')
      .values({
        domain: DEFAULT_DOMAIN,
        digest: p('digest'),
        size: p('size'),
        object_id: p('object'),
        offset: p('offset'),
        stored_length: p('stored'),
        codec: p('codec'),
        state: chunkState.live,
        erase_by: null,
        verified_at: null,
        created_at: now,
      })
      // A damaged row heals by the same bytes arriving again; everything that holds it is whole again. Its old place stays in quarantine. A blob
      // that was composed of others gets a place of its own, so that it can be a part itself.
      .onConflict((conflict) =>
        conflict
          .columns(['digest', 'domain'])
          .where(sql<SqlBool>`state < 2`)
          .doUpdateSet({
            size: p('size'),
            object_id: p('object'),
            offset: p('offset'),
            stored_length: p('stored'),
            codec: p('codec'),
            state: chunkState.live,
          })
          .where((eb) => eb.or([eb('chunks.state', '=', chunkState.damaged), eb('chunks.object_id', 'is', null)])),
      )
      .returning(['id', hasRecipe.as('hasRecipe'), isPart.as('isPart')]),
)
const insertChecksums = statement<{ chunk: number; segment: number; crcs: Uint8Array }>()((p, db) =>
  db
    .insertInto('checksums')
    .values({ chunk_id: p('chunk'), segment: p('segment'), crcs: p('crcs') })
    .onConflict((conflict) => conflict.columns(['chunk_id', 'segment']).doUpdateSet({ crcs: p('crcs') })),
)
const readChecksums = statement<{ chunk: number; segment: number }>()((p, db) =>
  db.selectFrom('checksums').select('crcs').where('chunk_id', '=', p('chunk')).where('segment', '=', p('segment')),
)
const locate = statement<{ digest: Uint8Array }>()((p, db) =>
  db
    .selectFrom('chunks')
    .leftJoin('objects', 'objects.id', 'chunks.object_id')
    .select(placeColumns)
    .where('chunks.digest', '=', p('digest'))
    .where('chunks.domain', '=', DEFAULT_DOMAIN)
    .where(notCondemned),
)

/** A live chunk. */
export interface LiveChunk {
  readonly id: number
  readonly size: number
}

/** What deduplication consults. */
export async function findLiveChunk(session: Session, digest: Uint8Array): Promise<LiveChunk | undefined> {
  return session.get(findLive, { digest })
}

/** The same, but only what lies in an object itself: a part of a blob is not composed of others. */
export async function findPlacedChunk(session: Session, digest: Uint8Array): Promise<LiveChunk | undefined> {
  const live = await session.get(findLive, { digest })
  return typeof live?.object_id === 'number' ? { id: live.id, size: live.size } : undefined
}

/**
 * Names durable bytes, or finds that another writer named the same bytes first (then these are dead). The caller has checked that it owns the object.
 * @returns the id of the live row
 */
export async function nameChunk(session: Session, digest: Uint8Array, size: number, placement: Placement): Promise<number> {
  const { objectId: object, offset, storedLength: stored } = placement
  const inserted = await session.returning(insertChunk, { digest, size, object, offset, stored, codec: chunkCodec[placement.codec] })
  if (inserted === undefined) {
    const live = await findNamedFirst(session, digest, size, placement)
    if (live === undefined) throw new TypeError('a chunk is neither new nor live')
    return live
  }
  if (inserted.hasRecipe === 1) await dropRecipe(session, inserted.id)
  if (inserted.isPart === 1) await reviveComposed(session, inserted.id)
  for (let segment = 0; placement.checksums !== undefined && segment * SEGMENT_BYTES < placement.checksums.length; segment += 1) {
    const crcs = placement.checksums.subarray(segment * SEGMENT_BYTES, (segment + 1) * SEGMENT_BYTES)
    await session.run(insertChecksums, { chunk: inserted.id, segment, crcs })
  }
  return inserted.id
}

/**
 * Finds the live row of durable bytes that another writer (or this one, earlier) named first. If they lie elsewhere, this copy is known of as dead from
 * the start; a whole object is nothing else, and goes.
 */
export async function findNamedFirst(session: Session, digest: Uint8Array, size: number, placement: Placement): Promise<number | undefined> {
  const live = await session.get(findLive, { digest })
  const { objectId: object, offset, storedLength: stored } = placement
  if (live === undefined || (live.object_id === object && live.offset === offset)) return live?.id
  const copy = { digest, size, object, offset, stored, codec: chunkCodec[placement.codec] }
  if (placement.kind === 'pack') {
    if (await insertCondemnedCopy(session, copy, null)) await countDeadBytes(session, object, stored)
  } else if (await condemnObject(session, object)) await insertCondemnedCopy(session, copy, null)
  return live.id
}

/** Where a blob lies. `key` undefined: it is composed of other chunks. */
export interface ChunkPlace {
  readonly id: number
  readonly size: number
  readonly damaged: boolean
  readonly offset: number
  readonly storedLength: number
  readonly codec: Codec
  readonly kind: ObjectKind
  readonly key: string | undefined
}

interface PlaceRow {
  readonly id: number
  readonly size: number
  readonly state: number
  readonly offset: number
  readonly stored_length: number
  readonly codec: number
  readonly key: string | null
  readonly kind: number | null
}

/** Reads the columns of a place. */
export function placeOf(row: PlaceRow): ChunkPlace {
  return {
    id: row.id,
    size: row.size,
    damaged: row.state === chunkState.damaged,
    offset: row.offset,
    storedLength: row.stored_length,
    codec: row.codec === chunkCodec.zstd ? 'zstd' : 'raw',
    kind: row.kind === objectKind.pack ? 'pack' : 'whole',
    key: row.key ?? undefined,
  }
}

/** Finds where bytes lie, damaged ones too. */
export async function locateChunk(session: Session, digest: Uint8Array): Promise<ChunkPlace | undefined> {
  const row = await session.get(locate, { digest })
  return row === undefined ? undefined : placeOf(row)
}

/** CRC-32s of the 1 MiB blocks of one segment of a whole object. */
export async function blockChecksums(session: Session, chunk: number, segment: number): Promise<Uint8Array | undefined> {
  return (await session.get(readChecksums, { chunk, segment }))?.crcs
}
