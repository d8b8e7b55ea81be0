import { sql } from 'kysely'
import { namedChunk } from './recovery.ts'
import type { SqlValue } from './dialect.ts'
import { hold, letGo } from './holders.ts'
import type { Session } from './statement.ts'
import { type ViewRow, viewRows } from './view-rows.ts'

/** Holder rows of a package that should not be there, let go at once. */
const ROWS_AT_ONCE = 10_000

/**
 * Puts the views of another registry (the log replayed) in the place of this one's, in the caller's transaction. Rows keep their ids, since drafts and
 * holders refer to them; a package that was missing holds its manifests again, and one that the log does not know lets go of its own. Holds the ids
 * of all packages in memory.
 */
export async function replaceViews(session: Session, shadow: Session): Promise<void> {
  const repositories = await idsBy(session, 'repositories', 'name')
  const packages = await idsBy(session, 'packages', 'uuid')
  const known = new Set(packages.keys())
  for (const table of ['tags', 'aliases', 'package_metadata', 'package_children', 'packages', 'repositories', 'tenants']) {
    await session.query({ sql: sql`delete from ${sql.table(table)}`.compile(session.dialect.builder).sql, parameters: [] })
  }
  const tenants = new Map<SqlValue, number>()
  for await (const { tenant = null, ...row } of viewRows(shadow, 'repositories')) {
    const tenantId = tenants.get(tenant) ?? (await insert(session, 'tenants', { name: tenant }))
    tenants.set(tenant, tenantId)
    const name = row['name'] ?? null
    repositories.set(name, await insert(session, 'repositories', { ...row, ...idOf(repositories, name), tenant_id: tenantId }))
  }
  const confirmed = new Set<SqlValue>()
  for await (const { repository = null, ...row } of viewRows(shadow, 'packages')) {
    const uuid = row['uuid'] ?? null
    const id = await insert(session, 'packages', { ...row, ...idOf(packages, uuid), repository_id: repositories.get(repository) ?? null })
    packages.set(uuid, id)
    confirmed.add(uuid)
    if (!known.has(uuid)) await holdManifest(session, id, row['manifest_digest'])
  }
  for await (const { uuid = null, ...row } of viewRows(shadow, 'children')) {
    const packageId = packages.get(uuid) ?? 0
    await insert(session, 'package_children', { ...row, package_id: packageId }, 'package_id')
    if (!known.has(uuid)) await holdManifest(session, packageId, row['digest'])
  }
  for await (const { uuid = null, ...row } of viewRows(shadow, 'metadata')) {
    await insert(session, 'package_metadata', { ...row, package_id: packages.get(uuid) ?? null }, 'package_id')
  }
  for await (const { uuid = null, package: target = null } of viewRows(shadow, 'aliases')) {
    await insert(session, 'aliases', { uuid, package_id: packages.get(target) ?? null }, 'package_id')
  }
  for await (const { repository = null, name = null, package: target = null } of viewRows(shadow, 'tags')) {
    await insert(
      session,
      'tags',
      { repository_id: repositories.get(repository) ?? null, name, package_id: packages.get(target) ?? null },
      'package_id',
    )
  }
  for (const uuid of known) {
    const id = packages.get(uuid)
    if (!confirmed.has(uuid) && id !== undefined) while ((await letGo(session, 'package', id, ROWS_AT_ONCE)) > 0);
  }
}

async function idsBy(session: Session, table: string, column: string): Promise<Map<SqlValue, number>> {
  const query = sql<{ id: number; name: SqlValue }>`select id, ${sql.ref(column)} as name from ${sql.table(table)}`.compile(session.dialect.builder)
  const rows = await session.query<{ id: number; name: SqlValue }>({ sql: query.sql, parameters: [] })
  return new Map(rows.map(({ id, name }) => [name, id]))
}

function idOf(ids: ReadonlyMap<SqlValue, number>, name: SqlValue): { readonly id?: number } {
  const id = ids.get(name)
  return id === undefined ? {} : { id }
}

/** @returns the value of a numeric column of the row: its id, unless told otherwise */
async function insert(session: Session, table: string, row: ViewRow, returning = 'id'): Promise<number> {
  const columns = sql.join(Object.keys(row).map((column) => sql.ref(column)))
  const values = Object.values(row)
  const query = sql`insert into ${sql.table(table)} (${columns}) values (${sql.join(values)}) returning ${sql.ref(returning)} as returned`
  const [inserted] = await session.query<{ returned: number }>({ sql: query.compile(session.dialect.builder).sql, parameters: values })
  session.changes += 1
  return inserted?.returned ?? 0
}

async function holdManifest(session: Session, packageId: number, digest: SqlValue | undefined): Promise<void> {
  if (digest instanceof Uint8Array) await hold(session, 'package', packageId, await namedChunk(session, digest, 0))
}
