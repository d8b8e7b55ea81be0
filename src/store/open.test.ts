import assert from 'node:assert/strict'
import { cp, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { AlreadyExistsError, StoreMismatchError, StoreMissingError, VersionUnsupportedError } from '../core/errors.ts'
import { parseSegment } from '../core/event.ts'
import { openFileSystemBackend } from '../adapters/backend-fs/backend-fs.ts'
import { parseObjectKey } from '../ports/backend.ts'
import type { Store } from './interface.ts'
import { createStore, openStore } from './open.ts'
import { recoverStore } from './recover.ts'

let folder = ''
let made = 0
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'open-'))
})
after(() => rm(folder, { recursive: true, force: true }))

/** A closed store with one package in it. */
async function someStore(): Promise<string> {
  made += 1
  const directory = join(folder, `store-${made}`)
  const store = await createStore(directory)
  await push(store, 'first')
  await store.close()
  return directory
}

async function push(store: Store, content: string): Promise<string> {
  const draft = await store.packages.open({ repository: 'r' })
  await draft.put('f', Buffer.from(content))
  return (await draft.finalize()).id
}

async function cloneOf(directory: string, part: string): Promise<void> {
  await cp(join(directory, part), join(directory, `${part}.copy`), { recursive: true })
}

async function restore(directory: string, part: string): Promise<void> {
  await rm(join(directory, part), { recursive: true })
  await rename(join(directory, `${part}.copy`), join(directory, part))
}

describe('opening a store', () => {
  test('that is not there says how to make one', async () => {
    await assert.rejects(
      openStore(join(folder, 'nowhere')),
      (error) => error instanceof StoreMissingError && /artifact-store init/.test(error.message),
    )
  })

  test('is not making one over another', async () => {
    await assert.rejects(createStore(await someStore()), AlreadyExistsError)
  })

  test('gives back what was in it', async () => {
    const store = await openStore(await someStore())
    const [item] = (await store.packages.search()).items
    assert.equal(item?.fileCount, 1)
    await store.close()
  })

  test('whose objects have vanished is refused, and nothing is written in their place', async () => {
    const directory = await someStore()
    await rename(join(directory, 'objects'), join(directory, 'elsewhere'))
    await assert.rejects(openStore(directory), StoreMissingError)
    assert.ok(!(await readdir(directory)).includes('objects'))
  })

  test('with the objects of another store is refused', async () => {
    const [mine, other] = [await someStore(), await someStore()]
    await rm(join(mine, 'objects'), { recursive: true })
    await cp(join(other, 'objects'), join(mine, 'objects'), { recursive: true })
    await assert.rejects(openStore(mine), StoreMismatchError)
  })

  test('that a newer release laid out is refused', async () => {
    const directory = await someStore()
    const [storeId] = await readdir(join(directory, 'objects'))
    await writeFile(join(directory, 'objects', storeId ?? '', 'marker'), JSON.stringify({ format: 'artifact-store.marker.v1', layout: 2, storeId }))
    await assert.rejects(openStore(directory), VersionUnsupportedError)
  })

  test('whose registry is older than the mirror reads, writes nothing, and names recover', async () => {
    const directory = await someStore()
    await cloneOf(directory, 'registry.db')
    const later = await openStore(directory)
    await push(later, 'second')
    await later.close()
    await restore(directory, 'registry.db')
    const store = await openStore(directory)
    assert.equal((await store.packages.search()).items.length, 1)
    await assert.rejects(push(store, 'third'), (error) => error instanceof StoreMismatchError && /artifact-store recover/.test(error.message))
    assert.equal((await store.health()).status, 'warn')
    await store.close()
  })

  test('whose registry was copied and went another way is found out, too', async () => {
    const directory = await someStore()
    await cloneOf(directory, 'registry.db')
    const [storeId = ''] = await readdir(join(directory, 'objects'))
    const [logId = ''] = await readdir(join(directory, 'objects', storeId, 'log'))
    const segments = join(directory, 'objects', storeId, 'log', logId)
    const before = await readdir(segments)
    const one = await openStore(directory)
    await push(one, 'one way')
    await push(one, 'and on')
    await one.close()
    await restore(directory, 'registry.db')
    await rename(join(directory, 'objects'), join(directory, 'objects.real'))
    await cp(join(directory, 'objects.real'), join(directory, 'objects'), { recursive: true })
    for (const name of await readdir(segments)) if (!before.includes(name)) await rm(join(segments, name))
    const other = await openStore(directory)
    await push(other, 'another way')
    await push(other, 'further')
    await other.close()
    await rm(join(directory, 'objects'), { recursive: true })
    await rename(join(directory, 'objects.real'), join(directory, 'objects'))
    const store = await openStore(directory)
    await assert.rejects(push(store, 'x'), StoreMismatchError)
    await store.close()
  })
})

describe('the mirror of the log', () => {
  test('is complete when a store is closed, and is merged when it has become many small pieces', async () => {
    const directory = await someStore()
    for (let count = 0; count < 40; count += 1) {
      const store = await openStore(directory)
      await push(store, `content ${count}`)
      await store.close()
    }
    const store = await openStore(directory)
    const { events, head } = await store.events.verify()
    const storeId = store.id
    await store.close()
    const backend = await openFileSystemBackend(join(directory, 'objects'))
    const [logId = ''] = await readdir(join(directory, 'objects', storeId, 'log'))
    const pieces: { first: number; last: number; hash: string }[] = []
    for await (const { key } of backend.list(`${storeId}/log/${logId}/`)) {
      const { header, events: mirrored } = parseSegment(Buffer.concat(await Array.fromAsync(backend.get(parseObjectKey(key)))))
      pieces.push({ first: header.first, last: header.last, hash: Buffer.from(mirrored.at(-1)?.hash ?? []).toString('hex') })
    }
    assert.ok(pieces.length < 32, `${pieces.length} pieces`)
    assert.equal(pieces[0]?.first, 1)
    for (const [index, piece] of pieces.entries()) assert.equal(piece.first, (pieces[index - 1]?.last ?? 0) + 1)
    assert.deepEqual([pieces.at(-1)?.last, pieces.at(-1)?.hash], [events, head])
    await backend.close()
  })

  const gone = (file: string): Promise<void> => rm(file)
  const unreadable = (file: string): Promise<void> => writeFile(file, 'not a segment\n')
  for (const [harm, at, doHarm] of [
    ['one piece of it is gone', 1, gone],
    ['its newest piece is gone', -1, gone],
    ['its newest piece cannot be read', -1, unreadable],
  ] as const) {
    test(`is made whole by opening the store when ${harm}`, async () => {
      const directory = await someStore()
      for (const content of ['a', 'b', 'c']) {
        await using store = await openStore(directory)
        await push(store, content)
      }
      const [storeId = ''] = await readdir(join(directory, 'objects'))
      const [logId = ''] = await readdir(join(directory, 'objects', storeId, 'log'))
      const segments = join(directory, 'objects', storeId, 'log', logId)
      await doHarm(join(segments, (await readdir(segments)).toSorted().at(at) ?? ''))
      const store = await openStore(directory)
      const { events } = await store.events.list({ limit: 1_000 })
      await store.close()
      await rm(join(directory, 'registry.db'))
      const report = await recoverStore(directory)
      assert.deepEqual([report.completeTo, report.head, report.lossy], [events.length, events.at(-1)?.hash, false], report.reasons.join('; '))
    })
  }
})
