import { type SqlBool, sql } from 'kysely'
import { statement, type Session } from './statement.ts'
import { holderKind, manifestState } from './tables.ts'

const insertManifest = statement<{ chunk: number; draft: number }>()((p, db, { now }) =>
  db
    .insertInto('manifests')
    .values({ chunk_id: p('chunk'), state: manifestState.unpublished, draft_id: p('draft'), created_at: now })
    .returning('id'),
)
const findPublished = statement<{ chunk: number }>()((p, db) =>
  db
    .selectFrom('manifests')
    .select('id')
    .where('chunk_id', '=', p('chunk'))
    .where(sql<SqlBool>`state = 1`),
)
const publish = statement<{ id: number; draft: number }>()((p, db) =>
  db.updateTable('manifests').set({ state: manifestState.published, draft_id: null }).where('id', '=', p('id')).where('draft_id', '=', p('draft')),
)
const unpublishedOf = statement<{ draft: number }>()((p, db) =>
  db.selectFrom('manifests').select(['id', 'chunk_id']).where('draft_id', '=', p('draft')).orderBy('id'),
)
const targetsOf = statement<{ digest: Uint8Array }>()((p, db) =>
  db
    .selectFrom('chunks as own')
    .innerJoin('manifests', 'manifests.chunk_id', 'own.id')
    .innerJoin('holders', 'holders.holder_id', 'manifests.id')
    .innerJoin('chunks as target', 'target.id', 'holders.target_id')
    .select(['target.digest', 'target.size'])
    .where('own.digest', '=', p('digest'))
    .where(sql<SqlBool>`own.state < 2`)
    .where(sql<SqlBool>`manifests.state = 1`)
    .where('holders.kind', '=', holderKind.manifest),
)
const deleteManifest = statement<{ id: number }>()((p, db) => db.deleteFrom('manifests').where('id', '=', p('id')))

/** A manifest that is being sealed; its edges are filled in batches. @returns its id as a holder */
export async function createUnpublished(session: Session, chunk: number, draft: number): Promise<number> {
  const row = await session.returning(insertManifest, { chunk, draft })
  if (row === undefined) throw new TypeError('a manifest was not inserted')
  return row.id
}

/** A complete manifest with these bytes, if some package has published one. */
export async function findPublishedManifest(session: Session, chunk: number): Promise<number | undefined> {
  return (await session.get(findPublished, { chunk }))?.id
}

/** @returns false when the row is gone */
export async function publishManifest(session: Session, id: number, draft: number): Promise<boolean> {
  return (await session.run(publish, { id, draft })) > 0
}

/** What an ended draft left unpublished. */
export async function listUnpublished(session: Session, draft: number): Promise<readonly { readonly id: number; readonly chunk_id: number }[]> {
  return session.all(unpublishedOf, { draft })
}

/** Removes a manifest that holds nothing any more. */
export async function removeManifest(session: Session, id: number): Promise<void> {
  await session.run(deleteManifest, { id })
}

/** What a published manifest holds, by the digest of its bytes: known even where these cannot be read. Sizes in bytes. */
export async function listManifestTargets(
  session: Session,
  digest: Uint8Array,
): Promise<readonly { readonly digest: Uint8Array; readonly size: number }[]> {
  return session.all(targetsOf, { digest })
}
