import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createStore, openStore } from './open.ts'
import { storeFiles } from './store-files.ts'

test('every byte of a pack is checked: what is no file’s is told by the pack, the rest by its file', { timeout: 300_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'packs-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const directory = join(folder, 'data')
  {
    await using store = await createStore(directory)
    const draft = await store.packages.open({ repository: 'r' })
    await draft.put('small', Buffer.from('small'))
    await draft.put('large', Buffer.alloc(2_200_000, 7))
    await draft.finalize()
  }
  const { objects } = storeFiles(directory)
  const pack = readdirSync(objects, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'marker' && !entry.parentPath.includes('/log'))
    .map((entry) => join(entry.parentPath, entry.name))
    .find((file) => statSync(file).size < 100_000)
  assert.ok(pack)
  const original = readFileSync(pack)
  const unnoticed: number[] = []
  await using store = await openStore(directory)
  for (let at = 0; at < original.length; at += 1) {
    const damaged = Buffer.from(original)
    damaged[at] = (damaged[at] ?? 0) ^ 0x10
    writeFileSync(pack, damaged)
    let told = false
    for await (const { problem } of store.packages.verifyPacks()) told ||= problem !== undefined
    if (!told) for await (const { problem } of store.packages.verify('all')) told ||= problem !== undefined
    if (!told) unnoticed.push(at)
    writeFileSync(pack, original)
    for await (const _ of store.packages.verify('all'));
  }
  assert.deepEqual(unnoticed, [])
})
