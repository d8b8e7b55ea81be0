import { type SqlBool, sql } from 'kysely'
import type { PackageId, RepositoryName, TagName } from '../core/name.ts'
import type { BoundQuery } from './dialect.ts'
import { statement, type Session } from './statement.ts'
import { packageStatus } from './tables.ts'

const packageColumns = [
  'packages.id',
  'packages.uuid',
  'packages.repository_id',
  'packages.status',
  'packages.run_id',
  'packages.type',
  'packages.producer',
  'packages.subject',
  'packages.retention_class',
  'packages.manifest_digest',
  'packages.media_type',
  'packages.document_digest',
  'packages.file_count',
  'packages.size',
  'packages.opened_at',
  'packages.finalized_at',
  'packages.expires_at',
  'repositories.name as repository',
] as const

/** A sealed package. Times are UTC milliseconds. */
export interface PackageRow {
  readonly id: number
  readonly uuid: PackageId
  readonly repository_id: number
  readonly repository: RepositoryName
  readonly status: number
  readonly run_id: string | null
  readonly type: string
  readonly producer: string | null
  readonly subject: string | null
  readonly retention_class: string | null
  readonly manifest_digest: Uint8Array
  readonly media_type: string
  readonly document_digest: Uint8Array
  readonly file_count: number
  readonly size: number
  readonly opened_at: number
  readonly finalized_at: number
  readonly expires_at: number | null
}

/** What sealing inserts. */
export type NewPackage = Omit<PackageRow, 'id' | 'repository' | 'status'>

/** A child manifest of a package (or the package itself when it has no file sets) with its policy facts. */
export interface ChildRow {
  readonly ordinal: number
  readonly digest: Uint8Array
  readonly set_key: string
  readonly file_count: number
  readonly size: number
  readonly retention_class: string | null
  readonly duration_days: number | null
  readonly mode: string
  readonly expires_at: number | null
}

const insertPackageRow = statement<NewPackage>()((p, db) =>
  db
    .insertInto('packages')
    .values({
      uuid: p('uuid'),
      repository_id: p('repository_id'),
      status: packageStatus.finalized,
      run_id: p('run_id'),
      type: p('type'),
      producer: p('producer'),
      subject: p('subject'),
      retention_class: p('retention_class'),
      manifest_digest: p('manifest_digest'),
      media_type: p('media_type'),
      document_digest: p('document_digest'),
      file_count: p('file_count'),
      size: p('size'),
      opened_at: p('opened_at'),
      finalized_at: p('finalized_at'),
      expires_at: p('expires_at'),
    })
    .returning('id'),
)
const insertChildRow = statement<ChildRow & { package: number }>()((p, db) =>
  db.insertInto('package_children').values({
    package_id: p('package'),
    ordinal: p('ordinal'),
    digest: p('digest'),
    set_key: p('set_key'),
    file_count: p('file_count'),
    size: p('size'),
    retention_class: p('retention_class'),
    duration_days: p('duration_days'),
    mode: p('mode'),
    expires_at: p('expires_at'),
  }),
)
const insertMetadata = statement<{ package: number; key: string; value: string }>()((p, db) =>
  db.insertInto('package_metadata').values({ package_id: p('package'), key: p('key'), value: p('value') }),
)
const insertAliasRow = statement<{ uuid: PackageId; package: number }>()((p, db) =>
  db
    .insertInto('aliases')
    .values({ uuid: p('uuid'), package_id: p('package') })
    .onConflict((conflict) => conflict.column('uuid').doNothing()),
)
const byId = statement<{ id: number }>()((p, db) =>
  db
    .selectFrom('packages')
    .innerJoin('repositories', 'repositories.id', 'packages.repository_id')
    .select(packageColumns)
    .where('packages.id', '=', p('id')),
)
const byUuid = statement<{ uuid: PackageId }>()((p, db) =>
  db
    .selectFrom('packages')
    .innerJoin('repositories', 'repositories.id', 'packages.repository_id')
    .select(packageColumns)
    .where('packages.uuid', '=', p('uuid')),
)
const byAlias = statement<{ uuid: PackageId }>()((p, db) =>
  db
    .selectFrom('aliases')
    .innerJoin('packages', 'packages.id', 'aliases.package_id')
    .innerJoin('repositories', 'repositories.id', 'packages.repository_id')
    .select(packageColumns)
    .where('aliases.uuid', '=', p('uuid')),
)
const byRun = statement<{ repository: number; run: string }>()((p, db) =>
  db
    .selectFrom('packages')
    .innerJoin('repositories', 'repositories.id', 'packages.repository_id')
    .select(packageColumns)
    .where('packages.repository_id', '=', p('repository'))
    .where('packages.run_id', '=', p('run')),
)
const byManifest = statement<{ repository: number; digest: Uint8Array }>()((p, db) =>
  db
    .selectFrom('packages')
    .innerJoin('repositories', 'repositories.id', 'packages.repository_id')
    .select(packageColumns)
    .where('packages.repository_id', '=', p('repository'))
    .where('packages.manifest_digest', '=', p('digest'))
    // Spelled out as the unique index has it, so that the index applies.
    .where(sql<SqlBool>`packages.status = 0`),
)
const readChildren = statement<{ package: number }>()((p, db) =>
  db.selectFrom('package_children').selectAll().where('package_id', '=', p('package')).orderBy('ordinal'),
)
const pageById = statement<{ after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('packages')
    .innerJoin('repositories', 'repositories.id', 'packages.repository_id')
    .select(packageColumns)
    .where('packages.id', '>', p('after'))
    .where('packages.status', '=', packageStatus.finalized)
    .orderBy('packages.id')
    .limit(p('limit')),
)

/** Writes a sealed package with its children and the metadata members it can be found by. @returns its row id */
export async function insertPackage(
  session: Session,
  sealed: NewPackage,
  children: readonly ChildRow[],
  metadata: ReadonlyMap<string, string>,
): Promise<number> {
  const row = await session.returning(insertPackageRow, sealed)
  if (row === undefined) throw new TypeError('a package was not inserted')
  for (const child of children) await session.run(insertChildRow, { ...child, package: row.id })
  for (const [key, value] of metadata) await session.run(insertMetadata, { package: row.id, key, value })
  return row.id
}

/** Another id leads to this package from now on. */
export async function insertAlias(session: Session, uuid: PackageId, packageId: number): Promise<void> {
  await session.run(insertAliasRow, { uuid, package: packageId })
}

/** By row id. */
export async function getPackage(session: Session, id: number): Promise<PackageRow | undefined> {
  return session.get(byId, { id })
}

/** By package id, aliases included. */
export async function findPackage(session: Session, uuid: PackageId): Promise<PackageRow | undefined> {
  return (await session.get(byUuid, { uuid })) ?? (await session.get(byAlias, { uuid }))
}

/** The package that a run became; a run id is used once for ever. */
export async function findPackageByRun(session: Session, repository: number, run: string): Promise<PackageRow | undefined> {
  return session.get(byRun, { repository, run })
}

/** The finalized package of a repository that is this manifest. */
export async function findPackageByManifest(session: Session, repository: number, digest: Uint8Array): Promise<PackageRow | undefined> {
  return session.get(byManifest, { repository, digest })
}

/** The manifests that hold a package's files, in their order. */
export async function listChildren(session: Session, packageId: number): Promise<readonly ChildRow[]> {
  return session.all(readChildren, { package: packageId })
}

/** Finalized packages in the order they were sealed here, for verification of everything. */
export async function listAllPackages(session: Session, after: number, limit: number): Promise<readonly PackageRow[]> {
  return session.all(pageById, { after, limit })
}

/** Filters of a search as they reach the database: parsed, all of them must hold. Times are UTC milliseconds. */
export interface PackageQuery {
  readonly repository?: RepositoryName
  readonly producer?: string
  readonly subject?: string
  readonly runId?: string
  readonly type?: string
  readonly retentionClass?: string
  readonly status?: keyof typeof packageStatus
  readonly tag?: TagName
  readonly from?: number
  readonly until?: number
  readonly metadata?: ReadonlyMap<string, string>
  /** The last row of the page before. */
  readonly after?: { readonly finalizedAt: number; readonly id: number }
  readonly limit: number
}

/** Newest first. */
export async function searchPackages(session: Session, query: PackageQuery): Promise<readonly PackageRow[]> {
  return session.query<PackageRow>(packageSearch(session, query))
}

/** The SQL of a search; a test reads its plan. */
export function packageSearch(session: Session, query: PackageQuery): BoundQuery {
  let select = session.dialect.builder
    .selectFrom('packages')
    .innerJoin('repositories', 'repositories.id', 'packages.repository_id')
    .select(packageColumns)
    .where('packages.hidden', '=', 0)
    .orderBy('packages.finalized_at', 'desc')
    .orderBy('packages.id', 'desc')
    .limit(query.limit)
  const { repository, producer, subject, runId, type, retentionClass, status, tag, from, until, after } = query
  if (repository !== undefined) {
    const below = session.dialect.builder
      .selectFrom('repositories')
      .select('id')
      // By whole components: the name itself, or what follows 'name/' ('0' is the byte after '/').
      // Sound: bounds are only compared with names.
      .where((eb) =>
        eb.or([
          eb('name', '=', repository),
          eb.and([eb('name', '>', `${repository}/` as RepositoryName), eb('name', '<', `${repository}0` as RepositoryName)]),
        ]),
      )
    select = select.where('packages.repository_id', 'in', below)
  }
  if (producer !== undefined) select = select.where('packages.producer', '=', producer)
  if (subject !== undefined) select = select.where('packages.subject', '=', subject)
  if (runId !== undefined) select = select.where('packages.run_id', '=', runId)
  if (type !== undefined) select = select.where('packages.type', '=', type)
  if (retentionClass !== undefined) select = select.where('packages.retention_class', '=', retentionClass)
  if (status !== undefined) select = select.where('packages.status', '=', packageStatus[status])
  if (from !== undefined) select = select.where('packages.finalized_at', '>=', from)
  if (until !== undefined) select = select.where('packages.finalized_at', '<', until)
  if (tag !== undefined) {
    select = select.where('packages.id', 'in', session.dialect.builder.selectFrom('tags').select('package_id').where('name', '=', tag))
  }
  for (const [key, value] of query.metadata ?? []) {
    const having = session.dialect.builder.selectFrom('package_metadata').select('package_id').where('key', '=', key).where('value', '=', value)
    select = select.where('packages.id', 'in', having)
  }
  if (after !== undefined) {
    select = select.where((eb) => eb(eb.refTuple('packages.finalized_at', 'packages.id'), '<', eb.tuple(after.finalizedAt, after.id)))
  }
  const { sql: text, parameters } = select.compile()
  // Sound: every parameter above is a string or a number.
  return { sql: text, parameters: parameters as readonly (string | number)[] }
}
