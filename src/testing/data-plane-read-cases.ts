import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe } from 'node:test'
import { AbortedError, DamagedError, InputInvalidError, ObjectMissingError } from '../core/errors.ts'
import type { ChunkLocation } from '../ports/data-plane.ts'
import { bytesItem, readAll, sha256Of, store, tamper } from './data-plane-rig.ts'
import type { CheckDataPlane, DataPlaneCase } from './data-plane-rig.ts'

const MIB = 1024 * 1024

/** Blobs of several kinds, stored and closed, and where they lie. */
async function prepared({
  plane,
  host,
}: DataPlaneCase): Promise<{ readonly contents: readonly Buffer[]; readonly chunks: readonly ChunkLocation[] }> {
  const contents = [
    randomBytes(0),
    randomBytes(700),
    Buffer.alloc(9000, 'words '),
    randomBytes(200_000),
    Buffer.alloc(MIB, 'more '),
    randomBytes(3 * MIB + 5),
    randomBytes(90),
  ]
  const outcomes = await store(
    plane,
    contents.map((bytes) => bytesItem(bytes)),
  )
  await plane.close()
  return { contents, chunks: outcomes.map((outcome) => host.locate(outcome)) }
}

/** Cases of reading, verifying and deleting. */
export function readCases(check: CheckDataPlane): void {
  describe('read', () => {
    check('any range of a blob of many chunks is exactly its bytes', async (found) => {
      const { contents, chunks } = await prepared(found)
      const plane = await found.open()
      const model = Buffer.concat(contents)
      const size = model.length
      const edges = contents.map((_, index) => contents.slice(0, index).reduce((sum, bytes) => sum + bytes.length, 0))
      const ranges: [number, number][] = [
        [0, 0],
        [0, size],
        [5, size - 5],
        [size, size],
        [size - 1, size + 100],
      ]
      for (const edge of edges) ranges.push([Math.max(0, edge - 1), edge + 1], [edge, edge + 1], [edge, edge + MIB])
      for (const [start, end] of ranges)
        assert.ok((await readAll(plane, chunks, { start, end })).equals(model.subarray(start, end)), `${String(start)} to ${String(end)}`)
      assert.ok((await readAll(plane, chunks)).equals(model))
      assert.ok((await readAll(plane, chunks, { start: 17 })).equals(model.subarray(17)))
      assert.equal((await readAll(plane, chunks, { start: size + 1 })).length, 0)
    })

    check('a range that makes no sense is refused', async (found) => {
      const { chunks } = await prepared(found)
      const plane = await found.open()
      for (const range of [{ start: -1 }, { start: 3, end: 2 }, { start: 0.5 }, { end: NaN }])
        await assert.rejects(readAll(plane, chunks, range), InputInvalidError)
    })

    check('a blob that has no chunks is empty', async ({ plane }) => {
      assert.equal((await readAll(plane, [])).length, 0)
    })

    check('of a large object only the blocks that the range touches are read', async (found) => {
      const { contents, chunks } = await prepared(found)
      const large = chunks[5]
      assert.ok(large !== undefined)
      await tamper(found.backend, large.key, (bytes) => {
        bytes[2 * MIB] = (bytes[2 * MIB] ?? 0) ^ 1
        return bytes
      })
      const plane = await found.open()
      assert.ok((await readAll(plane, [large], { start: 5, end: 2 * MIB })).equals(contents[5]?.subarray(5, 2 * MIB) ?? Buffer.alloc(0)))
      assert.ok((await readAll(plane, [large], { start: 3 * MIB })).equals(contents[5]?.subarray(3 * MIB) ?? Buffer.alloc(0)))
      await assert.rejects(readAll(plane, [large], { start: 2 * MIB - 1, end: 2 * MIB + 1 }), DamagedError)
    })

    check('an abort ends a read', async (found) => {
      const { chunks } = await prepared(found)
      const plane = await found.open()
      const controller = new AbortController()
      await assert.rejects(async () => {
        for await (const _ of plane.read(chunks, { signal: controller.signal })) controller.abort()
      }, AbortedError)
    })

    check('a reader may stop early', async (found) => {
      const { chunks } = await prepared(found)
      const plane = await found.open()
      for await (const piece of plane.read(chunks)) {
        assert.ok(piece.length > 0)
        break
      }
    })

    check('many chunks are read, each exactly once, in whatever order they are asked for', async (found) => {
      const { contents, chunks } = await prepared(found)
      const plane = await found.open()
      const order = [6, 1, 3, 3, 0, 4, 2, 6]
      const seen: number[] = []
      for await (const read of plane.readMany(order.map((index) => chunks[index] ?? assert.fail()))) {
        assert.ok('bytes' in read && contents[order[read.index] ?? -1]?.equals(read.bytes))
        seen.push(read.index)
      }
      assert.deepEqual(
        seen.toSorted((a, b) => a - b),
        order.map((_, index) => index),
      )
    })
  })

  describe('damage', () => {
    const damages: Readonly<Record<string, (bytes: Buffer, chunk: ChunkLocation) => Uint8Array | undefined>> = {
      'a flipped bit': (bytes, { offset, storedLength }) => {
        const at = offset + Math.floor(storedLength / 2)
        bytes[at] = (bytes[at] ?? 0) ^ 0x10
        return bytes
      },
      'zeroed bytes': (bytes, { offset, storedLength }) => bytes.fill(0, offset, offset + Math.min(storedLength, 512)),
      'bytes of another': (bytes, { offset, storedLength }) => bytes.fill(randomBytes(64), offset, offset + storedLength),
      'a cut object': (bytes, { offset, storedLength }) => bytes.subarray(0, offset + storedLength - 1),
      'an object that is gone': () => undefined,
    }
    for (const [name, damage] of Object.entries(damages)) {
      check(`${name} is never read as right bytes, and verify names exactly what is hit`, async (found) => {
        for (const victim of [1, 2, 3, 4, 5]) {
          const one = { ...found, plane: await found.open() }
          const { contents, chunks } = await prepared(one)
          const chunk = chunks[victim] ?? assert.fail()
          await tamper(found.backend, chunk.key, (bytes) => damage(bytes, chunk))
          const plane = await found.open()
          const hit = chunks.flatMap((other, index) => {
            const sameObject = other.key === chunk.key && other !== chunk
            if (name === 'an object that is gone') return sameObject || other === chunk ? [index] : []
            if (name === 'a cut object') return other === chunk || (sameObject && other.offset > chunk.offset) ? [index] : []
            return other === chunk ? [index] : []
          })

          const error = await readAll(plane, [chunk]).catch((cause: unknown) => cause)
          assert.ok(error instanceof (name === 'an object that is gone' ? ObjectMissingError : DamagedError), String(error))
          assert.equal(error.detail['digest'], `sha256:${sha256Of(contents[victim] ?? assert.fail()).toString('hex')}`)
          assert.ok(error.message.includes(error.detail['digest']))

          const problems: number[] = []
          const seen: number[] = []
          for await (const { index, problem } of plane.verify(chunks)) {
            seen.push(index)
            if (problem !== undefined) problems.push(index)
          }
          assert.deepEqual(
            problems.toSorted((a, b) => a - b),
            hit,
            `victim ${String(victim)}`,
          )
          assert.equal(new Set(seen).size, chunks.length)

          const small = chunks.filter(({ kind }) => kind === 'pack')
          for await (const read of plane.readMany(small)) {
            const index = chunks.indexOf(small[read.index] ?? assert.fail())
            if ('bytes' in read) assert.ok(contents[index]?.equals(read.bytes))
            else assert.ok(hit.includes(index), `${String(index)} is fine but was not read`)
          }
        }
      })
    }

    check('checksums that the registry lost or has wrong are damage', async (found) => {
      const { chunks } = await prepared(found)
      const plane = await found.open()
      const { checksums: _, ...without } = chunks[5] ?? assert.fail()
      const wrong = { ...without, checksums: async (): Promise<Uint8Array> => Buffer.alloc(16) }
      for (const chunk of [without, wrong]) {
        await assert.rejects(readAll(plane, [chunk]), DamagedError)
        for await (const { problem } of plane.verify([chunk])) assert.ok(problem instanceof DamagedError)
      }
    })

    check('verify finds nothing where nothing is wrong', async (found) => {
      const { chunks } = await prepared(found)
      const plane = await found.open()
      for await (const { problem } of plane.verify(chunks)) assert.equal(problem, undefined)
    })
  })

  describe('delete', () => {
    check('removes objects, and is no error for those that are gone', async (found) => {
      const { chunks } = await prepared(found)
      const plane = await found.open()
      const keys = [...new Set(chunks.map(({ key }) => key))]
      await plane.delete(keys)
      await plane.delete(keys)
      for (const key of keys) assert.equal(await found.backend.head(key), undefined)
    })
  })
}
