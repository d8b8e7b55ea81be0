import { type ChunkPlace, placeOf, placeColumns } from './chunks.ts'
import { statement, type Session } from './statement.ts'

const readRecipe = statement<{ blob: number }>()((p, db) =>
  db
    .selectFrom('recipes')
    .innerJoin('chunks', 'chunks.id', 'recipes.chunk_id')
    .leftJoin('objects', 'objects.id', 'chunks.object_id')
    .select([...placeColumns, 'chunks.digest'])
    .where('recipes.blob_id', '=', p('blob'))
    .orderBy('recipes.position'),
)

/** The chunks a blob is composed of, in order. */
export async function listRecipe(session: Session, blob: number): Promise<readonly (ChunkPlace & { readonly digest: Uint8Array })[]> {
  return (await session.all(readRecipe, { blob })).map((row) => ({ ...placeOf(row), digest: row.digest }))
}
