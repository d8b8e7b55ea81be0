import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import { StorageFullError, StoreReadOnlyError } from '../../core/errors.ts'
import { parseObjectKey } from '../../ports/backend.ts'
import { FileAppender } from './file-appender.ts'
import { StreamWriter, without } from './file-write.ts'

/** Takes no byte (ENOSPC) and cannot be flushed (EINVAL). */
function openFull(t: TestContext): number {
  const fd = openSync('/dev/full', 'r+')
  t.after(() => closeSync(fd))
  return fd
}

test('after a write that was cut short, exactly the rest is written', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 5 }), { maxLength: 6 }), fc.nat(40), (pieces, count) => {
      const bytes = Buffer.concat(pieces)
      assert.deepEqual(Buffer.concat(without(pieces, count)), bytes.subarray(count))
    }),
  )
})

describe('a full disk', () => {
  for (const size of [1, 1024 * 1024, 5 * 1024 * 1024]) {
    test(`fails the writing of ${String(size)} bytes, and the source hears of it`, async (t) => {
      let stopped = false
      const source = async function* (): AsyncGenerator<Uint8Array> {
        try {
          for (let sent = 0; sent < size; sent += 65_536) yield Buffer.alloc(Math.min(65_536, size - sent))
          stopped = true
        } finally {
          stopped = true
        }
      }
      await assert.rejects(new StreamWriter(true).write(openFull(t), source(), 'k'), StorageFullError)
      assert.ok(stopped)
    })
  }

  test('adds nothing to an appender', async (t) => {
    const appender = new FileAppender(parseObjectKey('s/w/k'), openFull(t), true)
    await assert.rejects(appender.append([Buffer.from('x')]), StorageFullError)
    assert.equal(appender.size, 0)
  })
})

describe('a flush that fails', () => {
  test('is final for an appender: nothing is written or flushed again', async (t) => {
    const appender = new FileAppender(parseObjectKey('s/w/k'), openFull(t), true)
    await assert.rejects(appender.flush(), (error) => error instanceof StoreReadOnlyError && /EINVAL/.test(error.message))
    await assert.rejects(appender.flush(), (error) => error instanceof StoreReadOnlyError && /failed before/.test(error.message))
    await assert.rejects(appender.append([Buffer.from('x')]), StoreReadOnlyError)
  })

  test('fails the writing of a stream', async (t) => {
    const empty = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(0)
    }
    await assert.rejects(new StreamWriter(true).write(openFull(t), empty(), 'k'), StoreReadOnlyError)
  })

  test('cannot happen where flushing was turned off', async (t) => {
    const appender = new FileAppender(parseObjectKey('s/w/k'), openFull(t), false)
    await appender.flush()
  })
})
