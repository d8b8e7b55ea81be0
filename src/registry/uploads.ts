import type { PackageId } from '../core/name.ts'
import type { FilePath } from '../core/path.ts'
import { statement, type Session } from './statement.ts'
import { uploadState } from './tables.ts'

const uploadColumns = [
  'id',
  'uuid',
  'state',
  'package_uuid',
  'path',
  'media_type',
  'executable',
  'expected',
  'length',
  'offset',
  'writer',
  'composed_id',
  'digest',
  'expires_at',
] as const

const insertUpload = statement<NewUpload & { ttl: number }>()((p, db, { now }) =>
  db
    .insertInto('uploads')
    .values((eb) => ({
      uuid: p('uuid'),
      actor: p('actor'),
      state: uploadState.open,
      package_uuid: p('package_uuid'),
      path: p('path'),
      media_type: p('media_type'),
      executable: p('executable'),
      expected: p('expected'),
      length: p('length'),
      offset: 0,
      writer: null,
      composed_id: null,
      digest: null,
      created_at: now,
      expires_at: eb(now, '+', p('ttl')),
    }))
    .returning(uploadColumns),
)
const findByUuid = statement<{ uuid: string; actor: string }>()((p, db, { now }) =>
  db
    .selectFrom('uploads')
    .select(uploadColumns)
    .where('uuid', '=', p('uuid'))
    .where('actor', '=', p('actor'))
    .where('state', '<', uploadState.ended)
    .where('expires_at', '>', now),
)
const findById = statement<{ id: number }>()((p, db) =>
  db.selectFrom('uploads').select(uploadColumns).where('id', '=', p('id')).where('state', '<', uploadState.ended),
)
const claim = statement<{ id: number; writer: string; ttl: number }>()((p, db, { now }) =>
  db
    .updateTable('uploads')
    .set((eb) => ({ writer: p('writer'), expires_at: eb(now, '+', p('ttl')) }))
    .where('id', '=', p('id')),
)
const advance = statement<{ id: number; offset: number; ttl: number }>()((p, db, { now }) =>
  db
    .updateTable('uploads')
    .set((eb) => ({ offset: p('offset'), expires_at: eb(now, '+', p('ttl')) }))
    .where('id', '=', p('id')),
)
const describe = statement<{ id: number; length: number; expected: Uint8Array | null; ttl: number }>()((p, db, { now }) =>
  db
    .updateTable('uploads')
    .set((eb) => ({ length: p('length'), expected: p('expected'), expires_at: eb(now, '+', p('ttl')) }))
    .where('id', '=', p('id')),
)
const setComposed = statement<{ id: number; blob: number }>()((p, db) =>
  db
    .updateTable('uploads')
    .set({ composed_id: p('blob') })
    .where('id', '=', p('id')),
)
const complete = statement<{ id: number; digest: Uint8Array; ttl: number }>()((p, db, { now }) =>
  db
    .updateTable('uploads')
    .set((eb) => ({ state: uploadState.complete, digest: p('digest'), expires_at: eb(now, '+', p('ttl')) }))
    .where('id', '=', p('id')),
)
const end = statement<{ id: number }>()((p, db) =>
  db.updateTable('uploads').set({ state: uploadState.ended, writer: null }).where('id', '=', p('id')).where('state', '<', uploadState.ended),
)
const endExpired = statement<{ id: number }>()((p, db, { now }) =>
  db
    .updateTable('uploads')
    .set({ state: uploadState.ended, writer: null })
    .where('id', '=', p('id'))
    .where('state', '<', uploadState.ended)
    .where('expires_at', '<=', now),
)
const expired = statement<{ limit: number }>()((p, db, { now }) =>
  db
    .selectFrom('uploads')
    .select('id')
    .where('expires_at', '<=', now)
    .where('state', '<', uploadState.ended)
    .orderBy('expires_at')
    .orderBy('id')
    .limit(p('limit')),
)
const ended = statement<{ limit: number }>()((p, db) =>
  db.selectFrom('uploads').select('id').where('state', '=', uploadState.ended).orderBy('id').limit(p('limit')),
)
const readComposed = statement<{ id: number }>()((p, db) => db.selectFrom('uploads').select('composed_id').where('id', '=', p('id')))
const deleteUpload = statement<{ id: number }>()((p, db) => db.deleteFrom('uploads').where('id', '=', p('id')).where('state', '=', uploadState.ended))
const insertPart = statement<{ upload: number; position: number; chunk: number; start: number }>()((p, db) =>
  db.insertInto('upload_parts').values({ upload_id: p('upload'), position: p('position'), chunk_id: p('chunk'), start: p('start') }),
)
const lastPart = statement<{ upload: number }>()((p, db) =>
  db.selectFrom('upload_parts').select(['position', 'start']).where('upload_id', '=', p('upload')).orderBy('position', 'desc').limit(1),
)
const deletePart = statement<{ upload: number; position: number }>()((p, db) =>
  db.deleteFrom('upload_parts').where('upload_id', '=', p('upload')).where('position', '=', p('position')),
)
const partPage = statement<{ upload: number; after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('upload_parts')
    .innerJoin('chunks', 'chunks.id', 'upload_parts.chunk_id')
    .select(['upload_parts.position', 'upload_parts.start', 'upload_parts.chunk_id', 'chunks.size', 'chunks.digest'])
    .where('upload_id', '=', p('upload'))
    .where('position', '>', p('after'))
    .orderBy('position')
    .limit(p('limit')),
)
const pageEnd = statement<{ upload: number; limit: number }>()((p, db) =>
  db
    .selectFrom(
      db.selectFrom('upload_parts').select('position').where('upload_id', '=', p('upload')).orderBy('position').limit(p('limit')).as('page'),
    )
    .select((eb) => [eb.fn.max('position').as('last'), eb.fn.countAll<number>().as('count')]),
)
const deleteUpTo = statement<{ upload: number; last: number }>()((p, db) =>
  db.deleteFrom('upload_parts').where('upload_id', '=', p('upload')).where('position', '<=', p('last')),
)

/** What an upload is made with. `length` in bytes, null: declared later. */
export interface NewUpload {
  readonly uuid: string
  readonly actor: string
  readonly package_uuid: PackageId | null
  readonly path: FilePath | null
  readonly media_type: string | null
  readonly executable: number
  readonly expected: Uint8Array | null
  readonly length: number | null
}

/** An upload that is under way, or complete (then `digest` is set). */
export interface UploadRow extends Omit<NewUpload, 'actor'> {
  readonly id: number
  readonly state: number
  readonly offset: number
  readonly writer: string | null
  readonly composed_id: number | null
  readonly digest: Uint8Array | null
  readonly expires_at: number
}

/** A part of an upload. `start` and `size` in bytes. */
export interface UploadPart {
  readonly position: number
  readonly start: number
  readonly chunk_id: number
  readonly size: number
  readonly digest: Uint8Array
}

/** `ttl`: how long it is kept when nobody touches it, ms on the database's clock (I8). */
export async function createUpload(session: Session, upload: NewUpload, ttl: number): Promise<UploadRow> {
  const row = await session.returning(insertUpload, { ...upload, ttl })
  if (row === undefined) throw new TypeError('an upload was not inserted')
  return row
}

/** An upload by its name, for whom it belongs to. Ended and expired ones are not found. */
export async function findUpload(session: Session, uuid: string, actor: string): Promise<UploadRow | undefined> {
  return session.get(findByUuid, { uuid, actor })
}

/** The same by its row, for who has found it before; also when it has expired meanwhile but is still there. */
export async function getUpload(session: Session, id: number): Promise<UploadRow | undefined> {
  return session.get(findById, { id })
}

/** Makes `writer` the only one that can commit to an upload. */
export async function claimUpload(session: Session, id: number, writer: string, ttl: number): Promise<void> {
  await session.run(claim, { id, writer, ttl })
}

/** Counts the bytes before `offset`. The caller has seen in this transaction that it is the writer. */
export async function advanceUpload(session: Session, id: number, offset: number, ttl: number): Promise<void> {
  await session.run(advance, { id, offset, ttl })
}

/** Says how long an upload is, and what it must be. */
export async function describeUpload(
  session: Session,
  id: number,
  facts: { readonly length: number; readonly expected: Uint8Array | null },
  ttl: number,
): Promise<void> {
  await session.run(describe, { id, ...facts, ttl })
}

/** Remembers the blob whose recipe is being filled for an upload. */
export async function setComposedBlob(session: Session, id: number, blob: number): Promise<void> {
  await session.run(setComposed, { id, blob })
}

/** Completes an upload. */
export async function markUploadComplete(session: Session, id: number, digest: Uint8Array, ttl: number): Promise<void> {
  await session.run(complete, { id, digest, ttl })
}

/** Ends an upload: it is no longer there for anybody. @returns false when it was gone */
export async function markUploadEnded(session: Session, id: number): Promise<boolean> {
  return (await session.run(end, { id })) > 0
}

/** Ends an upload that has expired. @returns false when it was touched meanwhile, or is gone */
export async function markUploadExpired(session: Session, id: number): Promise<boolean> {
  return (await session.run(endExpired, { id })) > 0
}

/** Uploads that nobody touched for too long. */
export async function listExpiredUploads(session: Session, limit: number): Promise<readonly number[]> {
  return (await session.all(expired, { limit })).map(({ id }) => id)
}

/** Uploads that have ended but whose rows are not cleared away yet. */
export async function listEndedUploads(session: Session, limit: number): Promise<readonly number[]> {
  return (await session.all(ended, { limit })).map(({ id }) => id)
}

/** The blob whose recipe was filled for an upload, whatever became of either. */
export async function composedBlobOf(session: Session, id: number): Promise<number | undefined> {
  return (await session.get(readComposed, { id }))?.composed_id ?? undefined
}

/** The last row of an ended upload goes when all others have gone. */
export async function removeEndedUpload(session: Session, id: number): Promise<void> {
  await session.run(deleteUpload, { id })
}

/** Adds a part. The caller holds its chunk. */
export async function addPart(
  session: Session,
  part: { readonly upload: number; readonly position: number; readonly chunk: number; readonly start: number },
): Promise<void> {
  await session.run(insertPart, part)
}

/**
 * Drops up to `limit` parts that start at or behind `offset`: they never counted. What they held stays held until the upload ends.
 * @returns how many parts are left, or undefined when there is more to drop
 */
export async function dropPartsFrom(session: Session, upload: number, offset: number, limit: number): Promise<number | undefined> {
  for (let dropped = 0; dropped < limit; dropped += 1) {
    const last = await session.get(lastPart, { upload })
    if (last === undefined || last.start < offset) return (last?.position ?? -1) + 1
    await session.run(deletePart, { upload, position: last.position })
  }
  return undefined
}

/** Parts in order, those after a position (-1: from the first). */
export async function listParts(session: Session, upload: number, after: number, limit: number): Promise<readonly UploadPart[]> {
  return session.all(partPage, { upload, after, limit })
}

/** Deletes up to `limit` parts. @returns how many; less than `limit`: none is left */
export async function clearParts(session: Session, upload: number, limit: number): Promise<number> {
  const { last = null, count = 0 } = (await session.get(pageEnd, { upload, limit })) ?? {}
  if (last !== null) await session.run(deleteUpTo, { upload, last })
  return count
}
