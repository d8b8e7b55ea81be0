import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { digestOf } from '../core/digest.ts'
import type { Draft, Store } from '../store/interface.ts'
import { bytes, rejectsWith, repository } from './store-case.ts'

/** How long a case waits for what must happen sooner or later, ms. */
const PATIENCE_MS = 20_000

/** Files that arrive in pieces. */
export function uploadCases(store: () => Store): void {
  const open = (): Promise<Draft> => store().packages.open({ repository: repository() })

  test('an upload that came in pieces becomes a file of the package', async () => {
    const draft = await open()
    const content = bytes('first, second, third')
    const { id, offset } = await store().uploads.create({ packageId: draft.id, path: 'd/notes.txt', length: content.length })
    assert.equal(offset, 0)
    assert.equal((await store().uploads.append(id, 0, once(content.subarray(0, 7)))).offset, 7)
    assert.equal((await store().uploads.append(id, 7, once(content.subarray(7, 15)))).offset, 15)
    assert.equal((await store().uploads.get(id)).digest, undefined)
    const done = await store().uploads.append(id, 15, once(content.subarray(15)))
    assert.equal(done.digest, digestOf(content))
    assert.deepEqual(await store().uploads.get(id), done)
    assert.deepEqual([done.offset, done.length, done.packageId, done.path], [content.length, content.length, draft.id, 'd/notes.txt'])
    const { id: sealed, fileCount } = await draft.finalize()
    assert.equal(fileCount, 1)
    assert.deepEqual(await contentOf(store(), sealed, 'd/notes.txt'), Buffer.from(content))
    const file = await store().files.stat(sealed, 'd/notes.txt')
    assert.deepEqual([file.mediaType, file.executable], ['text/plain', false])
  })

  test('an upload keeps the media type and the mark of a program that it was made with', async () => {
    const draft = await open()
    const facts = { mediaType: 'application/x-thing', executable: true }
    const { id } = await store().uploads.create({ packageId: draft.id, path: 'run', ...facts, digest: digestOf(bytes('x')), length: 1 })
    const { mediaType, executable, expectedDigest } = await store().uploads.get(id)
    assert.deepEqual({ mediaType, executable, expectedDigest }, { ...facts, expectedDigest: digestOf(bytes('x')) })
    await store().uploads.append(id, 0, once(bytes('x')))
    const { id: sealed } = await draft.finalize()
    const file = await store().files.stat(sealed, 'run')
    assert.deepEqual([file.mediaType, file.executable], ['application/x-thing', true])
  })

  test('an upload of nothing is complete when it is made', async () => {
    const draft = await open()
    const { digest, offset } = await store().uploads.create({ packageId: draft.id, path: 'empty', length: 0 })
    assert.deepEqual([digest, offset], [digestOf(bytes('')), 0])
    const { id, fileCount } = await draft.finalize()
    assert.equal(fileCount, 1)
    assert.equal((await contentOf(store(), id, 'empty')).length, 0)
  })

  test('an upload may come one byte at a time', async () => {
    const draft = await open()
    const content = bytes('byte by byte by byte')
    const { id } = await store().uploads.create({ packageId: draft.id, path: 'slow', length: content.length })
    for (let offset = 0; offset < content.length; offset += 1) {
      assert.equal((await store().uploads.append(id, offset, once(content.subarray(offset, offset + 1)))).offset, offset + 1)
    }
    assert.equal((await store().uploads.get(id)).digest, digestOf(content))
    const { id: sealed } = await draft.finalize()
    assert.deepEqual(await contentOf(store(), sealed, 'slow'), Buffer.from(content))
  })

  test('a large upload comes back whole and in ranges that cross its parts', async () => {
    const draft = await open()
    const content = randomBytes(20 * 1024 * 1024 + 5)
    const { id } = await store().uploads.create({ packageId: draft.id, path: 'large', length: content.length, digest: digestOf(content) })
    const cuts = [0, 3_000_001, 17 * 1024 * 1024, content.length]
    for (const [index, end] of cuts.slice(1).entries()) {
      const start = cuts[index] ?? 0
      assert.equal((await store().uploads.append(id, start, pieces(content.subarray(start, end)))).offset, end)
    }
    const { id: sealed, size } = await draft.finalize()
    assert.equal(size, content.length)
    assert.ok((await contentOf(store(), sealed, 'large')).equals(content))
    for (const [start, end] of [
      [2_999_999, 3_000_002],
      [16 * 1024 * 1024 - 1, 16 * 1024 * 1024],
      [3_000_001, 17 * 1024 * 1024],
    ] as const) {
      const read = Buffer.concat(await Array.fromAsync(store().files.read(sealed, 'large', { start, end })))
      assert.ok(read.equals(content.subarray(start, end + 1)), `${start} to ${end}`)
    }
    for await (const line of store().packages.verify(sealed)) assert.equal(line.problem, undefined)
  })

  test('the same content again, in other pieces, is the same file', async () => {
    const content = randomBytes(5 * 1024 * 1024)
    const digests = []
    for (const cut of [1_000_000, 4_000_000]) {
      const draft = await open()
      const { id } = await store().uploads.create({ packageId: draft.id, path: 'same', length: content.length })
      await store().uploads.append(id, 0, pieces(content.subarray(0, cut)))
      digests.push((await store().uploads.append(id, cut, pieces(content.subarray(cut)))).digest)
      const { id: sealed } = await draft.finalize()
      assert.ok((await contentOf(store(), sealed, 'same')).equals(content))
    }
    assert.deepEqual(digests, [digestOf(content), digestOf(content)])
  })

  test('bytes for another offset are refused, and it is told where the upload stands', async () => {
    const draft = await open()
    const { id } = await store().uploads.create({ packageId: draft.id, path: 'f', length: 10 })
    await store().uploads.append(id, 0, once(bytes('abc')))
    for (const offset of [0, 2, 4]) {
      const error = await rejectsWith('offset_conflict', store().uploads.append(id, offset, once(bytes('xyz'))))
      assert.equal(error.detail['offset'], 3)
    }
    assert.equal((await store().uploads.get(id)).offset, 3)
  })

  test('bytes beyond the length are refused, and none of that piece stays', async () => {
    const draft = await open()
    const { id } = await store().uploads.create({ packageId: draft.id, path: 'f', length: 5 })
    await store().uploads.append(id, 0, once(bytes('abc')))
    await rejectsWith('limit_exceeded', store().uploads.append(id, 3, once(bytes('def'))))
    assert.equal((await store().uploads.get(id)).offset, 3)
    assert.equal((await store().uploads.append(id, 3, once(bytes('de')))).digest, digestOf(bytes('abcde')))
  })

  test('a length may be told later, once, and then completes the upload', async () => {
    const draft = await open()
    const { id, length } = await store().uploads.create({ packageId: draft.id, path: 'f' })
    assert.equal(length, undefined)
    await store().uploads.append(id, 0, once(bytes('abc')))
    assert.equal((await store().uploads.get(id)).digest, undefined)
    await rejectsWith('limit_exceeded', store().uploads.declareLength(id, 2))
    assert.equal((await store().uploads.declareLength(id, 4)).length, 4)
    await rejectsWith('state_conflict', store().uploads.declareLength(id, 5))
    assert.equal((await store().uploads.append(id, 3, once(bytes('d')))).digest, digestOf(bytes('abcd')))
    const { id: other } = await store().uploads.create({ packageId: draft.id, path: 'g' })
    await store().uploads.append(other, 0, once(bytes('xyz')))
    assert.equal((await store().uploads.declareLength(other, 3)).digest, digestOf(bytes('xyz')))
    assert.equal((await draft.finalize()).fileCount, 2)
  })

  for (const algorithm of ['sha1', 'sha256'] as const) {
    test(`bytes whose ${algorithm} is right count, others leave nothing`, async () => {
      const draft = await open()
      const { id } = await store().uploads.create({ packageId: draft.id, path: 'f', length: 6 })
      const sum = (text: string): { algorithm: typeof algorithm; value: Uint8Array } => ({
        algorithm,
        value: createHash(algorithm).update(text).digest(),
      })
      assert.equal((await store().uploads.append(id, 0, once(bytes('abc')), { checksum: sum('abc') })).offset, 3)
      await rejectsWith('digest_mismatch', store().uploads.append(id, 3, once(bytes('xyz')), { checksum: sum('def') }))
      assert.equal((await store().uploads.get(id)).offset, 3)
      const done = await store().uploads.append(id, 3, once(bytes('def')), { checksum: sum('def') })
      assert.equal(done.digest, digestOf(bytes('abcdef')))
      const { id: sealed } = await draft.finalize()
      assert.equal((await contentOf(store(), sealed, 'f')).toString(), 'abcdef')
    })
  }

  test('an upload that is not what was announced is given up, and nothing of it is visible', async () => {
    const draft = await open()
    const announced = digestOf(bytes('good'))
    const { id } = await store().uploads.create({ packageId: draft.id, path: 'f', length: 4, digest: announced })
    const error = await rejectsWith('digest_mismatch', store().uploads.append(id, 0, once(bytes('evil'))))
    assert.deepEqual([error.detail['expected'], error.detail['actual']], [announced, digestOf(bytes('evil'))])
    await rejectsWith('not_found', store().uploads.get(id))
    assert.equal((await draft.finalize()).fileCount, 0)
  })

  test('what arrived before a source broke off is kept', async () => {
    const draft = await open()
    const content = randomBytes(300_000)
    const { id } = await store().uploads.create({ packageId: draft.id, path: 'f', length: content.length })
    let reachesStore = (): void => undefined
    const reached = new Promise<void>((resolve) => (reachesStore = resolve))
    async function* breaking(): AsyncGenerator<Uint8Array, void, undefined> {
      yield content.subarray(0, 200_000)
      await reached
      throw new Error('the source broke off')
    }
    const failing = assert.rejects(store().uploads.append(id, 0, breaking()))
    // It is stored while the source is silent.
    await until(async () => (await store().uploads.get(id)).offset === 200_000)
    reachesStore()
    await failing
    assert.equal((await store().uploads.get(id)).offset, 200_000)
    assert.equal((await store().uploads.append(id, 200_000, pieces(content.subarray(200_000)))).digest, digestOf(content))
  })

  test('a newer writer takes an upload over, and nothing of the older one mixes with it', async () => {
    const draft = await open()
    // Enough that a server begins to read it although more is to come.
    const [first, second] = [randomBytes(200_000), randomBytes(100)]
    const { id } = await store().uploads.create({ packageId: draft.id, path: 'f', length: first.length + second.length })
    let release = (): void => undefined
    const released = new Promise<void>((resolve) => (release = resolve))
    async function* stalling(): AsyncGenerator<Uint8Array, void, undefined> {
      yield first
      await released
      yield randomBytes(second.length)
    }
    const older = rejectsWith('offset_conflict', store().uploads.append(id, 0, stalling()))
    await until(async () => (await store().uploads.get(id)).offset === first.length)
    const newer = await store().uploads.append(id, first.length, once(second))
    const whole = Buffer.concat([first, second])
    assert.equal(newer.digest, digestOf(whole))
    release()
    await older
    const { id: sealed } = await draft.finalize()
    assert.ok((await contentOf(store(), sealed, 'f')).equals(whole))
  })

  test('an upload that was given up is gone', async () => {
    const draft = await open()
    const { id } = await store().uploads.create({ packageId: draft.id, path: 'f', length: 3 })
    await store().uploads.append(id, 0, once(bytes('ab')))
    await store().uploads.remove(id)
    await rejectsWith('not_found', store().uploads.get(id))
    await rejectsWith('not_found', store().uploads.append(id, 2, once(bytes('c'))))
    await rejectsWith('not_found', store().uploads.remove(id))
  })

  test('an upload needs an open package and a path that can be kept', async () => {
    const draft = await open()
    await rejectsWith('not_found', store().uploads.create({ packageId: '019ad000-0000-7000-8000-000000000000', path: 'f', length: 1 }))
    await rejectsWith('path_invalid', store().uploads.create({ packageId: draft.id, path: '../f', length: 1 }))
    await rejectsWith('input_invalid', store().uploads.create({ packageId: draft.id, length: 1 }))
    await rejectsWith('input_invalid', store().uploads.create({ path: 'f', length: 1 }))
    await rejectsWith('digest_invalid', store().uploads.create({ packageId: draft.id, path: 'f', digest: 'md5:00', length: 1 }))
    const { id } = await store().uploads.create({ packageId: draft.id, path: 'late', length: 3 })
    await draft.finalize()
    await rejectsWith('state_conflict', store().uploads.append(id, 0, once(bytes('abc'))))
  })
}

async function* once(content: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield content
}

async function* pieces(content: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < content.length; offset += 65_536) yield content.subarray(offset, offset + 65_536)
}

async function contentOf(store: Store, ref: string, path: string): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(store.files.read(ref, path)))
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, 'it did not happen in time')
    await pause(10)
  }
}
