import type { RecipeRecord } from '../data-plane/pack-records.ts'
import type { RecipeChunk } from '../ports/data-plane.ts'
import { findLiveChunk, findPlacedChunk } from '../registry/chunks.ts'
import { addRecipePart, beginComposed, publishComposed } from '../registry/composed.ts'
import type { Registry } from '../registry/registry.ts'

/** Rows of one transaction. */
const ROWS_PER_COMMIT = 500

/** Segments of one recipe that follow each other in one pack. A recipe that was written while a pack was sealed is made of two. */
interface Run {
  readonly pack: number
  readonly records: RecipeRecord[]
}

/** A blob, and the ways to compose it that were found: one, unless several writers stored the same content at the same time. */
export interface FoundRecipes {
  readonly digest: Uint8Array
  readonly size: number
  readonly candidates: Iterable<readonly RecipeChunk[]>
}

/** Gathers the segments of recipes as packs are read from their beginning to their end. */
export class RecipeCollection {
  readonly #found = new Map<string, { readonly digest: Uint8Array; readonly runs: Run[] }>()

  /** @param pack tells packs apart */
  add(pack: number, digest: Uint8Array, record: RecipeRecord): void {
    const key = Buffer.from(digest).toString('latin1')
    const runs: Run[] = this.#found.get(key)?.runs ?? []
    this.#found.set(key, { digest, runs })
    const latest = runs.at(-1)
    const last = latest?.records.at(-1)
    const follows = latest?.pack === pack && last?.segments === record.segments && last.segment + 1 === record.segment
    if (follows) latest.records.push(record)
    else runs.push({ pack, records: [record] })
  }

  /** What was gathered, a blob at a time. */
  *all(): Generator<FoundRecipes, void, undefined> {
    for (const { digest, runs } of this.#found.values()) {
      for (const size of new Set(runs.flatMap(({ records }) => records.map((record) => record.size)))) {
        yield { digest, size, candidates: candidatesOf(runs, size) }
      }
    }
  }
}

function* candidatesOf(runs: readonly Run[], size: number): Generator<readonly RecipeChunk[], void, undefined> {
  const lists = runs.map(({ records }) => records).filter(([first]) => first?.size === size)
  for (const segments of new Set(lists.map(([first]) => first?.segments ?? 0))) {
    for (const joined of joinedRuns(lists, segments, 0)) {
      const chunks = joined.flatMap((record) => record.chunks)
      if (chunks.reduce((sum, chunk) => sum + chunk.size, 0) === size) yield chunks
    }
  }
}

/** Every way to put runs one behind the other, from a segment on up to the last one. */
function* joinedRuns(
  lists: readonly (readonly RecipeRecord[])[],
  segments: number,
  from: number,
): Generator<readonly RecipeRecord[], void, undefined> {
  if (from === segments) yield []
  for (const list of lists) {
    const [first] = list
    if (first?.segments !== segments || first.segment !== from) continue
    for (const rest of joinedRuns(lists, segments, from + list.length)) yield [...list, ...rest]
  }
}

/**
 * Composes a blob of chunks that were found, if all of one recipe were. A recipe of which parts are gone says nothing: its blob may never have
 * been named, or be long gone; where a manifest names it, that is told.
 */
export async function composeBlob(registry: Registry, { digest, size, candidates }: FoundRecipes): Promise<void> {
  if ((await findLiveChunk(registry.reader, digest)) !== undefined) return
  for (const chunks of candidates) {
    const rows = await rowsOf(registry, chunks)
    if (rows === undefined) continue
    const blob = await registry.write('recover-recipe', (session) => beginComposed(session, digest, size))
    for (let from = 0; from < rows.length; from += ROWS_PER_COMMIT) {
      await registry.write('recover-recipe', async (session) => {
        for (const part of rows.slice(from, from + ROWS_PER_COMMIT)) await addRecipePart(session, { blob, ...part })
      })
    }
    await registry.write('recover-recipe', (session) => publishComposed(session, blob, digest))
    return
  }
}

async function rowsOf(
  registry: Registry,
  chunks: readonly RecipeChunk[],
): Promise<readonly { readonly position: number; readonly chunk: number; readonly start: number }[] | undefined> {
  const rows = []
  let start = 0
  for (const [position, { digest, size }] of chunks.entries()) {
    const placed = await findPlacedChunk(registry.reader, digest)
    if (placed?.size !== size) return undefined
    rows.push({ position, chunk: placed.id, start })
    start += size
  }
  return rows
}
