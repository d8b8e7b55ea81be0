import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { StoreMissingError } from '../core/errors.ts'
import type { OpenPackage, Store } from './interface.ts'
import { createStore } from './open.ts'
import { readStatistics } from './statistics.ts'
import { storeFiles } from './store-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'statistics-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const TEXT = Buffer.from('text that can be compressed '.repeat(1_000))
const LARGE = Buffer.alloc(2_500_000, 7)
const SHORT = Buffer.from('short')

async function push(store: Store, request: OpenPackage, files: Readonly<Record<string, Buffer>>): Promise<string> {
  const draft = await store.packages.open(request)
  for (const [path, bytes] of Object.entries(files)) await draft.put(path, bytes)
  return (await draft.finalize()).id
}

async function someStore(name: string): Promise<{ readonly directory: string; readonly store: Store }> {
  const directory = join(folder, name)
  return { directory, store: await createStore(directory) }
}

describe('the statistics', () => {
  test('of an empty store are zero everywhere', async () => {
    const { directory, store } = await someStore('empty')
    await store.close()
    const statistics = await readStatistics(directory)
    assert.deepEqual(
      [statistics.packages, statistics.files, statistics.size, statistics.stored, statistics.packs.count, statistics.savedByDeduplication],
      [0, 0, 0, 0, 0, 0],
    )
    assert.deepEqual([statistics.repositories, statistics.classes], [[], []])
  })

  test('count each content once for the store, and once for each repository and class that has it', async () => {
    const { directory, store } = await someStore('shared')
    await push(store, { repository: 'one', retentionClass: 'transient' }, { a: TEXT, b: TEXT, c: LARGE })
    await push(store, { repository: 'one', retentionClass: 'transient', metadata: { second: true } }, { a: TEXT })
    await push(
      store,
      { repository: 'two', retentionClass: 'raw-evidence', fileSets: [{ name: 'short', match: ['s*'], class: 'transient' }] },
      { large: LARGE, short: SHORT },
    )
    await push(store, { repository: 'three' }, {})
    await store.close()
    const statistics = await readStatistics(directory)
    const size = 3 * TEXT.length + 2 * LARGE.length + SHORT.length
    const once = TEXT.length + LARGE.length + SHORT.length
    assert.deepEqual([statistics.packages, statistics.files, statistics.size, statistics.content.size], [4, 6, size, once])
    assert.equal(statistics.savedByDeduplication, size - once)
    assert.equal(statistics.savedByCompression, once - statistics.content.stored)
    assert.ok(statistics.savedByCompression > TEXT.length / 2 && statistics.savedByCompression < TEXT.length)
    const byName = (rows: typeof statistics.classes): Readonly<Record<string, readonly number[]>> =>
      Object.fromEntries(rows.map(({ name, packages, files, size, distinct }) => [name ?? 'null', [packages, files, size, distinct]]))
    assert.deepEqual(byName(statistics.repositories), {
      one: [2, 4, 3 * TEXT.length + LARGE.length, TEXT.length + LARGE.length],
      two: [1, 2, LARGE.length + SHORT.length, LARGE.length + SHORT.length],
      three: [1, 0, 0, 0],
    })
    assert.deepEqual(byName(statistics.classes), {
      transient: [3, 5, 3 * TEXT.length + LARGE.length + SHORT.length, once],
      'raw-evidence': [1, 1, LARGE.length, LARGE.length],
      null: [1, 0, 0, 0],
    })
    assert.deepEqual(
      statistics.repositories.map(({ name }) => name),
      ['one', 'two', 'three'],
      'largest first',
    )
  })

  test('account for every byte on disk, and for what open packages hold', async () => {
    const { directory, store } = await someStore('open')
    await push(store, { repository: 'a' }, { text: TEXT, large: LARGE })
    const draft = await store.packages.open({ repository: 'b' })
    await draft.put('text', TEXT)
    await draft.put('waiting', SHORT)
    await draft.put('waiting', Buffer.from('replaced'))
    const open = await readStatistics(directory)
    assert.deepEqual(open.openPackages, { count: 1, entries: 2, size: TEXT.length + 8 })
    assert.deepEqual([open.open.chunks, open.open.size], [2, SHORT.length + 8], 'held by the open package alone, replaced bytes included')
    assert.equal(open.packs.open, 1)
    await draft.abort()
    const given = await readStatistics(directory)
    assert.deepEqual([given.open.chunks, given.unheld.chunks, given.openPackages.count], [0, 2, 0])
    await store.close()
    const closed = await readStatistics(directory)
    const { objects } = storeFiles(directory)
    const files = readdirSync(objects, { recursive: true, encoding: 'utf8' }).filter((key) => !/\/log\/|marker$/.test(key))
    const onDisk = files.map((key) => statSync(join(objects, key))).filter((facts) => facts.isFile())
    assert.equal(
      closed.stored,
      onDisk.reduce((sum, facts) => sum + facts.size, 0),
    )
    assert.deepEqual([closed.packs.count + closed.wholeObjects.count, closed.packs.open], [onDisk.length, 0])
    const { content, descriptions, unheld } = closed
    assert.equal(closed.packs.live + closed.wholeObjects.size, content.stored + descriptions.stored + closed.open.stored + unheld.stored)
  })

  test('are of a store that is there', async () => {
    await assert.rejects(readStatistics(join(folder, 'nowhere')), StoreMissingError)
  })
})
