import type { PackageId, TagName } from '../core/name.ts'
import { statement, type Session } from './statement.ts'
import { packageStatus } from './tables.ts'

const upsert = statement<{ repository: number; name: TagName; package: number }>()((p, db) =>
  db
    .insertInto('tags')
    .values({ repository_id: p('repository'), name: p('name'), package_id: p('package') })
    .onConflict((conflict) => conflict.columns(['repository_id', 'name']).doUpdateSet({ package_id: p('package') })),
)
const find = statement<{ repository: number; name: TagName }>()((p, db) =>
  db.selectFrom('tags').select('package_id').where('repository_id', '=', p('repository')).where('name', '=', p('name')),
)
const remove = statement<{ repository: number; name: TagName }>()((p, db) =>
  db.deleteFrom('tags').where('repository_id', '=', p('repository')).where('name', '=', p('name')),
)
const page = statement<{ repository: number; after: TagName; limit: number }>()((p, db) =>
  db
    .selectFrom('tags')
    .innerJoin('packages', 'packages.id', 'tags.package_id')
    .select(['tags.name', 'packages.uuid', 'packages.manifest_digest'])
    .where('packages.status', '=', packageStatus.finalized)
    .where('tags.repository_id', '=', p('repository'))
    .where('tags.name', '>', p('after'))
    .orderBy('tags.name')
    .limit(p('limit')),
)
const one = statement<{ repository: number; name: TagName }>()((p, db) =>
  db
    .selectFrom('tags')
    .innerJoin('packages', 'packages.id', 'tags.package_id')
    .select(['tags.name', 'packages.uuid', 'packages.manifest_digest'])
    .where('packages.status', '=', packageStatus.finalized)
    .where('tags.repository_id', '=', p('repository'))
    .where('tags.name', '=', p('name')),
)
const ofPackage = statement<{ package: number }>()((p, db) =>
  db.selectFrom('tags').select('name').where('package_id', '=', p('package')).orderBy('name'),
)

/** Points a tag at a package. */
export async function setTag(session: Session, repository: number, name: TagName, packageId: number): Promise<void> {
  await session.run(upsert, { repository, name, package: packageId })
}

/** @returns the package's row id */
export async function findTag(session: Session, repository: number, name: TagName): Promise<number | undefined> {
  return (await session.get(find, { repository, name }))?.package_id
}

/** A tag and the package it leads to. */
export interface TagRow {
  readonly name: TagName
  readonly uuid: PackageId
  readonly manifest_digest: Uint8Array
}

/** One tag. */
export async function getTag(session: Session, repository: number, name: TagName): Promise<TagRow | undefined> {
  return session.get(one, { repository, name })
}

/** @returns whether there was such a tag */
export async function removeTag(session: Session, repository: number, name: TagName): Promise<boolean> {
  return (await session.run(remove, { repository, name })) > 0
}

/** Tags of a repository in order of name. */
export async function listTags(session: Session, repository: number, after: string, limit: number): Promise<readonly TagRow[]> {
  // Sound: where a page begins is only compared with tags; it may have been removed.
  return session.all(page, { repository, after: after as TagName, limit })
}

/** All tags that lead to a package, in order. */
export async function tagsOfPackage(session: Session, packageId: number): Promise<readonly TagName[]> {
  return (await session.all(ofPackage, { package: packageId })).map((row) => row.name)
}
