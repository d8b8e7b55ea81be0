import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { AlreadyExistsError, ClosedError, InputInvalidError, ObjectMissingError } from '../core/errors.ts'
import { parseObjectKey, PIECE_BYTES } from '../ports/backend.ts'
import type { Backend, ByteRange } from '../ports/backend.ts'
import { appendCases } from './backend-append-cases.ts'
import { hash, keysOf, newKey, read } from './backend-case.ts'
import type { CheckBackend } from './backend-case.ts'
import { interruptionCases } from './backend-interruption-cases.ts'
import { listCases } from './backend-list-cases.ts'

/** How the suite gets backends to try. */
export interface BackendHarness {
  /** A new, empty backend for one test; what it needs to clean up goes to `t.after`. */
  readonly open: (t: TestContext) => Promise<Backend>
  /** Opens the same objects again after a close; needed if the backend declares `persistent`. */
  readonly reopen?: (closed: Backend) => Promise<Backend>
}

const KIB = 1024
const MIB = 1024 * KIB
const SIZES: readonly number[] = [0, 1, 64 * KIB, MIB - 1, MIB, MIB + 1, 8 * MIB]

const HOSTILE_KEYS: readonly string[] = [
  '',
  '/',
  'a/',
  '/a',
  'a//b',
  '.',
  '..',
  '../a',
  'a/../b',
  'a/./b',
  '.hidden',
  'a/.b.put',
  'a\0b',
  'a b',
  'a\\b',
  'a\nb',
  'ä',
  'a:b',
  '%2e%2e/a',
  'x'.repeat(201),
  'a/b/c/d/e/f/g/h/i',
  Array.from({ length: 4 }, () => 'y'.repeat(150)).join('/'),
]

/**
 * The promises of {@link Backend}, and of {@link AppendBackend} if `append` is declared, as tests. Every adapter and decorator passes it:
 * `backendSuite('file system', { open: … })`. A case that needs a capability which is not declared is skipped and says so.
 */
export function backendSuite(name: string, harness: BackendHarness): void {
  const check: CheckBackend = (behaviour, body) => {
    test(behaviour, async (t) => {
      const backend = await harness.open(t)
      try {
        await body({ backend, t })
      } finally {
        await backend.close()
      }
    })
  }

  describe(`backend suite: ${name}`, () => {
    describe('put and get', () => {
      for (const size of SIZES) {
        check(`an object of ${String(size)} bytes comes back as it was put`, async ({ backend }) => {
          const key = newKey()
          const bytes = randomBytes(size)
          assert.deepEqual(await backend.put(key, inPieces(bytes, 300_007)), { key, size })
          assert.deepEqual(await backend.head(key), { key, size })
          assert.equal(hash(await read(backend, key)), hash(bytes))
        })
      }

      check('a synchronous source of pieces of every size will do', async ({ backend }) => {
        const key = newKey()
        const pieces = [0, 1, 3 * MIB, 0, MIB, 17, 2 * MIB + 1].map((size) => randomBytes(size))
        await backend.put(key, pieces)
        assert.equal(hash(await read(backend, key)), hash(Buffer.concat(pieces)))
      })

      check('memory that the source uses again is not stored in place of what was in it', async ({ backend }) => {
        const key = newKey()
        const expected: Buffer[] = []
        await backend.put(key, reusingMemory(expected, [MIB, 100, 5, 2 * MIB, MIB, 7, 64 * KIB]))
        assert.equal(hash(await read(backend, key)), hash(Buffer.concat(expected)))
      })

      check('the source is asked for one piece at a time', async ({ backend }) => {
        let asked = 0
        let answered = 0
        const source: AsyncIterable<Uint8Array> = {
          [Symbol.asyncIterator]: () => ({
            next: async () => {
              asked += 1
              assert.equal(asked, answered + 1)
              await Promise.resolve()
              answered += 1
              return answered > 12 ? { done: true, value: undefined } : { done: false, value: Buffer.alloc(MIB / 2, answered) }
            },
          }),
        }
        assert.equal((await backend.put(newKey(), source)).size, 6 * MIB)
      })

      check('what was read belongs to the reader: changing it changes nothing stored', async ({ backend }) => {
        const key = newKey()
        await backend.put(key, [Buffer.from('stored')])
        for await (const piece of backend.get(key)) piece.fill(0)
        assert.equal((await read(backend, key)).toString(), 'stored')
      })

      check('pieces that were read stay as they are while more is read', async ({ backend }) => {
        const key = newKey()
        const bytes = randomBytes(3 * MIB)
        await backend.put(key, [bytes])
        const pieces: Uint8Array[] = []
        for await (const piece of backend.get(key)) pieces.push(piece)
        assert.equal(hash(Buffer.concat(pieces)), hash(bytes))
      })

      check('pieces have at most 1 MiB', async ({ backend }) => {
        const key = newKey()
        await backend.put(key, [randomBytes(4 * MIB + 5)])
        for await (const piece of backend.get(key, { start: 3 })) assert.ok(piece.length > 0 && piece.length <= PIECE_BYTES)
      })

      check('a reader may stop early', async ({ backend }) => {
        const key = newKey()
        await backend.put(key, [randomBytes(4 * MIB)])
        for await (const piece of backend.get(key)) {
          assert.ok(piece.length > 0)
          break
        }
        assert.equal((await read(backend, key)).length, 4 * MIB)
      })

      check('an object that is not there is missing, and has no head', async ({ backend }) => {
        await assert.rejects(read(backend, newKey()), ObjectMissingError)
        await assert.rejects(read(backend, newKey(), { start: 5, end: 5 }), ObjectMissingError)
        assert.equal(await backend.head(newKey()), undefined)
      })

      check('the common beginning of keys is no object', async ({ backend }) => {
        const key = newKey()
        await backend.put(key, [Buffer.from('x')])
        const folder = parseObjectKey(key.slice(0, key.lastIndexOf('/')))
        await assert.rejects(read(backend, folder), ObjectMissingError)
        assert.equal(await backend.head(folder), undefined)
        await backend.delete(folder)
        assert.equal((await read(backend, key)).toString(), 'x')
      })
    })

    describe('ranges', () => {
      const size = 2 * MIB + 100
      const ranges: readonly ByteRange[] = [
        { start: 0 },
        { start: 0, end: 0 },
        { start: 0, end: 1 },
        { start: 1, end: MIB },
        { start: MIB - 1, end: MIB + 1 },
        { start: 5, end: size - 5 },
        { start: size - 1 },
        { start: size - 1, end: size + 1 },
        { start: 7, end: size * 10 },
        { start: size },
        { start: size + 1, end: size + 2 },
        { start: Number.MAX_SAFE_INTEGER },
      ]
      check('give exactly their bytes, cut at the end of the object', async ({ backend }) => {
        const key = newKey()
        const bytes = randomBytes(size)
        await backend.put(key, [bytes])
        for (const range of ranges) {
          const expected = bytes.subarray(range.start, range.end)
          assert.ok(expected.equals(await read(backend, key, range)), `range ${JSON.stringify(range)}`)
        }
      })

      check('that make no sense are refused', async ({ backend }) => {
        const key = newKey()
        await backend.put(key, [Buffer.from('x')])
        for (const range of [{ start: -1 }, { start: 2, end: 1 }, { start: 0.5 }, { start: 0, end: NaN }, { start: 2 ** 53 }]) {
          await assert.rejects(read(backend, key, range), InputInvalidError, JSON.stringify(range))
        }
      })
    })

    interruptionCases(check)

    describe('keys', () => {
      check('are used once: a second put is refused and changes nothing', async ({ backend }) => {
        const key = newKey()
        await backend.put(key, [Buffer.from('first')])
        await assert.rejects(backend.put(key, [Buffer.from('second')]), AlreadyExistsError)
        assert.equal((await read(backend, key)).toString(), 'first')
        assert.deepEqual(await keysOf(backend), [key])
      })

      check('put at the same time by many are stored once, whole', async ({ backend }) => {
        const key = newKey()
        const contents = Array.from({ length: 8 }, () => randomBytes(MIB + 3))
        const results = await Promise.allSettled(contents.map((bytes) => backend.put(key, inPieces(bytes, 100_000))))
        const stored = results.flatMap((result, index) => (result.status === 'fulfilled' ? [contents[index]] : []))
        assert.equal(stored.length, 1)
        for (const result of results) if (result.status === 'rejected') assert.ok(result.reason instanceof AlreadyExistsError)
        assert.equal(hash(await read(backend, key)), hash(stored[0] ?? Buffer.alloc(0)))
      })

      check('of many put at the same time all hold their own bytes', async ({ backend }) => {
        const folder = newKey()
        const objects = Array.from({ length: 60 }, (_, index) => ({
          key: parseObjectKey(`${folder}-${String(index % 7)}/${String(index)}`),
          bytes: randomBytes(1 + index * 1000),
        }))
        await Promise.all(objects.map(({ key, bytes }) => backend.put(key, [bytes])))
        for (const { key, bytes } of objects) assert.equal(hash(await read(backend, key)), hash(bytes))
      })

      test('that could mean anything but a path inside the store are refused', () => {
        for (const text of HOSTILE_KEYS) assert.throws(() => parseObjectKey(text), InputInvalidError, JSON.stringify(text))
        for (const text of ['a', 'A-1_b.c', 'a/b/c/d/e/f/g/h', 'x'.repeat(200)]) assert.equal(parseObjectKey(text), text)
      })
    })

    describe('delete', () => {
      check('removes an object; again, and of what never was, it does nothing', async ({ backend }) => {
        const [key, other] = [newKey(), newKey()]
        await backend.put(key, [Buffer.from('x')])
        await backend.put(other, [Buffer.from('y')])
        for (let times = 0; times < 2; times += 1) {
          await backend.delete(key)
          await assert.rejects(read(backend, key), ObjectMissingError)
        }
        await backend.delete(newKey())
        assert.deepEqual(await keysOf(backend), [other])
      })

      check('at the same time as puts beside it harms none of them', async ({ backend }) => {
        const folder = newKey()
        for (let round = 0; round < 30; round += 1) {
          const [kept, removed] = [parseObjectKey(`${folder}/kept-${String(round)}`), parseObjectKey(`${folder}/gone-${String(round)}`)]
          await backend.put(removed, [Buffer.from('gone')])
          await Promise.all([backend.delete(removed), backend.put(kept, [Buffer.from('kept')])])
          assert.equal((await read(backend, kept)).toString(), 'kept')
          await backend.delete(kept)
        }
        assert.deepEqual(await keysOf(backend), [])
      })
    })

    listCases(check)

    appendCases(check)

    describe('close', () => {
      check('ends the use of the backend', async ({ backend }) => {
        const key = newKey()
        await backend.put(key, [Buffer.from('x')])
        await backend.close()
        await backend.close()
        await assert.rejects(backend.put(newKey(), []), ClosedError)
        await assert.rejects(read(backend, key), ClosedError)
        await assert.rejects(async () => backend.head(key), ClosedError)
        await assert.rejects(async () => backend.delete(key), ClosedError)
        await assert.rejects(keysOf(backend), ClosedError)
      })

      check('keeps the objects, if the backend declares that they outlive it', async ({ backend, t }) => {
        if (!backend.capabilities.persistent) {
          t.skip('the backend does not declare the capability persistent')
          return
        }
        assert.ok(harness.reopen, 'a persistent backend needs a harness with reopen')
        const key = newKey()
        await backend.put(key, [Buffer.from('still here')])
        await backend.close()
        const again = await harness.reopen(backend)
        try {
          assert.equal((await read(again, key)).toString(), 'still here')
          assert.deepEqual(await keysOf(again), [key])
        } finally {
          await again.close()
        }
      })
    })
  })
}

async function* inPieces(bytes: Buffer, length: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += length) yield bytes.subarray(start, start + length)
}

async function* reusingMemory(expected: Buffer[], sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  const memory = Buffer.alloc(Math.max(...sizes))
  for (const [index, size] of sizes.entries()) {
    const piece = memory.subarray(0, size).fill(index + 1)
    expected.push(Buffer.from(piece))
    yield piece
    memory.fill(0xff)
  }
}
