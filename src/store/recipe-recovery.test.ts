import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { sha256 } from '../core/digest.ts'
import type { RecipeRecord } from '../data-plane/pack-records.ts'
import { RecipeCollection } from './recipe-recovery.ts'

const blob = sha256(Buffer.from('blob'))

/** A segment whose only chunk has this name and size. */
function segment(name: string, size: number, place: readonly [segment: number, segments: number], total: number): RecipeRecord {
  return { content: 'chunk', size: total, segment: place[0], segments: place[1], chunks: [{ digest: sha256(Buffer.from(name)), size }] }
}

/** The ways to compose the blob, as sizes of chunks. */
function waysOf(found: readonly (readonly [pack: number, record: RecipeRecord])[]): readonly (readonly number[])[] {
  const collection = new RecipeCollection()
  for (const [pack, record] of found) collection.add(pack, blob, record)
  return [...collection.all()].flatMap(({ candidates }) => [...candidates].map((chunks) => chunks.map(({ size }) => size)))
}

describe('recipes that are found in packs', () => {
  test('are put together from their segments', () => {
    assert.deepEqual(waysOf([0, 1, 2].map((place) => [1, segment('c', place + 1, [place, 3], 6)])), [[1, 2, 3]])
  })

  test('of the same blob, cut differently by two writers, stay apart', () => {
    const found = [
      [1, segment('a', 6, [0, 1], 6)],
      [1, segment('b', 6, [0, 1], 6)],
      [2, segment('c', 1, [0, 2], 6)],
      [2, segment('d', 5, [1, 2], 6)],
      [3, segment('e', 2, [0, 2], 6)],
      [3, segment('f', 4, [1, 2], 6)],
    ] as const
    assert.deepEqual(waysOf(found), [[6], [6], [1, 5], [2, 4]])
  })

  test('that were written while a pack was sealed are put together across packs, in whatever order these are read', () => {
    const found = [
      [1, segment('b', 2, [1, 2], 3)],
      [2, segment('a', 1, [0, 2], 3)],
    ] as const
    assert.deepEqual(waysOf(found), [[1, 2]])
    assert.deepEqual(waysOf(found.toReversed()), [[1, 2]])
  })

  test('that are incomplete, or whose chunks do not make up the blob, are none', () => {
    assert.deepEqual(waysOf([[1, segment('a', 1, [0, 2], 3)]]), [])
    assert.deepEqual(waysOf([[1, segment('b', 2, [1, 2], 3)]]), [])
    assert.deepEqual(
      waysOf([
        [1, segment('a', 1, [0, 2], 9)],
        [1, segment('b', 2, [1, 2], 9)],
      ]),
      [],
    )
  })
})
