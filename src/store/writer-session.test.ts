import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { LeaseLostError } from '../core/errors.ts'
import { openRegistry } from '../registry/open.ts'
import type { Registry } from '../registry/registry.ts'
import { DatabaseFile } from '../registry/sqlite-driver.ts'
import { openSqlite } from '../registry/sqlite.ts'
import type { Store } from './interface.ts'
import { createStore } from './open.ts'
import { freezeDeadWriters } from './reaper.ts'
import { storeFiles } from './store-files.ts'

async function stage(t: TestContext): Promise<{ readonly store: Store; readonly file: string; readonly other: Registry }> {
  const folder = await mkdtemp(join(tmpdir(), 'writer-'))
  const directory = join(folder, 'data')
  const store = await createStore(directory)
  const file = storeFiles(directory).registry
  const other = await openRegistry(await openSqlite(file))
  t.after(async () => {
    await other.close()
    await store.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { store, file, other }
}

/** Makes all leases look as if nobody had renewed them for long. */
function ageLeases(file: string): void {
  const database = new DatabaseFile(file)
  database.exec('update leases set expires_at = 0')
  database.close()
}

function packs(file: string): readonly unknown[] {
  const database = new DatabaseFile(file)
  const rows = database.prepare('select state, lease_id is null as nobodys from objects order by id').all()
  database.close()
  return rows.map((row) => [row['state'], row['nobodys']])
}

test('a writer that was taken for dead fails, retryably, and goes on under a new lease in a new pack', async (t) => {
  const { store, file, other } = await stage(t)
  const draft = await store.packages.open({ repository: 'r' })
  await draft.put('before', Buffer.from('before'))
  ageLeases(file)
  assert.equal(await freezeDeadWriters(other), 1)
  assert.deepEqual(packs(file), [[2, 1]])
  await assert.rejects(draft.put('during', Buffer.from('during')), (error) => error instanceof LeaseLostError && error.retryable)
  await draft.put('after', Buffer.from('after'))
  assert.equal(packs(file).length, 2)
  const receipt = await draft.finalize()
  const files = await Array.fromAsync(store.files.list(receipt.id))
  assert.deepEqual(
    files.map((entry) => entry.path),
    ['after', 'before'],
  )
  for await (const line of store.packages.verify('all')) assert.equal(line.problem, undefined)
})

test('a writer whose lease was renewed is left alone', async (t) => {
  const { store, file, other } = await stage(t)
  const draft = await store.packages.open({ repository: 'r' })
  await draft.put('a', Buffer.from('a'))
  assert.equal(await freezeDeadWriters(other), 0)
  assert.deepEqual(packs(file), [[1, 0]])
  await draft.put('b', Buffer.from('b'))
  assert.equal(packs(file).length, 1)
})

test('closing a store leaves no lease and no object that is anybody’s', async (t) => {
  const { store, file } = await stage(t)
  const draft = await store.packages.open({ repository: 'r' })
  await draft.put('a', Buffer.from('a'))
  await draft.finalize()
  await store.close()
  assert.deepEqual(packs(file), [[2, 1]])
  const database = new DatabaseFile(file)
  assert.equal(database.prepare('select count(*) as n from leases').get()?.['n'], 0)
  database.close()
})

test('a writer ends its open pack when that is a day old, or when something in it has to go, and writes on in another one', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { store, file } = await stage(t)
  const draft = await store.packages.open({ repository: 'r' })
  const renewed = async (change: string, expected: readonly unknown[]): Promise<void> => {
    const database = new DatabaseFile(file)
    database.exec(change)
    database.close()
    t.mock.timers.tick(20_000)
    for (let look = 0; look < 1_000 && JSON.stringify(packs(file)) !== JSON.stringify(expected); look += 1) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    assert.deepEqual(packs(file), expected)
  }
  await draft.put('a', Buffer.from('a'))
  await renewed('update leases set acquired_at = acquired_at', [[1, 0]])
  await renewed('update objects set created_at = created_at - 2 * 86400000', [[2, 0]])
  await draft.put('b', Buffer.from('b'))
  await renewed('update objects set erase_by = 1 where state = 1', [
    [2, 0],
    [2, 0],
  ])
  await draft.put('c', Buffer.from('c'))
  const { id } = await draft.finalize()
  for await (const line of store.packages.verify(id)) assert.equal(line.problem, undefined)
})
