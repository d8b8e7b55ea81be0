import { type SqlBool, sql } from 'kysely'
import type { RepositoryName } from '../core/name.ts'
import { statement, type Session } from './statement.ts'
import { holderKind, packageStatus } from './tables.ts'

/**
 * Which repositories hold a blob, as far as can be told in a bounded number of steps: what everybody has (an empty file, a licence) hangs on any number
 * of manifests, and a manifest on any number of packages. Cross joins keep the bounded part in front, whatever the planner thinks.
 */

const findHolder = statement<{ kind: number; holder: number; target: number }>()((p, db) =>
  db
    .selectFrom('holders')
    .select('target_id')
    .where('kind', '=', p('kind'))
    .where('holder_id', '=', p('holder'))
    .where('target_id', '=', p('target')),
)
const newestManifests = statement<{ repository: number; packages: number; limit: number }>()((p, db) =>
  db
    .selectFrom(
      db
        .selectFrom('packages')
        .select(['packages.id', 'packages.finalized_at'])
        .where('packages.repository_id', '=', p('repository'))
        .where(sql<SqlBool>`+packages.status = ${sql.lit(packageStatus.finalized)}`)
        .orderBy('packages.finalized_at', 'desc')
        .orderBy('packages.id', 'desc')
        .limit(p('packages'))
        .as('newest'),
    )
    .crossJoin('holders')
    .crossJoin('manifests')
    .select('manifests.id')
    .where('holders.kind', '=', holderKind.package)
    .whereRef('holders.holder_id', '=', 'newest.id')
    .whereRef('manifests.chunk_id', '=', 'holders.target_id')
    .where(isPublished)
    .limit(p('limit')),
)
const holdingRepositories = statement<{ chunk: number; limit: number }>()((p, db) => {
  const newest = db
    .selectFrom('holders')
    .select('holder_id')
    .where('target_id', '=', p('chunk'))
    .where('kind', '=', holderKind.manifest)
    .orderBy('holder_id', 'desc')
    .limit(p('limit'))
  const packages = db
    .selectFrom(newest.as('newest'))
    .crossJoin('manifests')
    .crossJoin('holders as own')
    .select(['manifests.id as manifest', 'own.holder_id as package'])
    .whereRef('manifests.id', '=', 'newest.holder_id')
    .where(sql<SqlBool>`+manifests.state = 1`)
    .whereRef('own.target_id', '=', 'manifests.chunk_id')
    .where('own.kind', '=', holderKind.package)
    .limit(p('limit'))
  return db
    .selectFrom(packages.as('held'))
    .innerJoin('packages', 'packages.id', 'held.package')
    .innerJoin('repositories', 'repositories.id', 'packages.repository_id')
    .select(['held.manifest', 'repositories.name as repository', 'repositories.public_read'])
    .where(sql<SqlBool>`+packages.status = ${sql.lit(packageStatus.finalized)}`)
})

/** Spelled out as the unique index has it, so that the index applies. */
const isPublished = sql<SqlBool>`manifests.state = 1`

/** Whether an open package or a manifest holds a chunk. */
export async function holds(session: Session, kind: 'draft' | 'manifest', holder: number, target: number): Promise<boolean> {
  return (await session.get(findHolder, { kind: holderKind[kind], holder, target })) !== undefined
}

/** Manifests of the newest packages of a repository, by their ids as holders: what is pushed next probably has much in common with them. */
export async function listNewestManifests(
  session: Session,
  repository: number,
  most: { readonly packages: number; readonly limit: number },
): Promise<readonly number[]> {
  return (await session.all(newestManifests, { repository, ...most })).map((row) => row.id)
}

/** A manifest that holds a blob, in one of the repositories where it is part of a finalized package. */
export interface HoldingRepository {
  readonly manifest: number
  readonly repository: RepositoryName
  readonly publicRead: boolean
}

/** Who holds a chunk as content, newest manifests first; looks at no more than `limit` manifests and `limit` packages. */
export async function listHoldingRepositories(session: Session, chunk: number, limit: number): Promise<readonly HoldingRepository[]> {
  const rows = await session.all(holdingRepositories, { chunk, limit })
  return rows.map(({ manifest, repository, public_read }) => ({ manifest, repository, publicRead: public_read === 1 }))
}
