import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { openMemoryBackend } from '../adapters/backend-memory/backend-memory.ts'
import { bytesItem, readAll, store, TestHost } from '../testing/data-plane-rig.ts'
import { createInprocDataPlane } from './inproc.ts'

describe('range reads', () => {
  test('over random recipes of random chunks are those of the same bytes in memory', async () => {
    const host = new TestHost()
    const backend = openMemoryBackend()
    const plane = createInprocDataPlane({ backend, host, storeId: host.storeId, threads: 0, packLimit: { bytes: 50_000, entries: 20 } })
    const contents = Array.from({ length: 60 }, (_, index) => Buffer.alloc((index * index * 7) % 5000, `${String(index)} ${'ab'.repeat(index)}`))
    contents.push(Buffer.alloc(2 * 1024 * 1024 + 3, 'large '), Buffer.alloc(3 * 1024 * 1024, 'larger '))
    const places = (
      await store(
        plane,
        contents.map((bytes) => bytesItem(bytes)),
      )
    ).map((outcome) => host.locate(outcome))
    const small = fc.array(fc.nat(59), { maxLength: 12 })
    const recipe = fc.tuple(small, fc.array(fc.constantFrom(60, 61), { maxLength: 1 }), small).map((parts) => parts.flat())
    await fc.assert(
      fc.asyncProperty(recipe, fc.nat(), fc.nat(), async (indexes, from, length) => {
        const model = Buffer.concat(indexes.map((index) => contents[index] ?? assert.fail()))
        const chunks = indexes.map((index) => places[index] ?? assert.fail())
        const start = from % (model.length + 2)
        const end = start + (length % (model.length + 2))
        assert.ok((await readAll(plane, chunks, { start, end })).equals(model.subarray(start, end)))
      }),
      { numRuns: 300 },
    )
    await plane.close()
  })
})
