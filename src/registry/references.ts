import { type SqlBool, sql } from 'kysely'
import { statement, type Session } from './statement.ts'
import { chunkState, entryKind, holderKind, objectState, packageStatus } from './tables.ts'

/**
 * Counts rows that contradict each other, a range of ids at a time, so that no statement takes long and readers' snapshots stay short. Each count is
 * taken in one statement, hence consistent however much is written meanwhile. Reads only: reconciling raises alarms and never deletes (I9).
 */

const lastIds = statement<object>()((_p, db) =>
  db.selectNoFrom((eb) => [
    eb
      .selectFrom('chunks')
      .select((of) => of.fn.max('id').as('id'))
      .as('chunks'),
    eb
      .selectFrom('holders')
      .select((of) => of.fn.max('target_id').as('id'))
      .as('targets'),
    eb
      .selectFrom('objects')
      .select((of) => of.fn.max('id').as('id'))
      .as('objects'),
    eb
      .selectFrom('packages')
      .select((of) => of.fn.max('id').as('id'))
      .as('packages'),
  ]),
)
const chunkRange = statement<{ after: number; to: number }>()((p, db) =>
  db
    .selectFrom('chunks')
    .leftJoin('objects', 'objects.id', 'chunks.object_id')
    .select((eb) => [
      eb.fn.countAll<number>().as('rows'),
      countIf(sql<SqlBool>`chunks.object_id is not null and objects.id is null`).as('inNoObject'),
      countIf(sql<SqlBool>`chunks.state < ${sql.lit(chunkState.condemned)} and objects.state = ${sql.lit(objectState.condemned)}`).as(
        'inCondemnedObject',
      ),
      countIf(
        sql<SqlBool>`chunks.object_id is null and chunks.state = ${sql.lit(chunkState.live)} and not exists (select 1 from recipes where recipes.blob_id = chunks.id)`,
      ).as('nowhere'),
      countIf(
        sql<SqlBool>`chunks.state < ${sql.lit(chunkState.condemned)} and not exists (select 1 from holders where holders.target_id = chunks.id) and not exists (select 1 from reviews where reviews.target_id = chunks.id)`,
      ).as('forgotten'),
    ])
    .where('chunks.id', '>', p('after'))
    .where('chunks.id', '<=', p('to')),
)
const recipeRange = statement<{ after: number; to: number }>()((p, db) =>
  db
    .selectFrom('recipes')
    .leftJoin('chunks', 'chunks.id', 'recipes.chunk_id')
    .select((eb) => [
      eb.fn.countAll<number>().as('rows'),
      countIf(sql<SqlBool>`chunks.id is null or chunks.state = ${sql.lit(chunkState.condemned)}`).as('gone'),
      countIf(sql<SqlBool>`chunks.object_id is null and chunks.state = ${sql.lit(chunkState.live)}`).as('composed'),
      countIf(
        sql<SqlBool>`not exists (select 1 from holders where holders.kind = ${sql.lit(holderKind.blob)}
          and holders.holder_id = recipes.blob_id and holders.target_id = recipes.chunk_id)`,
      ).as('unheld'),
    ])
    .where('recipes.blob_id', '>', p('after'))
    .where('recipes.blob_id', '<=', p('to')),
)
const partRows = statement<object>()((_p, db) =>
  db
    .selectFrom('upload_parts')
    .leftJoin('uploads', 'uploads.id', 'upload_parts.upload_id')
    .select((eb) => [
      eb.fn.countAll<number>().as('rows'),
      countIf(sql<SqlBool>`uploads.id is null`).as('ofNoUpload'),
      countIf(
        sql<SqlBool>`uploads.state < 2 and not exists (select 1 from holders where holders.kind = ${sql.lit(holderKind.upload)}
          and holders.holder_id = upload_parts.upload_id and holders.target_id = upload_parts.chunk_id)`,
      ).as('unheld'),
    ]),
)
const holderRange = statement<{ after: number; to: number }>()((p, db) =>
  db
    .selectFrom('holders')
    .leftJoin('chunks', 'chunks.id', 'holders.target_id')
    .select((eb) => [
      eb.fn.countAll<number>().as('rows'),
      countIf(sql<SqlBool>`chunks.id is null`).as('ofNothing'),
      countIf(sql<SqlBool>`chunks.state = ${sql.lit(chunkState.condemned)}`).as('ofCondemned'),
      countIf(holderIsGone()).as('byNobody'),
    ])
    .where('holders.target_id', '>', p('after'))
    .where('holders.target_id', '<=', p('to')),
)
const packageRange = statement<{ after: number; to: number }>()((p, db) =>
  db
    .selectFrom('packages')
    .select((eb) => [
      eb.fn.countAll<number>().as('rows'),
      countIf(
        sql<SqlBool>`not exists (select 1 from chunks inner join manifests on manifests.chunk_id = chunks.id and manifests.state = 1
          inner join holders on holders.kind = ${sql.lit(holderKind.package)} and holders.holder_id = packages.id and holders.target_id = chunks.id
          where chunks.digest = packages.manifest_digest and chunks.state < 2)`,
      ).as('unheld'),
    ])
    // With a sign, so that no index of the status is preferred to the range.
    .where(sql<SqlBool>`+packages.status = ${sql.lit(packageStatus.finalized)}`)
    .where('packages.id', '>', p('after'))
    .where('packages.id', '<=', p('to')),
)
const counterRange = statement<{ after: number; to: number }>()((p, db) =>
  db
    .selectFrom('objects')
    .leftJoin('chunks', 'chunks.object_id', 'objects.id')
    .select('objects.key')
    .where('objects.id', '>', p('after'))
    .where('objects.id', '<=', p('to'))
    .groupBy(['objects.id', 'objects.key', 'objects.size', 'objects.entries', 'objects.dead_bytes'])
    .having(
      sql<SqlBool>`objects.dead_bytes < 0 or (objects.size > 0 and objects.dead_bytes + coalesce(sum(case when chunks.state = ${sql.lit(chunkState.condemned)} then 0 else chunks.stored_length end), 0) > objects.size)
        or (objects.entries > 0 and count(chunks.id) > objects.entries)`,
    ),
)
const draftRows = statement<object>()((_p, db) =>
  db
    .selectFrom('draft_entries')
    .leftJoin('drafts', 'drafts.id', 'draft_entries.draft_id')
    .leftJoin('chunks', 'chunks.id', 'draft_entries.chunk_id')
    .select((eb) => [
      eb.fn.countAll<number>().as('rows'),
      countIf(sql<SqlBool>`drafts.id is null`).as('ofNoDraft'),
      countIf(
        sql<SqlBool>`draft_entries.kind = ${sql.lit(entryKind.file)} and drafts.state < 2 and (chunks.id is null or chunks.state = 2 or not exists
          (select 1 from holders where holders.kind = ${sql.lit(holderKind.draft)} and holders.holder_id = draft_entries.draft_id and holders.target_id = chunks.id))`,
      ).as('unheld'),
    ]),
)

function countIf(condition: ReturnType<typeof sql<SqlBool>>): ReturnType<typeof sql<number>> {
  return sql<number>`coalesce(sum(case when ${condition} then 1 else 0 end), 0)`
}

function holderIsGone(): ReturnType<typeof sql<SqlBool>> {
  const tables = [
    // Of leases the rows go after the lease itself: what is left only keeps bytes, and the reaper comes by.
    ['draft', 'drafts'],
    ['package', 'packages'],
    ['manifest', 'manifests'],
    ['blob', 'chunks'],
    ['document', 'documents'],
    ['upload', 'uploads'],
  ] as const
  const cases = tables.map(
    ([kind, table]) =>
      sql`when ${sql.lit(holderKind[kind])} then not exists (select 1 from ${sql.table(table)} as holder where holder.id = holders.holder_id)`,
  )
  return sql<SqlBool>`case holders.kind ${sql.join(cases, sql` `)} else false end`
}

/** The ids that the ranges below must cover, from 0 on. */
export interface LastIds {
  readonly chunks: number
  readonly objects: number
  readonly packages: number
}

/** Where the ranges end now; what is written later belongs to another examination. */
export async function readLastIds(session: Session): Promise<LastIds> {
  const row = await session.get(lastIds, {})
  return { chunks: Math.max(row?.chunks ?? 0, row?.targets ?? 0), objects: row?.objects ?? 0, packages: row?.packages ?? 0 }
}

/** Chunks that contradict other rows, those with ids from `after` (exclusive) to `to`. */
export interface ChunkContradictions {
  readonly rows: number
  /** Placed in an object that has no row. */
  readonly inNoObject: number
  /** In use, but their object is going to be deleted (I4). */
  readonly inCondemnedObject: number
  /** Said to be whole, but neither placed nor composed of others. */
  readonly nowhere: number
  /** Neither held nor waiting for the collector: kept for nothing, for ever. */
  readonly forgotten: number
}

/** Counts contradictions of chunks. */
export async function contradictingChunks(session: Session, after: number, to: number): Promise<ChunkContradictions> {
  return (await session.get(chunkRange, { after, to })) ?? { rows: 0, inNoObject: 0, inCondemnedObject: 0, nowhere: 0, forgotten: 0 }
}

/** Parts of composed blobs that contradict other rows. */
export interface RecipeContradictions {
  readonly rows: number
  /** They are no more, or going to be deleted. */
  readonly gone: number
  /** They are composed themselves, which no reader expects. */
  readonly composed: number
  /** Their blob does not hold them. */
  readonly unheld: number
}

/** Counts contradictions in the recipes of blobs with ids from `after` (exclusive) to `to`. */
export async function contradictingRecipes(session: Session, after: number, to: number): Promise<RecipeContradictions> {
  return (await session.get(recipeRange, { after, to })) ?? { rows: 0, gone: 0, composed: 0, unheld: 0 }
}

/** Parts of uploads that belong to no upload, or whose bytes the upload does not hold. */
export async function contradictingUploads(
  session: Session,
): Promise<{ readonly rows: number; readonly ofNoUpload: number; readonly unheld: number }> {
  return (await session.get(partRows, {})) ?? { rows: 0, ofNoUpload: 0, unheld: 0 }
}

/** Holders that contradict other rows; by the ids of what they hold. */
export interface HolderContradictions {
  readonly rows: number
  /** They keep what has no row: something is lost (I1). */
  readonly ofNothing: number
  /** They keep what is going to be deleted (I3). */
  readonly ofCondemned: number
  /** Whoever held is gone: these rows only keep bytes. */
  readonly byNobody: number
}

/** Counts contradictions of holders of chunks with ids from `after` (exclusive) to `to`. */
export async function contradictingHolders(session: Session, after: number, to: number): Promise<HolderContradictions> {
  return (await session.get(holderRange, { after, to })) ?? { rows: 0, ofNothing: 0, ofCondemned: 0, byNobody: 0 }
}

/** Sealed packages, and how many of them do not hold their manifest, so that nothing would keep their bytes (I1). */
export async function unheldPackages(session: Session, after: number, to: number): Promise<{ readonly rows: number; readonly unheld: number }> {
  return (await session.get(packageRange, { after, to })) ?? { rows: 0, unheld: 0 }
}

/** Keys of objects whose counters (size, entries, dead bytes) cannot be true beside the chunks that lie in them. */
export async function contradictingCounters(session: Session, after: number, to: number): Promise<readonly string[]> {
  return (await session.all(counterRange, { after, to })).map((row) => row.key)
}

/** Entries of open packages that belong to no package, or whose bytes the package does not hold. */
export async function contradictingEntries(
  session: Session,
): Promise<{ readonly rows: number; readonly ofNoDraft: number; readonly unheld: number }> {
  return (await session.get(draftRows, {})) ?? { rows: 0, ofNoDraft: 0, unheld: 0 }
}
