import { type RawBuilder, type SqlBool, sql } from 'kysely'
import { EMPTY_DESCRIPTOR } from '../core/descriptor.ts'
import { rawSha256 } from '../core/digest.ts'
import { statement, type Session, type Statement } from './statement.ts'
import { draftState, objectKind, objectState, packageStatus, partStage } from './tables.ts'

/**
 * Sums over whole tables, a range of ids at a time: no statement takes long, memory is bounded, and since only the reader's connection is used no
 * writer waits. The sums of one range are consistent; those of a store that is written to meanwhile are a moment apart. Sizes in bytes.
 */

/** What most manifests have as their configuration. */
const empty = rawSha256(EMPTY_DESCRIPTOR.digest)

/** Ids after the first (exclusive) up to the second. */
interface Range {
  readonly after: number
  readonly to: number
}

/** What keeps a chunk, told by its most telling holder. The bytes of a part count where the blob that is composed of it does. */
const chunkRole = { content: 0, part: 1, description: 2, open: 3, unheld: 4 } as const

/** The ways from a chunk to the sealed packages that have it as a file. The empty configuration of manifests is none. */
const filesOfPackages = (empty: Uint8Array): RawBuilder<unknown> => sql`holders
  inner join manifests on manifests.id = holders.holder_id and manifests.state = 1
  inner join chunks as manifest on manifest.id = manifests.chunk_id
  inner join package_children as child on child.digest = manifest.digest
  inner join package_parts as facts on facts.package_id = child.package_id and facts.set_key = child.set_key and facts.stage < ${sql.lit(partStage.purging)}
  inner join packages on packages.id = child.package_id and packages.status = ${sql.lit(packageStatus.finalized)} and packages.document_digest <> chunks.digest
  where holders.kind = 4 and holders.target_id = chunks.id and chunks.digest <> ${empty}`

/** With a sign, so that no index of the status is preferred to the range. */
const isFinalized = sql<SqlBool>`+packages.status = ${sql.lit(packageStatus.finalized)}`

const chunkRange = statement<Range & { empty: Uint8Array }>()((p, db) =>
  db
    .selectFrom(
      db
        .selectFrom('chunks')
        .leftJoin('objects', 'objects.id', 'chunks.object_id')
        .select([
          'objects.kind',
          'chunks.size',
          'chunks.stored_length',
          sql<number>`case
            when exists (select 1 from ${filesOfPackages(p('empty'))}) then ${sql.lit(chunkRole.content)}
            when exists (select 1 from holders where holders.target_id = chunks.id and holders.kind = 5) then ${sql.lit(chunkRole.part)}
            when exists (select 1 from holders where holders.target_id = chunks.id and holders.kind not in (2, 7)) then ${sql.lit(chunkRole.description)}
            when exists (select 1 from holders where holders.target_id = chunks.id) then ${sql.lit(chunkRole.open)}
            else ${sql.lit(chunkRole.unheld)} end`.as('role'),
        ])
        .where('chunks.id', '>', p('after'))
        .where('chunks.id', '<=', p('to'))
        // What is composed lies in no object; what is lost does not either.
        .where(sql<SqlBool>`chunks.state < 2 and (chunks.object_id is not null or chunks.state = 0)`)
        .as('chunk'),
    )
    .select((eb) => ['role', 'kind', eb.fn.countAll<number>().as('count'), total(sql`size`).as('size'), total(sql`stored_length`).as('stored')])
    .groupBy(['role', 'kind']),
)
const packageRange = statement<Range>()((p, db) =>
  db
    .selectFrom('packages')
    .select((eb) => [
      'repository_id',
      'status',
      eb.fn.countAll<number>().as('packages'),
      total(sql`file_count`).as('files'),
      total(sql`size`).as('size'),
    ])
    .where('id', '>', p('after'))
    .where('id', '<=', p('to'))
    .groupBy(['repository_id', 'status']),
)
const classRange = statement<Range>()((p, db) =>
  db
    .selectFrom('package_children as child')
    .innerJoin('packages', 'packages.id', 'child.package_id')
    .innerJoin('package_parts as part', (join) => join.onRef('part.package_id', '=', 'child.package_id').onRef('part.set_key', '=', 'child.set_key'))
    .select((eb) => [
      'part.retention_class as owner',
      eb.fn.count<number>('child.package_id').distinct().as('packages'),
      total(sql`child.file_count`).as('files'),
      total(sql`child.size`).as('size'),
    ])
    .where('child.package_id', '>', p('after'))
    .where('child.package_id', '<=', p('to'))
    .where(isFinalized)
    .where('part.stage', '<', partStage.purging)
    .groupBy('part.retention_class'),
)
const sharesByRepository = shares(sql<number>`packages.repository_id`)
const sharesByClass = shares(sql<string | null>`facts.retention_class`)
const objectRange = statement<Range>()((p, db) =>
  db
    .selectFrom('objects')
    .select((eb) => [
      'kind',
      'state',
      eb.fn.countAll<number>().as('count'),
      // The size of an object is known when it is complete; until then, how far it is named.
      total(
        sql`case when objects.size > 0 then objects.size else coalesce(
          (select chunks.offset + chunks.stored_length from chunks where chunks.object_id = objects.id order by chunks.offset desc limit 1), 0) end`,
      ).as('size'),
      total(sql`dead_bytes`).as('dead'),
    ])
    .where('id', '>', p('after'))
    .where('id', '<=', p('to'))
    .where('state', '<', objectState.condemned)
    .groupBy(['kind', 'state']),
)
const repositoryPage = statement<{ after: number; limit: number }>()((p, db) =>
  db.selectFrom('repositories').select(['id', 'name']).where('id', '>', p('after')).orderBy('id').limit(p('limit')),
)
const draftTotals = statement<object>()((_p, db) =>
  db
    .selectFrom('draft_entries')
    .innerJoin('drafts', 'drafts.id', 'draft_entries.draft_id')
    .select((eb) => [eb.fn.countAll<number>().as('entries'), total(sql`draft_entries.size`).as('size')])
    .where('drafts.state', '<', draftState.ended),
)

function total(value: RawBuilder<unknown>): RawBuilder<number> {
  return sql<number>`coalesce(sum(${value}), 0)`
}

/** Each chunk counts once for each owner that reaches it. The cross join keeps the range of chunks in front, whatever the planner thinks. */
function shares<Owner>(
  owner: RawBuilder<Owner>,
): Statement<Range & { empty: Uint8Array }, { readonly owner: Owner; readonly size: number; readonly stored: number }> {
  return statement<Range & { empty: Uint8Array }>()((p, db) =>
    db
      .selectFrom(
        sql<{ owner: Owner; size: number; stored: number }>`(select distinct chunks.id, ${owner} as owner, chunks.size, chunks.stored_length as stored
          from chunks cross join ${filesOfPackages(p('empty'))} and chunks.id > ${p('after')} and chunks.id <= ${p('to')} and chunks.state < 2)`.as(
          'part',
        ),
      )
      .select(['part.owner', total(sql`size`).as('size'), total(sql`stored`).as('stored')])
      .groupBy('part.owner'),
  )
}

/** Chunks of one kind: `size` as users know them, `stored` as they lie in their objects. */
export interface ChunkTotal {
  readonly role: keyof typeof chunkRole
  readonly inPack: boolean
  readonly count: number
  readonly size: number
  readonly stored: number
}

/** Sums of chunks by what keeps them. */
export async function sumChunks(session: Session, after: number, to: number): Promise<readonly ChunkTotal[]> {
  const rows = await session.all(chunkRange, { after, to, empty })
  return rows.map(({ role, kind, count, size, stored }) => ({ role: roleOf(role), inPack: kind === objectKind.pack, count, size, stored }))
}

const roles = ['content', 'part', 'description', 'open'] as const

function roleOf(role: number): keyof typeof chunkRole {
  return roles.find((name) => chunkRole[name] === role) ?? 'unheld'
}

/** Packages of one repository as users see them. */
export interface PackageTotal {
  readonly repository: number
  readonly purged: boolean
  readonly packages: number
  readonly files: number
  readonly size: number
}

/** Sums of packages by repository. */
export async function sumPackages(session: Session, after: number, to: number): Promise<readonly PackageTotal[]> {
  const rows = await session.all(packageRange, { after, to })
  return rows.map(({ repository_id: repository, status, ...sums }) => ({ repository, purged: status === packageStatus.purged, ...sums }))
}

/** Files of one retention class as users see them; `owner` null: of no class. A package with file sets may count in several. */
export interface ClassTotal {
  readonly owner: string | null
  readonly packages: number
  readonly files: number
  readonly size: number
}

/** Sums of packages by retention class. */
export async function sumClasses(session: Session, after: number, to: number): Promise<readonly ClassTotal[]> {
  return session.all(classRange, { after, to })
}

/** Distinct bytes that one repository or class reaches. Bytes that several reach count for each. */
export interface Share<Owner> {
  readonly owner: Owner
  readonly size: number
  readonly stored: number
}

/** By repository, for chunks with ids in the range. Costs a step for each file of each package. */
export async function shareByRepository(session: Session, after: number, to: number): Promise<readonly Share<number>[]> {
  return session.all(sharesByRepository, { after, to, empty })
}

/** By retention class; see {@link shareByRepository}. */
export async function shareByClass(session: Session, after: number, to: number): Promise<readonly Share<string | null>[]> {
  return session.all(sharesByClass, { after, to, empty })
}

/** Objects that are there: `size` as far as it is known, `dead`: bytes in them that nothing names, as far as it is known. */
export interface ObjectTotal {
  readonly isPack: boolean
  readonly isComplete: boolean
  readonly count: number
  readonly size: number
  readonly dead: number
}

/** Sums of objects by kind. */
export async function sumObjects(session: Session, after: number, to: number): Promise<readonly ObjectTotal[]> {
  const rows = await session.all(objectRange, { after, to })
  return rows.map(({ kind, state, ...sums }) => ({ isPack: kind === objectKind.pack, isComplete: state === objectState.sealed, ...sums }))
}

/** Names of repositories in the order of their rows. */
export async function listRepositoryNames(
  session: Session,
  after: number,
  limit: number,
): Promise<readonly { readonly id: number; readonly name: string }[]> {
  return session.all(repositoryPage, { after, limit })
}

/** What open packages hold by name. */
export async function sumDraftEntries(session: Session): Promise<{ readonly entries: number; readonly size: number }> {
  return (await session.get(draftTotals, {})) ?? { entries: 0, size: 0 }
}
