import type { Recipe, RecipeChunk } from '../ports/data-plane.ts'
import type { NewEntry } from './pack-builder.ts'
import { CODEC, ENTRY_KIND } from './pack-format.ts'
import { encodeRecipe, SEGMENT_CHUNKS } from './pack-records.ts'
import type { PackSink } from './pack-writer.ts'

/** Segments that are appended together, so that a recipe of up to 32,768 chunks lies in one piece. */
const SEGMENTS_AT_ONCE = 8

/**
 * Writes the entries that say of which chunks a blob is composed, and makes them durable.
 * @returns the packs they lie in
 */
export async function writeRecipe(sink: PackSink, recipe: Recipe): Promise<readonly number[]> {
  const packs = new Set<number>()
  let entries: NewEntry[] = []
  const append = async (): Promise<void> => {
    for (const { objectId } of await sink.append(entries)) packs.add(objectId)
    entries = []
  }
  for await (const entry of recipeEntries(recipe)) {
    entries.push(entry)
    if (entries.length === SEGMENTS_AT_ONCE) await append()
  }
  if (entries.length > 0) await append()
  await sink.flush(packs)
  return [...packs]
}

async function* recipeEntries({ digest, size, count, chunks }: Recipe): AsyncGenerator<NewEntry, void, undefined> {
  const segments = Math.ceil(count / SEGMENT_CHUNKS)
  let segment = 0
  let gathered: RecipeChunk[] = []
  const entry = (): NewEntry => {
    const stored = encodeRecipe({ content: 'chunk', size, segment, segments, chunks: gathered })
    return { kind: ENTRY_KIND.recipe, codec: CODEC.raw, rawLength: stored.length, digest, stored }
  }
  for await (const chunk of chunks) {
    gathered.push(chunk)
    if (gathered.length < SEGMENT_CHUNKS) continue
    yield entry()
    gathered = []
    segment += 1
  }
  if (gathered.length > 0) yield entry()
}
