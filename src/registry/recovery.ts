import { sql } from 'kysely'
import type { ObjectKey } from '../ports/backend.ts'
import type { ObjectKind } from '../ports/data-plane.ts'
import { locateChunk } from './chunks.ts'
import { DEFAULT_DOMAIN } from './objects.ts'
import { statement, type Session } from './statement.ts'
import { chunkCodec, chunkState, manifestState, objectKind, objectState } from './tables.ts'

const insertFound = statement<{ key: string; kind: number; size: number; entries: number }>()((p, db, { now }) =>
  db
    .insertInto('objects')
    .values({
      domain: DEFAULT_DOMAIN,
      key: p('key'),
      kind: p('kind'),
      state: objectState.sealed,
      lease_id: null,
      retention_class: null,
      erase_by: null,
      settled_at: null,
      size: p('size'),
      entries: p('entries'),
      created_at: now,
      changed_at: now,
      verified_at: null,
    })
    .returning('id'),
)
const insertLost = statement<{ digest: Uint8Array; size: number }>()((p, db, { now }) =>
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
      state: chunkState.damaged,
      erase_by: null,
      verified_at: null,
      created_at: now,
    })
    .onConflict((conflict) => conflict.doNothing())
    .returning('id'),
)
const insertPublished = statement<{ chunk: number }>()((p, db, { now }) =>
  db
    .insertInto('manifests')
    .values({ chunk_id: p('chunk'), state: manifestState.published, draft_id: null, created_at: now })
    .returning('id'),
)
const queueUnheld = statement<{ after: number; to: number }>()((p, db, { now }) =>
  db
    .insertInto('reviews')
    .columns(['target_id', 'queued_at', 'released'])
    .expression((eb) =>
      eb
        .selectFrom('chunks')
        .select((of) => ['chunks.id', now.as('queued_at'), of.lit(1).as('released')])
        .where('chunks.id', '>', p('after'))
        .where('chunks.id', '<=', p('to'))
        .where(({ not, exists, selectFrom }) => not(exists(selectFrom('holders').select('target_id').whereRef('target_id', '=', 'chunks.id')))),
    )
    .onConflict((conflict) => conflict.column('target_id').doNothing()),
)
const lastChunk = statement<object>()((_p, db) => db.selectFrom('chunks').select(sql<number>`coalesce(max(id), 0)`.as('id')))

/** An object that was found in the backend: complete, and nobody's. @returns its row id */
export async function insertFoundObject(
  session: Session,
  object: { readonly key: ObjectKey; readonly kind: ObjectKind; readonly size: number; readonly entries: number },
): Promise<number> {
  const row = await session.returning(insertFound, { ...object, kind: objectKind[object.kind] })
  if (row === undefined) throw new TypeError('an object was not inserted')
  return row.id
}

/**
 * The row by which bytes that a manifest names are held (I1): where they are lost or damaged, too, so that they are kept once they arrive again.
 * `size` in bytes, as the manifest says.
 */
export async function namedChunk(session: Session, digest: Uint8Array, size: number): Promise<number> {
  const known = (await locateChunk(session, digest)) ?? (await session.returning(insertLost, { digest, size }))
  if (known === undefined) throw new TypeError('a lost chunk was not inserted')
  return known.id
}

/** A manifest that a package of the log names. @returns its id as a holder */
export async function insertPublishedManifest(session: Session, chunk: number): Promise<number> {
  const row = await session.returning(insertPublished, { chunk })
  if (row === undefined) throw new TypeError('a manifest was not inserted')
  return row.id
}

/** The highest id of a chunk. */
export async function lastChunkId(session: Session): Promise<number> {
  return (await session.get(lastChunk, {}))?.id ?? 0
}

/** Queues chunks that nothing holds for review, as released, since nobody knows any more which of them are; those with ids from `after` (exclusive) to `to`. */
export async function queueUnheldChunks(session: Session, after: number, to: number): Promise<number> {
  return session.run(queueUnheld, { after, to })
}
