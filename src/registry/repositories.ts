import { type Kysely, type RawBuilder, type SelectQueryBuilder, type SqlBool, sql } from 'kysely'
import { patternScope, type RepositoryPattern } from '../core/access.ts'
import type { RepositoryName, TenantName } from '../core/name.ts'
import type { BoundQuery } from './dialect.ts'
import { statement, type Session } from './statement.ts'
import type { Tables } from './tables.ts'

const findTenant = statement<{ name: TenantName }>()((p, db) => db.selectFrom('tenants').select('id').where('name', '=', p('name')))
const insertTenant = statement<{ name: TenantName }>()((p, db) =>
  db
    .insertInto('tenants')
    .values({ name: p('name') })
    .returning('id'),
)
const findByName = statement<{ name: RepositoryName }>()((p, db) =>
  db.selectFrom('repositories').select(['id', 'policy', 'created_at']).where('name', '=', p('name')),
)
const policies = statement<{ from: RepositoryName; to: RepositoryName; after: RepositoryName; limit: number }>()((p, db) =>
  db
    .selectFrom('repositories')
    .select(['name', 'policy'])
    .where('name', '>=', p('from'))
    .where('name', '<', p('to'))
    .where('name', '>', p('after'))
    .orderBy('name')
    .limit(p('limit')),
)
const insert = statement<{ tenant: number; name: RepositoryName; policy: string; created: number }>()((p, db) =>
  db
    .insertInto('repositories')
    .values({ tenant_id: p('tenant'), name: p('name'), policy: p('policy'), public_read: 0, created_at: p('created') })
    .returning('id'),
)
const findPublic = statement<{ name: RepositoryName }>()((p, db) =>
  db.selectFrom('repositories').select('id').where('name', '=', p('name')).where('public_read', '=', 1),
)
const listed = statement<{ name: RepositoryName }>()((p, db) => selectListed(db).where('name', '=', p('name')))
const readPolicy = statement<{ id: number }>()((p, db) => db.selectFrom('repositories').select('policy').where('id', '=', p('id')))
const writePolicy = statement<{ id: number; policy: string; public: number }>()((p, db) =>
  db
    .updateTable('repositories')
    .set({ policy: p('policy'), public_read: p('public') })
    .where('id', '=', p('id')),
)

/** A repository. `policy` is JSON. */
export interface RepositoryRow {
  readonly id: number
  readonly policy: string
  readonly created_at: number
}

/** By name. */
export async function findRepository(session: Session, name: RepositoryName): Promise<RepositoryRow | undefined> {
  return session.get(findByName, { name })
}

/** @returns the new row's id */
export async function createRepository(
  session: Session,
  repository: { readonly tenant: TenantName; readonly name: RepositoryName; readonly createdAt: number },
): Promise<number> {
  const tenant = (await session.get(findTenant, { name: repository.tenant })) ?? (await session.returning(insertTenant, { name: repository.tenant }))
  if (tenant === undefined) throw new TypeError('a tenant was not inserted')
  const row = await session.returning(insert, { tenant: tenant.id, name: repository.name, policy: '{}', created: repository.createdAt })
  if (row === undefined) throw new TypeError('a repository was not inserted')
  return row.id
}

/** Whether everybody may read a repository. */
export async function isPublicRepository(session: Session, name: RepositoryName): Promise<boolean> {
  return (await session.get(findPublic, { name })) !== undefined
}

/** The policy of a repository by its row id, as JSON. */
export async function readRepositoryPolicy(session: Session, id: number): Promise<string> {
  return (await session.get(readPolicy, { id }))?.policy ?? '{}'
}

/** Replaces a policy. `publicRead` stands in a column of its own, since searches ask for it. */
export async function writeRepositoryPolicy(session: Session, id: number, policy: string, publicRead: boolean): Promise<void> {
  await session.run(writePolicy, { id, policy, public: publicRead ? 1 : 0 })
}

/** A repository as lists show it. */
export interface RepositoryListRow extends RepositoryRow {
  readonly name: RepositoryName
  readonly packages: number | null
}

/** Which repositories: readable ones, with a name that begins with `prefix`, behind `after` in order of names. */
export interface RepositoryQuery {
  readonly readable: ReadableRepositories
  readonly prefix: string
  readonly after: string
  readonly limit: number
}

/** Repositories in order of name, with the number of their packages. */
export async function listRepositories(session: Session, query: RepositoryQuery): Promise<readonly RepositoryListRow[]> {
  return session.query<RepositoryListRow>(repositoryList(session, query))
}

/** One repository as lists show it. */
export async function getListedRepository(session: Session, name: RepositoryName): Promise<RepositoryListRow | undefined> {
  return session.get(listed, { name })
}

/** Names and policies alone, in order of name: of all repositories whose name begins with `prefix`. */
export async function listPolicies(
  session: Session,
  prefix: string,
  after: string,
  limit: number,
): Promise<readonly { readonly name: RepositoryName; readonly policy: string }[]> {
  return session.all(policies, { from: bound(prefix), to: bound(`${prefix}~`), after: bound(after), limit })
}

/** The SQL of a list; a test reads its plan. */
export function repositoryList(session: Session, { readable, prefix, after, limit }: RepositoryQuery): BoundQuery {
  let select = selectListed(session.dialect.builder)
    // Names are ASCII below '~'.
    .where('name', '>=', bound(prefix))
    .where('name', '<', bound(`${prefix}~`))
    .where('name', '>', bound(after))
    .orderBy('name')
    .limit(limit)
  if (readable !== 'all') select = select.where(sql<SqlBool>`(${sql.join(readableConditions(readable), sql` or `)})`)
  const { sql: text, parameters } = select.compile()
  // Sound: every parameter above is a string or a number.
  return { sql: text, parameters: parameters as readonly (string | number)[] }
}

function selectListed(db: Kysely<Tables>): SelectQueryBuilder<Tables, 'repositories', RepositoryListRow> {
  return db.selectFrom('repositories').select((eb) => [
    'repositories.id',
    'repositories.name',
    'repositories.policy',
    'repositories.created_at',
    eb
      .selectFrom('packages')
      .select(sql<number>`count(*)`.as('count'))
      .whereRef('packages.repository_id', '=', 'repositories.id')
      .as('packages'),
  ])
}

/** Repositories that a caller may read: all, or those of these patterns and what is public. */
export type ReadableRepositories = 'all' | readonly RepositoryPattern[]

/** What may be true of a row of `repositories` that can be read; one is enough. */
export function readableConditions(patterns: readonly RepositoryPattern[]): readonly RawBuilder<SqlBool>[] {
  const conditions = patterns.map((pattern) => {
    const scope = patternScope(pattern)
    if (scope.kind === 'all') return sql<SqlBool>`1 = 1`
    return scope.kind === 'exact' ? sql<SqlBool>`repositories.name = ${scope.name}` : isBelow(scope.name)
  })
  return [sql<SqlBool>`repositories.public_read = 1`, ...conditions]
}

/** The condition that a row of `repositories` lies below a name, by whole components: what follows 'name/' ('0' is the byte after '/'). */
export function isBelow(name: RepositoryName): RawBuilder<SqlBool> {
  return sql<SqlBool>`(repositories.name > ${`${name}/`} and repositories.name < ${`${name}0`})`
}

/** Where a range of names begins or ends need not be a name itself. */
function bound(text: string): RepositoryName {
  // Sound: it is only compared with names.
  return text as RepositoryName
}
