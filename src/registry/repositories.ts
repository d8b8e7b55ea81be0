import { sql } from 'kysely'
import type { RepositoryName, TenantName } from '../core/name.ts'
import { statement, type Session } from './statement.ts'

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
const insert = statement<{ tenant: number; name: RepositoryName; policy: string; created: number }>()((p, db) =>
  db
    .insertInto('repositories')
    .values({ tenant_id: p('tenant'), name: p('name'), policy: p('policy'), created_at: p('created') })
    .returning('id'),
)
const page = statement<{ from: RepositoryName; to: RepositoryName; after: RepositoryName; limit: number }>()((p, db) =>
  db
    .selectFrom('repositories')
    .select((eb) => [
      'repositories.name',
      'repositories.created_at',
      eb
        .selectFrom('packages')
        .select(sql<number>`count(*)`.as('count'))
        .whereRef('packages.repository_id', '=', 'repositories.id')
        .as('packages'),
    ])
    .where('name', '>=', p('from'))
    .where('name', '<', p('to'))
    .where('name', '>', p('after'))
    .orderBy('name')
    .limit(p('limit')),
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

/** Repositories in order of name, with the number of their packages, those that start with `prefix` only. */
export async function listRepositories(
  session: Session,
  prefix: string,
  after: string,
  limit: number,
): Promise<readonly { readonly name: RepositoryName; readonly created_at: number; readonly packages: number | null }[]> {
  // Names are ASCII below '~'.
  return session.all(page, { from: bound(prefix), to: bound(`${prefix}~`), after: bound(after), limit })
}

/** Where a range of names begins or ends need not be a name itself. */
function bound(text: string): RepositoryName {
  // Sound: it is only compared with names.
  return text as RepositoryName
}
