import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { ClosedError, DigestMismatchError } from '../core/errors.ts'
import type { IngestItem, Resolve } from '../ports/data-plane.ts'
import { compactionCases } from './data-plane-compaction-cases.ts'
import { faultCases } from './data-plane-fault-cases.ts'
import { fileCases } from './data-plane-file-cases.ts'
import { flowCases } from './data-plane-flow-cases.ts'
import { readCases } from './data-plane-read-cases.ts'
import { bytesItem, failure, fileItem, ingest, readAll, sha256Of, store, stored, streamItem, TestHost } from './data-plane-rig.ts'
import type { CheckDataPlane, DataPlaneHarness } from './data-plane-rig.ts'

const MIB = 1024 * 1024
const SIZES: readonly number[] = [0, 1, 127, 128, 1024, 64 * 1024, MIB, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 3 * MIB, 5 * MIB + 17]

/** Bytes that compress well. */
function text(size: number): Buffer {
  const line = `${randomUUID()} the same words again and again, as logs and sources have them\n`
  return Buffer.from(line.repeat(Math.ceil(size / line.length))).subarray(0, size)
}

/**
 * The promises of {@link DataPlane} as tests; every implementation passes it, over every kind of backend: `dataPlaneSuite('in this process', { … })`.
 */
export function dataPlaneSuite(name: string, harness: DataPlaneHarness): void {
  const check: CheckDataPlane = (behaviour, body) => {
    test(behaviour, async (t) => {
      const host = new TestHost()
      const { storeId } = host
      const backend = await harness.backend(t)
      const opened = [await harness.open({ backend, host, storeId })]
      const [plane] = opened
      assert.ok(plane !== undefined)
      try {
        await body({
          t,
          backend,
          storeId,
          host,
          plane,
          open: async (other = backend, otherHost = host) => {
            const another = await harness.open({ backend: other, host: otherHost, storeId })
            opened.push(another)
            return another
          },
        })
      } finally {
        await Promise.allSettled(opened.map((each) => each.close()))
        await backend.close()
      }
    })
  }

  describe(`data plane suite: ${name}`, () => {
    describe('ingest', () => {
      for (const size of SIZES) {
        check(`${String(size)} bytes come back from memory, a stream and a file`, async ({ t, plane, host, open }) => {
          const folder = mkdtempSync(join(tmpdir(), 'data-plane-'))
          t.after(() => rmSync(folder, { recursive: true }))
          const contents = [randomBytes(size), text(size), randomBytes(size)]
          contents.forEach((bytes, index) => writeFileSync(join(folder, String(index)), bytes))
          const items = contents.flatMap((bytes, index) => [bytesItem(bytes), streamItem(bytes), fileItem(join(folder, String(index)))])
          const outcomes = await store(plane, items)
          const reader = await open()
          for (const [index, outcome] of outcomes.entries()) {
            const expected = contents[Math.floor(index / 3)] ?? Buffer.alloc(0)
            assert.equal(outcome.size, size)
            assert.ok(sha256Of(expected).equals(outcome.digest))
            assert.equal(outcome.placement.kind, size > 2 * MIB ? 'whole' : 'pack')
            assert.ok((await readAll(reader, [host.locate(outcome)])).equals(expected))
          }
        })
      }

      check('equal bytes in one call are stored once', async ({ plane, host, backend }) => {
        const small = randomBytes(1000)
        const other = randomBytes(1000)
        const items = [bytesItem(small), streamItem(small), bytesItem(other), bytesItem(small, { content: 'manifest' })]
        const outcomes = await store(plane, items)
        assert.equal(new Set(outcomes.map(({ placement }) => placement.offset)).size, 2)
        await plane.close()
        const [pack] = host.sealedPacks.values()
        assert.equal(pack?.entries, 2)
        assert.equal((await backend.head(host.keyOf(1)))?.size, pack?.size)
      })

      check('equal bytes far apart in one call are stored once, recorded by the consumer or not yet', async ({ plane }) => {
        const same = randomBytes(3000)
        const items = Array.from({ length: 4500 }, (_, index) => bytesItem(index % 1100 === 0 ? same : Buffer.from(String(index))))
        const recorded = new Set<string>()
        const places = new Set<number>()
        const resolve: Resolve = async (blobs) => blobs.map(({ digest }) => recorded.has(Buffer.from(digest).toString('hex')))
        for await (const outcomes of plane.ingestMany(items, { resolve })) {
          for (let turn = 0; turn < 5; turn += 1) await new Promise((next) => setImmediate(next))
          for (const outcome of outcomes) {
            assert.ok('digest' in outcome)
            recorded.add(Buffer.from(outcome.digest).toString('hex'))
            if (outcome.index % 1100 === 0 && outcome.placement !== undefined) places.add(outcome.placement.offset)
          }
        }
        assert.equal(recorded.size, 4496)
        assert.equal(places.size, 1)
      })

      check('what the store holds already is not stored, whatever its size and source', async ({ plane, host, backend, t }) => {
        const folder = mkdtempSync(join(tmpdir(), 'data-plane-'))
        t.after(() => rmSync(folder, { recursive: true }))
        const contents = [randomBytes(100), randomBytes(MIB), randomBytes(3 * MIB)]
        contents.forEach((bytes, index) => writeFileSync(join(folder, String(index)), bytes))
        const items = contents.flatMap((bytes, index) => [bytesItem(bytes), streamItem(bytes), fileItem(join(folder, String(index)))])
        const outcomes = await ingest(plane, items, async (blobs) => blobs.map(() => true))
        for (const outcome of outcomes) assert.ok('digest' in outcome && outcome.placement === undefined)
        await plane.close()
        assert.equal(host.sealedPacks.size, 0)
        const left: string[] = []
        for await (const { key } of backend.list('')) left.push(key)
        assert.deepEqual(left, [], 'large objects that turned out to exist are removed')
      })

      check('the store is asked for each digest of a window once, with index and size, at most 1,000 at a time', async ({ plane }) => {
        const contents = Array.from({ length: 2300 }, (_, index) => Buffer.from(`content ${String(index % 2200)}`))
        const asked = new Map<string, number>()
        const items = contents.map((bytes) => bytesItem(bytes))
        const outcomes = await ingest(plane, items, async (blobs) => {
          assert.ok(blobs.length <= 1000)
          for (const { index, digest, size } of blobs) {
            const bytes = contents[index]
            assert.ok(bytes !== undefined && sha256Of(bytes).equals(digest) && bytes.length === size)
            asked.set(bytes.toString(), (asked.get(bytes.toString()) ?? 0) + 1)
          }
          return blobs.map(({ index }) => index % 2 === 0)
        })
        assert.equal(asked.size, 2200)
        for (const outcome of outcomes.slice(0, 2200)) {
          assert.ok('digest' in outcome)
          assert.equal(outcome.placement === undefined, outcome.index % 2 === 0)
        }
      })

      check('bytes that are not the announced ones are refused with both values, and nothing else is', async ({ plane, host }) => {
        const small = randomBytes(500)
        const large = randomBytes(3 * MIB)
        const other = sha256Of(Buffer.from('other'))
        const wrong: readonly IngestItem[] = [
          bytesItem(small, { expectedDigest: other }),
          streamItem(small, 100, { expectedDigest: other }),
          bytesItem(large, { expectedDigest: other }),
          streamItem(large, MIB, { expectedDigest: other }),
          bytesItem(small, { expectedSize: 499 }),
          streamItem(small, 100, { expectedSize: 501 }),
          bytesItem(large, { expectedSize: large.length + 1 }),
          streamItem(large, MIB, { expectedSize: 2_500_000 }),
        ]
        const right = [
          bytesItem(small, { expectedDigest: sha256Of(small), expectedSize: small.length }),
          streamItem(large, MIB, { expectedDigest: sha256Of(large), expectedSize: large.length }),
        ]
        const outcomes = await ingest(plane, [...wrong, ...right])
        for (const outcome of outcomes.slice(0, wrong.length))
          assert.ok(failure(outcome) instanceof DigestMismatchError, `item ${String(outcome.index)}`)
        assert.match(failure(outcomes[0]).message, new RegExp(other.toString('hex'), 'u'))
        assert.match(failure(outcomes[0]).message, new RegExp(sha256Of(small).toString('hex'), 'u'))
        for (const [index, bytes] of [small, large].entries()) {
          assert.ok((await readAll(plane, [host.locate(stored(outcomes[wrong.length + index]))])).equals(bytes))
        }
      })

      check('an endless stream is stopped where it passes its announced size', async ({ plane }) => {
        async function* endless(): AsyncGenerator<Uint8Array> {
          for (;;) yield randomBytes(MIB)
        }
        const item: IngestItem = { source: { kind: 'stream', stream: endless() }, expectedSize: 4 * MIB }
        assert.ok(failure((await ingest(plane, [item]))[0]) instanceof DigestMismatchError)
      })

      check('a recipe is durable when it is told, in packs that the store gave out', async ({ plane, host, backend }) => {
        const chunks = Array.from({ length: 5_000 }, (_, index) => ({ digest: sha256Of(Buffer.from(String(index))), size: 1 }))
        const objects = await plane.recordRecipe({ digest: sha256Of(Buffer.from('all')), size: chunks.length, count: chunks.length, chunks })
        assert.ok(objects.length > 0)
        for (const objectId of objects) {
          assert.equal(host.kinds.get(objectId), 'pack')
          assert.ok(((await backend.head(host.keyOf(objectId)))?.size ?? 0) > chunks.length * 32)
        }
        await plane.close()
        await assert.rejects(plane.recordRecipe({ digest: sha256Of(Buffer.from('all')), size: 0, count: 0, chunks: [] }), ClosedError)
      })

      check('a call without items yields nothing', async ({ plane, host }) => {
        assert.deepEqual(await ingest(plane, []), [])
        assert.equal(host.kinds.size, 0)
      })

      check('after close nothing is accepted', async ({ plane }) => {
        await plane.close()
        await assert.rejects(async () => ingest(plane, [bytesItem(randomBytes(5))]), ClosedError)
      })
    })

    fileCases(check)
    flowCases(check)
    readCases(check)
    compactionCases(check)
    faultCases(check)
  })
}
