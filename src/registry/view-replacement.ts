import { sql } from 'kysely'
import { namedChunk } from './recovery.ts'
import type { SqlValue } from './dialect.ts'
import { hold, letGo } from './holders.ts'
import { refreshDueParts } from './package-parts.ts'
import type { Session } from './statement.ts'
import { packageStatus } from './tables.ts'
import { type ViewRow, viewRows } from './view-rows.ts'

/** Holder rows of a package that should not be there, let go at once. */
const ROWS_AT_ONCE = 10_000

/** All views, those first that refer to others. */
const replacedTables: readonly string[] = [
  'documents',
  'disposals',
  'plans',
  'holds',
  'retention_classes',
  'tags',
  'aliases',
  'package_metadata',
  'package_parts',
  'package_children',
  'packages',
  'repositories',
  'tenants',
]

/**
 * Puts the views of another registry (the log replayed) in the place of this one's, in the caller's transaction. Rows keep their ids, since drafts and
 * holders refer to them; a package that was missing holds its manifests again, and one that the log does not know lets go of its own. Holds the ids
 * of all packages in memory.
 */
export async function replaceViews(session: Session, shadow: Session): Promise<void> {
  const repositories = await idsBy(session, 'repositories', 'name')
  const packages = await idsBy(session, 'packages', 'uuid')
  const known = new Set(packages.keys())
  const documents = await documentIds(session)
  const disposals = await idsBy(session, 'disposals', 'uuid')
  const holds = await idsBy(session, 'holds', 'uuid')
  for (const table of replacedTables) {
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
  const gone = new Set<SqlValue>()
  for await (const { repository = null, ...row } of viewRows(shadow, 'packages')) {
    const uuid = row['uuid'] ?? null
    const id = await insert(session, 'packages', { ...row, ...idOf(packages, uuid), repository_id: repositories.get(repository) ?? null })
    packages.set(uuid, id)
    confirmed.add(uuid)
    if (Number(row['status']) >= packageStatus.purging) gone.add(uuid)
    else if (!known.has(uuid)) await holdManifest(session, id, row['manifest_digest'])
  }
  for await (const { uuid = null, ...row } of viewRows(shadow, 'children')) {
    const packageId = packages.get(uuid) ?? 0
    await insert(session, 'package_children', { ...row, package_id: packageId }, 'package_id')
    if (!known.has(uuid) && !gone.has(uuid)) await holdManifest(session, packageId, row['digest'])
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
  for await (const { uuid = null, ...row } of viewRows(shadow, 'parts')) {
    await insert(session, 'package_parts', { ...row, package_id: packages.get(uuid) ?? null }, 'package_id')
  }
  await refreshDueParts(session)
  for await (const row of viewRows(shadow, 'classes')) await insert(session, 'retention_classes', row, 'changed_at')
  for await (const row of viewRows(shadow, 'plans')) await insert(session, 'plans', row, 'items')
  for await (const row of viewRows(shadow, 'holds')) await insert(session, 'holds', { ...row, ...idOf(holds, row['uuid'] ?? null) })
  for await (const { package: target = null, ...row } of viewRows(shadow, 'disposals')) {
    await insert(session, 'disposals', { ...row, ...idOf(disposals, row['uuid'] ?? null), package_id: packages.get(target) ?? null })
  }
  await replaceDocuments(session, shadow, documents)
  for (const uuid of known) {
    const id = packages.get(uuid)
    if (!confirmed.has(uuid) && id !== undefined) while ((await letGo(session, 'package', id, ROWS_AT_ONCE)) > 0);
  }
}

async function documentIds(session: Session): Promise<Map<string, number>> {
  const query = session.dialect.builder.selectFrom('documents').select(['id', 'kind', 'name']).compile()
  const rows = await session.query<{ id: number; kind: number; name: string }>({ sql: query.sql, parameters: [] })
  return new Map(rows.map(({ id, kind, name }) => [`${kind} ${name}`, id]))
}

/** Documents keep their ids, too, as holders of their bytes. */
async function replaceDocuments(session: Session, shadow: Session, known: Map<string, number>): Promise<void> {
  for await (const row of viewRows(shadow, 'documents')) {
    const key = `${String(row['kind'])} ${String(row['name'])}`
    const id = known.get(key)
    known.delete(key)
    const inserted = await insert(session, 'documents', id === undefined ? row : { ...row, id })
    if (id === undefined && row['digest'] instanceof Uint8Array) {
      await hold(session, 'document', inserted, await namedChunk(session, row['digest'], 0))
    }
  }
  for (const id of known.values()) while ((await letGo(session, 'document', id, ROWS_AT_ONCE)) > 0);
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
