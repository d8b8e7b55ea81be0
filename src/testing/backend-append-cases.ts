import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe } from 'node:test'
import { AlreadyExistsError, ClosedError } from '../core/errors.ts'
import { canAppend } from '../ports/backend.ts'
import type { AppendBackend } from '../ports/backend.ts'
import { hash, keysOf, newKey, read } from './backend-case.ts'
import type { BackendCase, CheckBackend } from './backend-case.ts'

const MIB = 1024 * 1024

/** What a backend promises that declares `append`; skipped for others. */
export function appendCases(check: CheckBackend): void {
  describe('append', () => {
    const checkAppend = (behaviour: string, body: (found: BackendCase & { readonly backend: AppendBackend }) => Promise<void>): void => {
      check(behaviour, async ({ backend, t }) => {
        if (canAppend(backend)) return body({ backend, t })
        t.skip('the backend does not declare the capability append')
      })
    }

    checkAppend('makes an object that grows, and can be read as far as it was flushed while it does', async ({ backend }) => {
      const key = newKey()
      const appender = await backend.createAppender(key)
      assert.equal(appender.key, key)
      assert.equal((await read(backend, key)).length, 0)
      const expected: Uint8Array[] = []
      for (let round = 0; round < 5; round += 1) {
        const pieces = [randomBytes(round * 1000), randomBytes(MIB / 2 + round), randomBytes(1)]
        await appender.append(pieces)
        expected.push(...pieces)
        await appender.flush()
        assert.equal(appender.size, Buffer.concat(expected).length)
        assert.equal(hash(await read(backend, key)), hash(Buffer.concat(expected)))
        assert.deepEqual(await backend.head(key), { key, size: appender.size })
      }
      await appender.close()
      await appender.close()
      assert.equal(hash(await read(backend, key)), hash(Buffer.concat(expected)))
      assert.deepEqual(await keysOf(backend), [key])
    })

    checkAppend('takes thousands of small pieces at once, and none at all', async ({ backend }) => {
      const key = newKey()
      const appender = await backend.createAppender(key)
      const pieces = Array.from({ length: 5000 }, (_, index) => Buffer.from(`${String(index)};`))
      await appender.append([])
      await appender.append(pieces)
      await appender.append([new Uint8Array(0)])
      await appender.flush()
      await appender.close()
      assert.equal(hash(await read(backend, key)), hash(Buffer.concat(pieces)))
    })

    checkAppend('does not keep the memory it was given', async ({ backend }) => {
      const key = newKey()
      const appender = await backend.createAppender(key)
      const piece = Buffer.from('as appended')
      await appender.append([piece])
      piece.fill(0)
      await appender.flush()
      await appender.close()
      assert.equal((await read(backend, key)).toString(), 'as appended')
    })

    checkAppend('after close is refused', async ({ backend }) => {
      const appender = await backend.createAppender(newKey())
      await appender.close()
      await assert.rejects(appender.append([Buffer.from('x')]), ClosedError)
      await assert.rejects(appender.flush(), ClosedError)
    })

    checkAppend('needs a key that was not used, and uses it', async ({ backend }) => {
      const key = newKey()
      await backend.put(key, [Buffer.from('put')])
      await assert.rejects(backend.createAppender(key), AlreadyExistsError)
      assert.equal((await read(backend, key)).toString(), 'put')
      const another = newKey()
      const appender = await backend.createAppender(another)
      await assert.rejects(backend.createAppender(another), AlreadyExistsError)
      await assert.rejects(backend.put(another, [Buffer.from('put')]), AlreadyExistsError)
      await appender.append([Buffer.from('appended')])
      await appender.close()
      assert.equal((await read(backend, another)).toString(), 'appended')
    })

    checkAppend('by several at the same time does not mix', async ({ backend }) => {
      const appenders = await Promise.all(Array.from({ length: 5 }, () => backend.createAppender(newKey())))
      for (let round = 0; round < 10; round += 1) {
        await Promise.all(appenders.map((appender, index) => appender.append([Buffer.alloc(1000, index)])))
        await Promise.all(appenders.map((appender) => appender.flush()))
      }
      for (const [index, appender] of appenders.entries()) {
        await appender.close()
        assert.ok((await read(backend, appender.key)).equals(Buffer.alloc(10_000, index)))
      }
    })
  })
}
