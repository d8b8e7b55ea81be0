import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { AT_ONCE, assertSound, collect, collectAll, emptyStore, withParts } from '../../testing/collection-case.ts'
import { EmbeddedStore } from '../embedded-store.ts'
import { openStore } from '../open.ts'
import { recoverStore } from '../recover.ts'
import { storeFiles } from '../store-files.ts'

/** Bytes that do not compress. */
function content(name: string, size = 20_000): Buffer {
  const blocks = Array.from({ length: Math.ceil(size / 64) }, (_, index) => createHash('sha512').update(`${name} ${index}`).digest())
  return Buffer.concat(blocks).subarray(0, size)
}

const FILES = { small: content('kept'), large: content('kept and large', 3_000_000) }

async function pushed(directory: string, files: Readonly<Record<string, Buffer>>): Promise<string> {
  await using store = await openStore(directory)
  const draft = await store.packages.open({ repository: 'a' })
  for (const [path, bytes] of Object.entries(files)) await draft.put(path, bytes)
  return (await draft.finalize()).id
}

async function deleted(directory: string, id: string): Promise<void> {
  await withParts(directory, async (context) => {
    const store = new EmbeddedStore(context)
    await store.retention.delete(id)
    await store.sweep({ grace: 0 })
  })
}

for (const [moment, settings] of [
  ['before anything is collected', undefined],
  ['while condemned objects and the packs they were moved out of are still there', { ...AT_ONCE, drainMs: 3_600_000 }],
  ['when large files are gone but packs still tell of them', { ...AT_ONCE, eraseWithinMs: 86_400_000 }],
  ['when all of it is gone', AT_ONCE],
] as const) {
  test(`a store that is recovered ${moment} has what it should, and nothing counts as lost`, async (t) => {
    const directory = await emptyStore(t)
    const kept = await pushed(directory, FILES)
    const gone = await pushed(directory, { secret: content('secret', 100), 'large secret': content('large secret', 3_000_000) })
    await deleted(directory, gone)
    if (settings !== undefined) for (let run = 0; run < 2; run += 1) await collect(directory, settings)
    for (const suffix of ['', '-wal', '-shm']) await rm(`${storeFiles(directory).registry}${suffix}`, { force: true })
    const report = await recoverStore(directory)
    assert.deepEqual([report.lossy, report.reasons, report.damagedPackages, report.unnamedManifests], [false, [], [], []])
    await using store = await openStore(directory)
    for await (const line of store.packages.verify(kept)) assert.equal(line.problem, undefined)
    await store.close()
    await collectAll(directory)
    await assertSound(directory)
    await using again = await openStore(directory)
    for await (const line of again.packages.verify(kept)) assert.equal(line.problem, undefined)
    await assert.rejects(again.files.stat(gone, 'secret'), { code: 'purged' })
  })
}

test('an object that is gone although somebody needs it counts as lost', async (t) => {
  const directory = await emptyStore(t)
  await pushed(directory, FILES)
  const key = await withParts(directory, async ({ registry }) => {
    const [row] = await registry.reader.query<{ key: string }>({ sql: 'select key from objects where kind = 0', parameters: [] })
    return row?.key ?? ''
  })
  await rm(join(storeFiles(directory).objects, key))
  const report = await recoverStore(directory)
  assert.equal(report.lossy, true)
  assert.deepEqual(report.objects.damage, [{ key, reason: 'the object is gone' }])
})
