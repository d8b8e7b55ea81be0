import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { openFileSystemBackend } from '../../adapters/backend-fs/backend-fs.ts'
import { digestOf } from '../../core/digest.ts'
import { observeBackend } from '../../decorators/observe-backend.ts'
import { assertSound, collectAll, emptyStore, withParts } from '../../testing/collection-case.ts'
import { purgePackage } from '../../testing/purge-package.ts'
import type { Store } from '../interface.ts'
import { openStore } from '../open.ts'
import { storeFiles } from '../store-files.ts'

/** Bytes that do not compress. */
function content(name: string, size: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(size / 64) }, (_, index) => createHash('sha512').update(`${name} ${index}`).digest())
  return Buffer.concat(blocks).subarray(0, size)
}

const KEPT = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`f${String(index).padStart(2, '0')}`, content(`kept ${index}`, 100_000)]))

/** A store with a pack of which most is garbage, and a package whose files are the rest of it. */
async function wornStore(t: TestContext): Promise<{ readonly directory: string; readonly kept: string }> {
  const directory = await emptyStore(t)
  const store = await openStore(directory)
  const push = async (files: Readonly<Record<string, Buffer>>): Promise<string> => {
    const draft = await store.packages.open({ repository: 'a' })
    for (const [path, bytes] of Object.entries(files)) await draft.put(path, bytes)
    return (await draft.finalize()).id
  }
  const kept = await push(KEPT)
  const gone = await push({ big1: content('gone 1', 2_000_000), big2: content('gone 2', 2_000_000) })
  await store.close()
  await withParts(directory, ({ registry }) => purgePackage(registry, gone))
  return { directory, kept }
}

/** Opens a store whose `count`-th read of an object waits until the store was collected by another process. */
async function openBehind(directory: string, count: number): Promise<{ readonly store: Store; readonly missed: () => number }> {
  const backend = await openFileSystemBackend(storeFiles(directory).objects)
  let [reads, missed] = [0, 0]
  const observed = observeBackend(backend, async (step, key = '') => {
    if (step === 'backend.get:failed') missed += 1
    if (step !== 'backend.get:before' || key.endsWith('/marker') || key.includes('/log/')) return
    reads += 1
    if (reads === count) await collectAll(directory)
  })
  return { store: await openStore(directory, { backend: observed }), missed: () => missed }
}

const waysToRead: Readonly<Record<string, (store: Store, id: string) => Promise<Readonly<Record<string, string>>>>> = {
  'one by one': async (store, id) => {
    const found: Record<string, string> = {}
    for (const path of Object.keys(KEPT)) found[path] = digestOf(Buffer.concat(await Array.fromAsync(store.files.read(id, path))))
    return found
  },
  'from the middle': async (store, id) => {
    const found: Record<string, string> = {}
    for (const path of Object.keys(KEPT)) {
      const parts = [{ end: 59_999 }, { start: 60_000 }].map(async (range) => Buffer.concat(await Array.fromAsync(store.files.read(id, path, range))))
      found[path] = digestOf(Buffer.concat(await Promise.all(parts)))
    }
    return found
  },
  together: async (store, id) => {
    const found: Record<string, string> = {}
    for await (const read of store.files.readMany(id)) {
      assert.ok('bytes' in read, 'error' in read ? read.error.message : '')
      found[read.file.path] = digestOf(read.bytes)
    }
    return found
  },
  'by verifying them': async (store, id) => {
    const found: Record<string, string> = {}
    for await (const { path, digest, problem } of store.packages.verify(id)) {
      assert.equal(problem, undefined)
      if (path !== undefined) found[path] = digest
    }
    return found
  },
}

for (const [way, read] of Object.entries(waysToRead)) {
  test(`a reader who meets a pack that was rewritten and deleted under it finds its files elsewhere: ${way}`, async (t) => {
    for (const count of [1, 3]) {
      const { directory, kept } = await wornStore(t)
      const { store, missed } = await openBehind(directory, count)
      assert.deepEqual(await read(store, kept), Object.fromEntries(Object.entries(KEPT).map(([path, bytes]) => [path, digestOf(bytes)])))
      await store.close()
      if (count === 1) assert.ok(missed() > 0, 'nothing was deleted under the reader')
      await assertSound(directory)
    }
  })
}

test('a reader of what was deleted with its package is told so, and nothing is taken for damaged', async (t) => {
  const { directory, kept } = await wornStore(t)
  const store = await openStore(directory)
  const location = store.files.read(kept, 'f00')[Symbol.asyncIterator]()
  await withParts(directory, ({ registry }) => purgePackage(registry, kept))
  await collectAll(directory)
  await assert.rejects(location.next(), { code: 'purged' })
  await store.close()
  await assertSound(directory)
})
