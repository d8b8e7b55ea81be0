import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe } from 'node:test'
import { AbortedError, InputInvalidError } from '../core/errors.ts'
import type { IngestItem } from '../ports/data-plane.ts'
import { bytesItem, failure, ingest, nothingHeld, readAll, stored, streamItem } from './data-plane-rig.ts'
import type { CheckDataPlane } from './data-plane-rig.ts'

const MIB = 1024 * 1024

let made = 0

/** 1 MiB that is like no other, and quickly made. */
function distinctMebibyte(): Buffer {
  const bytes = Buffer.alloc(MIB)
  made += 1
  bytes.writeUInt32LE(made)
  return bytes
}

/** Cases of how sources, calls and consumers run beside one another. */
export function flowCases(check: CheckDataPlane): void {
  describe('flow', () => {
    check('what came from a source that is silent now is stored meanwhile', async ({ plane, host }) => {
      const first = randomBytes(300)
      const { promise: go, resolve: release } = Promise.withResolvers<undefined>()
      async function* items(): AsyncGenerator<IngestItem> {
        yield bytesItem(first)
        await go
        yield bytesItem(randomBytes(5))
      }
      let seen = 0
      for await (const outcomes of plane.ingestMany(items(), { resolve: nothingHeld })) {
        if (seen === 0) assert.ok((await readAll(plane, [host.locate(stored(outcomes[0]))])).equals(first))
        seen += outcomes.length
        release(undefined)
      }
      assert.equal(seen, 2)
    })

    check('a stream is read to its end before the next item is asked for', async ({ plane, host }) => {
      const contents = [100, 3 * MIB, 0, 5000, 2 * MIB + 1, 7].map((size) => randomBytes(size))
      let open = false
      async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
        for (let offset = 0; offset < bytes.length; offset += 700_000) yield bytes.subarray(offset, offset + 700_000)
        open = false
      }
      function* items(): Generator<IngestItem> {
        for (const bytes of contents) {
          assert.equal(open, false, 'the stream before has ended')
          open = true
          yield { source: { kind: 'stream', stream: pieces(bytes) } }
        }
      }
      const outcomes = await ingest(plane, items())
      for (const [index, bytes] of contents.entries()) assert.ok((await readAll(plane, [host.locate(stored(outcomes[index]))])).equals(bytes))
    })

    check('a stream that fails is an outcome of its own, before and after it became large', async ({ plane, host, backend }) => {
      async function* failing(size: number): AsyncGenerator<Uint8Array> {
        yield randomBytes(size)
        throw new Error('the cable was pulled')
      }
      const fine = randomBytes(50)
      const outcomes = await ingest(plane, [
        { source: { kind: 'stream', stream: failing(1000) } },
        { source: { kind: 'stream', stream: failing(4 * MIB) } },
        bytesItem(fine),
      ])
      for (const outcome of outcomes.slice(0, 2)) {
        const error = failure(outcome)
        assert.ok(error instanceof InputInvalidError && error.message.includes('the cable was pulled'))
      }
      assert.ok((await readAll(plane, [host.locate(stored(outcomes[2]))])).equals(fine))
      for (const [objectId, kind] of host.kinds) if (kind === 'whole') assert.equal(await backend.head(host.keyOf(objectId)), undefined)
    })

    check('a source of items that throws ends the call with its error, after what was complete', async ({ plane }) => {
      async function* items(): AsyncGenerator<IngestItem> {
        yield bytesItem(randomBytes(10))
        throw new RangeError('no more')
      }
      let seen = 0
      await assert.rejects(async () => {
        for await (const outcomes of plane.ingestMany(items(), { resolve: nothingHeld })) seen += outcomes.length
      }, RangeError)
      assert.equal(seen, 1)
    })

    check('a store that cannot answer ends the call', async ({ plane }) => {
      const broken = async (): Promise<never> => {
        throw new RangeError('the database is gone')
      }
      for (const size of [10, 3 * MIB]) await assert.rejects(ingest(plane, [bytesItem(randomBytes(size))], broken), RangeError)
      await ingest(plane, [bytesItem(randomBytes(10))])
    })

    check('many calls at the same time do not disturb one another', async ({ plane, host }) => {
      const calls = Array.from({ length: 12 }, (_, call) =>
        Array.from({ length: 20 }, (_each, index) => randomBytes(call === 3 && index === 7 ? 3 * MIB : call * 500)),
      )
      const outcomes = await Promise.all(
        calls.map((contents, call) =>
          ingest(
            plane,
            contents.map((bytes) => (call % 2 === 0 ? bytesItem(bytes) : streamItem(bytes, 999))),
          ),
        ),
      )
      for (const [call, contents] of calls.entries()) {
        for (const [index, bytes] of contents.entries()) {
          assert.ok((await readAll(plane, [host.locate(stored(outcomes[call]?.[index]))])).equals(bytes))
        }
      }
    })

    check('calls whose consumers wait for another call to end do not block it', async ({ plane }) => {
      const waiting: Promise<unknown>[] = []
      const { promise: go, resolve: release } = Promise.withResolvers<undefined>()
      const begun = Array.from({ length: 8 }, () => Promise.withResolvers<undefined>())
      for (const { resolve: begin } of begun) {
        const items = Array.from({ length: 30 }, () => bytesItem(distinctMebibyte()))
        const consume = async (): Promise<void> => {
          for await (const _ of plane.ingestMany(items, { resolve: nothingHeld })) {
            begin(undefined)
            await go
          }
        }
        waiting.push(consume())
      }
      await Promise.all(begun.map(({ promise }) => promise))
      await ingest(plane, [bytesItem(randomBytes(MIB)), bytesItem(randomBytes(3 * MIB))])
      release(undefined)
      await Promise.all(waiting)
    })

    check('a consumer that is slow slows the source', async ({ plane }) => {
      let given = 0
      function* items(): Generator<IngestItem> {
        for (; given < 200; given += 1) yield bytesItem(distinctMebibyte())
      }
      let taken = 0
      for await (const outcomes of plane.ingestMany(items(), { resolve: nothingHeld })) {
        taken += outcomes.length
        // Give the source every chance to run ahead.
        for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
        assert.ok(given - taken <= 64, `${String(given - taken)} MiB ahead`)
      }
      assert.equal(taken, 200)
    })

    check('a consumer that stops early stops the source', async ({ plane, backend, host }) => {
      const { promise: stopped, resolve: stop } = Promise.withResolvers<undefined>()
      async function* items(): AsyncGenerator<IngestItem> {
        try {
          for (;;) yield bytesItem(distinctMebibyte())
        } finally {
          stop(undefined)
        }
      }
      for await (const outcomes of plane.ingestMany(items(), { resolve: nothingHeld })) {
        assert.ok(outcomes.length > 0)
        break
      }
      await stopped
      await plane.close()
      for (const [objectId, { size }] of host.sealedPacks) assert.equal((await backend.head(host.keyOf(objectId)))?.size, size)
    })

    check('an abort ends a call at once, also while a source is silent', async ({ plane }) => {
      const never = new Promise<never>(() => undefined)
      async function* silent(): AsyncGenerator<IngestItem> {
        yield await never
      }
      async function* stalled(): AsyncGenerator<Uint8Array> {
        yield randomBytes(3 * MIB)
        await never
      }
      const sources = [silent(), [{ source: { kind: 'stream', stream: stalled() } }] as const, [bytesItem(randomBytes(5))]]
      for (const [index, items] of sources.entries()) {
        const controller = new AbortController()
        if (index === 2) controller.abort()
        else setImmediate(() => controller.abort(new Error('enough')))
        await assert.rejects(async () => {
          for await (const _ of plane.ingestMany(items, { resolve: nothingHeld, signal: controller.signal }));
        }, AbortedError)
      }
      await ingest(plane, [bytesItem(randomBytes(5))])
    })
  })
}
