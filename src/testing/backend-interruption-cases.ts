import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe } from 'node:test'
import { AbortedError } from '../core/errors.ts'
import { assertNothing, keysOf, newKey, read } from './backend-case.ts'
import type { CheckBackend } from './backend-case.ts'

const MIB = 1024 * 1024

/** What becomes of a `put` that fails or is stopped. */
export function interruptionCases(check: CheckBackend): void {
  describe('a put that does not finish', () => {
    for (const after of [0, 10, 3 * MIB]) {
      check(`leaves nothing when its source fails after ${String(after)} bytes, and passes the error on`, async ({ backend }) => {
        const key = newKey()
        const failure = new Error('the source broke')
        await assert.rejects(backend.put(key, failingSource(after, failure)), (error) => error === failure)
        await assertNothing(backend, key)
        await backend.put(key, [Buffer.from('second try')])
        assert.equal((await read(backend, key)).toString(), 'second try')
      })
    }

    check('is not seen while it goes on', async ({ backend }) => {
      const key = newKey()
      const gate = Promise.withResolvers<undefined>()
      const reached = Promise.withResolvers<undefined>()
      const source = async function* (): AsyncGenerator<Uint8Array> {
        yield randomBytes(2 * MIB)
        reached.resolve(undefined)
        await gate.promise
        yield randomBytes(5)
      }
      const put = backend.put(key, source())
      await reached.promise
      await assertNothing(backend, key)
      gate.resolve(undefined)
      assert.equal((await put).size, 2 * MIB + 5)
      assert.deepEqual(await keysOf(backend), [key])
    })

    check('stops when its signal is aborted, even if its source never answers', async ({ backend }) => {
      const key = newKey()
      const controller = new AbortController()
      const reached = Promise.withResolvers<undefined>()
      const source = async function* (): AsyncGenerator<Uint8Array> {
        yield randomBytes(MIB + 1)
        reached.resolve(undefined)
        await new Promise(() => undefined)
      }
      const put = backend.put(key, source(), { signal: controller.signal })
      await reached.promise
      controller.abort(new Error('enough'))
      await assert.rejects(put, (error) => error instanceof AbortedError && error.cause === controller.signal.reason)
      await assertNothing(backend, key)
    })

    check('does not begin when its signal was aborted before', async ({ backend }) => {
      const key = newKey()
      const source = function* (): Generator<Uint8Array> {
        assert.fail('the source was asked')
        yield new Uint8Array()
      }
      await assert.rejects(backend.put(key, source(), { signal: AbortSignal.abort() }), AbortedError)
      await assertNothing(backend, key)
    })

    check('lets its source clean up', async ({ backend }) => {
      const controller = new AbortController()
      let cleaned = false
      const source = async function* (): AsyncGenerator<Uint8Array> {
        try {
          yield randomBytes(1)
          controller.abort()
          yield randomBytes(1)
        } finally {
          cleaned = true
        }
      }
      await assert.rejects(backend.put(newKey(), source(), { signal: controller.signal }), AbortedError)
      assert.ok(cleaned)
    })
  })
}

async function* failingSource(after: number, failure: Error): AsyncGenerator<Uint8Array> {
  for (let sent = 0; sent < after; sent += 100_000) yield randomBytes(Math.min(100_000, after - sent))
  throw failure
}
