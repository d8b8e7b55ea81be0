import { type SqlBool, sql } from 'kysely'
import { clearRecipe } from './composed.ts'
import { recordDestruction } from './destructions.ts'
import { letGoOfCondemned } from './holders.ts'
import { statement, type Session } from './statement.ts'
import { holderKind } from './tables.ts'

/** Manifests and composed blobs whose own bytes are condemned: what they held is let go of. */

const dissolvingManifests = statement<{ limit: number }>()((p, db) =>
  db
    .selectFrom('manifests')
    .innerJoin('chunks', 'chunks.id', 'manifests.chunk_id')
    .select(['manifests.id', 'chunks.erase_by'])
    .where(sql<SqlBool>`manifests.state = 2`)
    .orderBy('manifests.id')
    .limit(p('limit')),
)
const removeManifestRow = statement<{ id: number }>()((p, db) => db.deleteFrom('manifests').where('id', '=', p('id')))
/** Those that still hold something, and those of whose parts nothing is left but what others hold. */
const dissolvingBlobs = statement<{ limit: number }>()((p, db) =>
  db
    .selectFrom('chunks')
    .select(['id', 'digest', 'erase_by'])
    .where(sql<SqlBool>`state = 2 and object_id is null`)
    .where(
      sql<SqlBool>`(erase_by is null or exists (select 1 from holders where holders.kind = ${sql.lit(holderKind.blob)} and holders.holder_id = chunks.id)
        or not exists (select 1 from recipes inner join chunks as part on part.id = recipes.chunk_id
          where recipes.blob_id = chunks.id and not exists (select 1 from holders as other where other.target_id = part.id)))`,
    )
    .orderBy('id')
    .limit(p('limit')),
)
const holdsNothing = statement<{ id: number }>()((p, db) =>
  db
    .selectFrom('chunks')
    .select('id')
    .where('id', '=', p('id'))
    .where(
      sql<SqlBool>`(erase_by is null or not exists (select 1 from recipes inner join chunks as part on part.id = recipes.chunk_id
          where recipes.blob_id = chunks.id and not exists (select 1 from holders as other where other.target_id = part.id)))`,
    ),
)
const deleteChunk = statement<{ id: number }>()((p, db) =>
  db
    .deleteFrom('chunks')
    .where('id', '=', p('id'))
    .where(sql<SqlBool>`state = 2`),
)

/**
 * Lets go of up to `limit` things that condemned manifests and composed blobs held. @returns how many, 0: nothing is left
 * @param grace of the review that condemned them, milliseconds
 */
export async function dissolveSome(session: Session, limit: number, grace: number): Promise<number> {
  let done = 0
  for (const { id, erase_by: eraseBy } of await session.all(dissolvingManifests, { limit })) {
    if (done >= limit) return done
    const count = await letGoOfCondemned(session, { kind: 'manifest', holder: id, limit: limit - done }, { grace, released: eraseBy !== null })
    done += count + 1
    if (done <= limit) await session.run(removeManifestRow, { id })
  }
  for (const blob of done < limit ? await session.all(dissolvingBlobs, { limit: limit - done }) : []) {
    if (done >= limit) return done
    done += await dissolveBlob(session, blob, limit - done, grace)
  }
  return done
}

/** The row of a composed blob that was released stays until its parts are gone, or are others': it says that its bytes are still there. */
async function dissolveBlob(
  session: Session,
  { id, digest, erase_by: eraseBy }: { readonly id: number; readonly digest: Uint8Array; readonly erase_by: number | null },
  limit: number,
  grace: number,
): Promise<number> {
  const count = await letGoOfCondemned(session, { kind: 'blob', holder: id, limit }, { grace, released: eraseBy !== null })
  if (count === limit || (await session.get(holdsNothing, { id })) === undefined) return count
  const cleared = await clearRecipe(session, id, limit - count)
  if (cleared === limit - count) return limit
  if (eraseBy !== null) await recordDestruction(session, digest, '')
  await session.run(deleteChunk, { id })
  return count + cleared + 1
}
