import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { openMemoryBackend } from '../adapters/backend-memory/backend-memory.ts'
import type { Recipe } from '../ports/data-plane.ts'
import { sha256Of, TestHost } from '../testing/data-plane-rig.ts'
import { createInprocDataPlane } from './inproc.ts'
import { ENTRY_KIND } from './pack-format.ts'
import { readPack } from './pack-reader.ts'
import { decodeRecipe, type RecipeRecord } from './pack-records.ts'

/** What is read of the recipes that were written, pack by pack. */
async function recordsOf(
  recipes: readonly Recipe[],
  packLimit?: { readonly bytes: number; readonly entries: number },
): Promise<readonly RecipeRecord[]> {
  const backend = openMemoryBackend()
  const host = new TestHost()
  const plane = createInprocDataPlane({ backend, host, storeId: host.storeId, threads: 0, ...(packLimit === undefined ? {} : { packLimit }) })
  const objects = new Set<number>()
  for (const recipe of recipes) for (const objectId of await plane.recordRecipe(recipe)) objects.add(objectId)
  const records: RecipeRecord[] = []
  for (const objectId of objects) {
    const parts = readPack(backend, host.keyOf(objectId), { storeId: host.storeId, wants: ({ kind }) => kind === ENTRY_KIND.recipe })
    for await (const part of parts) if (part.kind === 'entry' && part.payload !== undefined) records.push(decodeRecipe(part.payload))
  }
  await plane.close()
  return records
}

function recipeOf(count: number): Recipe {
  const chunks = Array.from({ length: count }, (_, index) => ({ digest: sha256Of(Buffer.from(`chunk ${index}`)), size: index + 1 }))
  return { digest: sha256Of(Buffer.from(`blob ${count}`)), size: (count * (count + 1)) / 2, count, chunks }
}

test('a recipe of any length is read again as it was written, in segments of 4,096 chunks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.integer({ min: 2, max: 40_000 }), fc.constantFrom(4_095, 4_096, 4_097, 8_192, 32_768, 32_769)), async (count) => {
      const recipe = recipeOf(count)
      const records = await recordsOf([recipe])
      assert.deepEqual(
        records.map(({ segment, segments, size }) => ({ segment, segments, size })),
        records.map((_, segment) => ({ segment, segments: Math.ceil(count / 4_096), size: recipe.size })),
      )
      assert.equal(records.length, Math.ceil(count / 4_096))
      const read = records.flatMap(({ chunks }) => chunks)
      assert.ok(
        Buffer.concat(read.map(({ digest }) => digest)).equals(
          Buffer.concat([...(await Array.fromAsync(recipe.chunks))].map(({ digest }) => digest)),
        ),
      )
      assert.deepEqual(
        read.map(({ size }) => size),
        read.map((_, index) => index + 1),
      )
    }),
    { numRuns: 20 },
  )
})

test('a recipe goes on in the next pack when one is full', async () => {
  const records = await recordsOf([recipeOf(12_289)], { bytes: 1_000_000, entries: 2 })
  assert.deepEqual(
    records.map(({ segment, segments }) => [segment, segments]),
    [
      [0, 4],
      [1, 4],
      [2, 4],
      [3, 4],
    ],
  )
})
