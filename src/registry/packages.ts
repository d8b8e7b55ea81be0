import { type SqlBool, sql } from 'kysely'
import type { PackageId, RepositoryName } from '../core/name.ts'
import { statement, type Session } from './statement.ts'
import { packageStatus, partStage } from './tables.ts'

/** What {@link PackageRow} has, of `packages` joined with `repositories`. */
export const packageColumns = [
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
  'packages.mode',
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
  readonly mode: string
  readonly expires_at: number | null
}

/** What sealing inserts. */
export type NewPackage = Omit<PackageRow, 'id' | 'repository' | 'status'>

/** A child manifest of a package (or the package itself when it has no file sets). */
export interface ChildRow {
  readonly ordinal: number
  readonly digest: Uint8Array
  readonly set_key: string
  readonly file_count: number
  readonly size: number
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
      mode: p('mode'),
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
    .where(sql<SqlBool>`packages.status < 2`),
)
const lastByManifest = statement<{ repository: number; digest: Uint8Array }>()((p, db) =>
  db
    .selectFrom('packages')
    .innerJoin('repositories', 'repositories.id', 'packages.repository_id')
    .select(packageColumns)
    .where('packages.manifest_digest', '=', p('digest'))
    // With a sign, so that the digest's index is taken.
    .where(sql<SqlBool>`+packages.repository_id = ${p('repository')}`)
    .orderBy('packages.id', 'desc')
    .limit(1),
)
const readChildren = statement<{ package: number }>()((p, db) =>
  db
    .selectFrom('package_children as child')
    .leftJoin('package_parts as part', (join) => join.onRef('part.package_id', '=', 'child.package_id').onRef('part.set_key', '=', 'child.set_key'))
    .select(['child.ordinal', 'child.digest', 'child.set_key', 'child.file_count', 'child.size', 'part.stage', 'part.stage_at'])
    .where('child.package_id', '=', p('package'))
    .orderBy('child.ordinal'),
)
const keptById = statement<{ after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('packages')
    .innerJoin('repositories', 'repositories.id', 'packages.repository_id')
    .select(packageColumns)
    .where('packages.id', '>', p('after'))
    .where(sql<SqlBool>`+packages.status < 2`)
    .orderBy('packages.id')
    .limit(p('limit')),
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

/** The package of a repository that is this manifest, if it is there or can come back. */
export async function findPackageByManifest(session: Session, repository: number, digest: Uint8Array): Promise<PackageRow | undefined> {
  return session.get(byManifest, { repository, digest })
}

/** A child, and whether its part is there: `deletedAt` says since when its files cannot be read (UTC milliseconds), `isGone` that they cannot come back. */
export interface StoredChild extends ChildRow {
  readonly deletedAt: number | undefined
  readonly isGone: boolean
}

/** The last package of a repository that was this manifest, also one that was disposed of. */
export async function findTombstone(session: Session, repository: number, digest: Uint8Array): Promise<PackageRow | undefined> {
  return session.get(lastByManifest, { repository, digest })
}

/** The manifests that hold a package's files, in their order. */
export async function listChildren(session: Session, packageId: number): Promise<readonly StoredChild[]> {
  const rows = await session.all(readChildren, { package: packageId })
  return rows.map(({ stage, stage_at: stageAt, ...child }) => ({
    ...child,
    deletedAt: (stage ?? partStage.kept) >= partStage.deleted ? (stageAt ?? 0) : undefined,
    isGone: (stage ?? partStage.kept) >= partStage.purging,
  }))
}

/** Packages that are there or can come back, in the order they were sealed here. */
export async function listKeptPackages(session: Session, after: number, limit: number): Promise<readonly PackageRow[]> {
  return session.all(keptById, { after, limit })
}

/** Finalized packages in the order they were sealed here, for verification of everything. */
export async function listAllPackages(session: Session, after: number, limit: number): Promise<readonly PackageRow[]> {
  return session.all(pageById, { after, limit })
}
