import { type RawBuilder, type SqlBool, sql } from 'kysely'
import type { RepositoryName, TagName } from '../core/name.ts'
import type { BoundQuery, SqlValue } from './dialect.ts'
import { packageColumns, type PackageRow } from './packages.ts'
import { isBelow, readableConditions, type ReadableRepositories } from './repositories.ts'
import type { Session } from './statement.ts'
import { packageStatus } from './tables.ts'

/** Fewer matches than this are all looked at and sorted; more are met soon enough on a walk through the newest packages. */
const FEW = 2_000
/** Up to so many repositories are read each in its own order, and merged. */
const MERGED = 32

/** Filters of a search as they reach the database: parsed, all of them must hold. Times are UTC milliseconds. */
export interface PackageQuery {
  /** What the caller may read. */
  readonly readable: ReadableRepositories
  readonly repository?: RepositoryName
  readonly producer?: string
  readonly subject?: string
  readonly runId?: string
  readonly type?: string
  /** Of the package, or of a part of it. */
  readonly retentionClass?: string
  readonly status?: 'finalized' | 'deleted' | 'purged'
  readonly tag?: TagName
  readonly from?: number
  readonly until?: number
  readonly metadata?: ReadonlyMap<string, string>
  /** The last row of the page before. */
  readonly after?: { readonly finalizedAt: number; readonly id: number }
  readonly limit: number
}

/** One thing that packages must be. */
interface Condition {
  /** The ids of all that are so, by an index. */
  readonly source: RawBuilder<unknown>
  /** Says it of a row, in a form that tempts the planner to no index. */
  readonly test: RawBuilder<SqlBool>
  /** Says it of a row, in the form of an index that has the rows in order of time. */
  readonly walk?: RawBuilder<SqlBool>
}

/** Newest first. */
export async function searchPackages(session: Session, query: PackageQuery): Promise<readonly PackageRow[]> {
  const planned = await packageSearch(session, query)
  return planned === undefined ? [] : session.query<PackageRow>(planned)
}

/**
 * Finds the way to a page that takes few steps whatever the filters: the condition that few packages meet leads; if many meet each, the newest packages
 * are walked through in the order of an index. Which it is, is found out by counting up to {@link FEW}, since no planner knows (SQLite has no
 * statistics here, and every planner misjudges filters that depend on each other below a limit).
 * @returns undefined when nothing can match
 */
export async function packageSearch(session: Session, query: PackageQuery): Promise<BoundQuery | undefined> {
  const repositories = await chosenRepositories(session, query)
  if (repositories?.length === 0) return undefined
  const conditions = [...repositoryConditions(repositories, query), ...conditionsOf(query)]
  const [only] = conditions
  if (only === undefined || (conditions.length === 1 && only.walk !== undefined)) return bound(session, walk(query, only, []))
  let fewest: { readonly condition: Condition; readonly count: number } | undefined
  for (const condition of conditions) {
    const count = await countUpTo(session, condition, FEW)
    if (count === 0) return undefined
    if (fewest === undefined || count < fewest.count) fewest = { condition, count }
  }
  if (fewest !== undefined && fewest.count < FEW) return bound(session, sorted(query, fewest.condition, conditions))
  if (repositories !== undefined && repositories.length > 1 && repositories.length <= MERGED) {
    return bound(session, merged(query, repositories, conditions.slice(1)))
  }
  const leader = conditions.find((condition) => condition.walk !== undefined)
  return bound(session, walk(query, leader, conditions))
}

/** Reads all that meet one condition, and sorts those that meet the others. */
function sorted(query: PackageQuery, leader: Condition, conditions: readonly Condition[]): RawBuilder<unknown> {
  const others = conditions.filter((condition) => condition !== leader).map(({ test }) => test)
  return page(sql`packages.id in (${leader.source})`, [...others, ...later(query, sql`+packages.finalized_at`)], sql`+packages.finalized_at`, query)
}

/** Reads in the order of an index until the page is full. */
function walk(query: PackageQuery, leader: Condition | undefined, conditions: readonly Condition[]): RawBuilder<unknown> {
  const others = conditions.filter((condition) => condition !== leader).map(({ test }) => test)
  return page(leader?.walk ?? sql`1 = 1`, [...others, ...later(query, sql`packages.finalized_at`)], sql`packages.finalized_at`, query)
}

/** Reads a page of each repository in the order of its index, and sorts what these have. */
function merged(query: PackageQuery, repositories: readonly number[], others: readonly Condition[]): RawBuilder<unknown> {
  const conditions = [...others.map(({ test }) => test), ...later(query, sql`packages.finalized_at`)]
  const parts = repositories.map(
    (id) => sql`select * from (select packages.id from packages where packages.repository_id = ${id} and packages.hidden = 0 ${all(conditions)}
      order by packages.finalized_at desc, packages.id desc limit ${query.limit})`,
  )
  return page(sql`packages.id in (${sql.join(parts, sql` union all `)})`, [], sql`+packages.finalized_at`, query)
}

function page(
  first: RawBuilder<unknown>,
  others: readonly RawBuilder<unknown>[],
  order: RawBuilder<unknown>,
  query: PackageQuery,
): RawBuilder<unknown> {
  const columns = sql.join(packageColumns.map((column) => column.split(' as ')).map(([name = '', alias]) => named(name, alias)))
  // A left join, which is never the first to be read.
  return sql`select ${columns} from packages left join repositories on repositories.id = packages.repository_id
    where ${first} and packages.hidden = 0 ${all(others)} order by ${order} desc, packages.id desc limit ${query.limit}`
}

function named(column: string, alias: string | undefined): RawBuilder<unknown> {
  return alias === undefined ? sql.ref(column) : sql`${sql.ref(column)} as ${sql.ref(alias)}`
}

function all(conditions: readonly RawBuilder<unknown>[]): RawBuilder<unknown> {
  return sql.join(
    conditions.map((condition) => sql`and ${condition}`),
    sql` `,
  )
}

/** Where a page begins, and how far it may go. */
function later({ from, until, after }: PackageQuery, time: RawBuilder<unknown>): readonly RawBuilder<unknown>[] {
  return [
    ...(from === undefined ? [] : [sql`${time} >= ${from}`]),
    ...(until === undefined ? [] : [sql`${time} < ${until}`]),
    ...(after === undefined ? [] : [sql`(${time}, packages.id) < (${after.finalizedAt}, ${after.id})`]),
  ]
}

/** All conditions but that of repositories; those in front lead a walk. A time range is part of each walk. */
function conditionsOf(query: PackageQuery): readonly Condition[] {
  const { producer, subject, runId, type, retentionClass, status, tag, from, until, metadata = new Map<string, string>() } = query
  return [
    ...columnCondition('run_id', runId),
    ...columnCondition('subject', subject),
    ...columnCondition('producer', producer),
    ...(tag === undefined ? [] : [tagCondition(tag)]),
    ...[...metadata].map(([key, value]) => metadataCondition(key, value)),
    ...(retentionClass === undefined ? [] : [classCondition(retentionClass)]),
    ...columnCondition('type', type),
    ...(from === undefined && until === undefined ? [] : [timeCondition(from, until)]),
    ...(status === undefined ? [] : [statusCondition(packageStatus[status])]),
  ]
}

function columnCondition(column: 'run_id' | 'subject' | 'producer' | 'type', value: string | undefined): readonly Condition[] {
  if (value === undefined) return []
  const name = sql.ref(`packages.${column}`)
  const isSo = sql<SqlBool>`${name} = ${value}`
  return [{ source: sql`select packages.id from packages where ${isSo}`, test: sql<SqlBool>`${name} || '' = ${value}`, walk: isSo }]
}

function statusCondition(status: number): Condition {
  const isSo = sql<SqlBool>`packages.status = ${status}`
  return { source: sql`select packages.id from packages where ${isSo}`, test: sql<SqlBool>`+packages.status = ${status}`, walk: isSo }
}

function timeCondition(from: number | undefined, until: number | undefined): Condition {
  const bounds = [
    ...(from === undefined ? [] : [sql`packages.finalized_at >= ${from}`]),
    ...(until === undefined ? [] : [sql`packages.finalized_at < ${until}`]),
  ]
  return { source: sql`select packages.id from packages where 1 = 1 ${all(bounds)}`, test: sql<SqlBool>`1 = 1`, walk: sql<SqlBool>`1 = 1` }
}

function tagCondition(tag: TagName): Condition {
  return {
    source: sql`select tags.package_id as id from tags where tags.name = ${tag}`,
    test: sql<SqlBool>`exists (select 1 from tags where tags.package_id = packages.id and tags.name || '' = ${tag})`,
  }
}

function metadataCondition(key: string, value: string): Condition {
  return {
    source: sql`select entry.package_id as id from package_metadata as entry where entry.key = ${key} and entry.value = ${value}`,
    test: sql<SqlBool>`exists (select 1 from package_metadata as entry
      where entry.package_id = packages.id and entry.key = ${key} and entry.value || '' = ${value})`,
  }
}

function classCondition(retentionClass: string): Condition {
  return {
    source: sql`select packages.id from packages where packages.retention_class = ${retentionClass}
      union all select part.package_id as id from package_parts as part where part.retention_class = ${retentionClass}`,
    test: sql<SqlBool>`(packages.retention_class || '' = ${retentionClass} or exists (select 1 from package_parts as part
      where part.package_id = packages.id and part.retention_class || '' = ${retentionClass}))`,
  }
}

/** The repositories that a search is about, as far as they are few: up to {@link MERGED}, or one more. Undefined: all there are. */
async function chosenRepositories(session: Session, { repository, readable }: PackageQuery): Promise<readonly number[] | undefined> {
  if (repository === undefined && readable === 'all') return undefined
  const rows = await session.query<{ id: number }>(
    bound(session, sql`select id from (${repositoryIds({ repository, readable })}) as chosen limit ${MERGED + 1}`),
  )
  const ids = rows.map((row) => row.id)
  // Several patterns may name one; of many it does not matter.
  return ids.length > MERGED ? ids : [...new Set(ids)]
}

function repositoryConditions(ids: readonly number[] | undefined, query: PackageQuery): readonly Condition[] {
  if (ids === undefined) return []
  const [id] = ids
  const isOne = sql<SqlBool>`packages.repository_id = ${id}`
  if (ids.length === 1)
    return [{ source: sql`select packages.id from packages where ${isOne}`, test: sql<SqlBool>`+packages.repository_id = ${id}`, walk: isOne }]
  const set = ids.length <= MERGED ? sql`${sql.join(ids)}` : repositoryIds(query)
  return [
    {
      source: sql`select packages.id from packages where packages.repository_id in (${set})`,
      test: sql<SqlBool>`+packages.repository_id in (${set})`,
    },
  ]
}

function repositoryIds({
  repository,
  readable,
}: Pick<PackageQuery, 'readable'> & { readonly repository?: RepositoryName | undefined }): RawBuilder<unknown> {
  const wanted = repository === undefined ? [] : [sql<SqlBool>`repositories.name = ${repository}`, isBelow(repository)]
  const allowed = readable === 'all' ? [] : readableConditions(readable)
  const both =
    wanted.length === 0 ? allowed : allowed.length === 0 ? wanted : wanted.flatMap((one) => allowed.map((other) => sql`${one} and ${other}`))
  // One after the other: of conditions that are joined by OR, the planner makes one walk through the whole table.
  return sql.join(
    both.map((condition) => sql`select repositories.id from repositories where ${condition}`),
    sql` union all `,
  )
}

async function countUpTo(session: Session, { source }: Condition, limit: number): Promise<number> {
  const [row] = await session.query<{ count: number }>(bound(session, sql`select count(*) as count from (${source} limit ${limit}) as found`))
  return row?.count ?? 0
}

function bound(session: Session, query: RawBuilder<unknown>): BoundQuery {
  const { sql: text, parameters } = query.compile(session.dialect.builder)
  // Sound: every value above is a string or a number.
  return { sql: text, parameters: parameters as readonly SqlValue[] }
}
