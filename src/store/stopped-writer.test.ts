import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf } from '../core/digest.ts'
import type { Database } from '../registry/dialect.ts'
import { openRegistry } from '../registry/open.ts'
import type { Registry } from '../registry/registry.ts'
import { openSqlite } from '../registry/sqlite.ts'
import { assertKept, assertWhole, Pusher } from '../testing/pusher.ts'
import { Driven, stop, stopBetweenCommits, takeForDead } from '../testing/stopped-process.ts'
import type { Store } from './interface.ts'
import { createStore, openStore } from './open.ts'
import { storeFiles } from './store-files.ts'

/** How often a busy writer is stopped in a run; the nightly run asks for more. */
const STOPS = Number(process.env['ARTIFACT_STORE_STOPS'] ?? 20)
const LONGEST_MS = 60_000 + STOPS * 3_000

/** A store, and its registry as another process has it. */
async function someStore(t: TestContext): Promise<{ readonly directory: string; readonly database: Database; readonly registry: Registry }> {
  const folder = await mkdtemp(join(tmpdir(), 'stopped-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const directory = join(folder, 'data')
  await (await createStore(directory)).close()
  const database = await openSqlite(storeFiles(directory).registry)
  const registry = await openRegistry(database)
  t.after(() => registry.close())
  return { directory, database, registry }
}

async function visible(store: Store, repository: string): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  let after: string | undefined
  do {
    const page = await store.packages.search({ repository }, after === undefined ? {} : { after })
    for (const { id } of page.items) found.add(id)
    after = page.next
  } while (after !== undefined)
  return found
}

test('a writer that was stopped while another took it for dead fails its next commit, and then goes on under a new lease', async (t) => {
  const { directory, registry } = await someStore(t)
  const child = new Driven(t, directory)
  assert.equal(await child.do('put first'), digestOf(Buffer.from('first')))
  await stop(child.pid)
  const store = await openStore(directory)
  assert.equal(await takeForDead(registry), 1)
  process.kill(child.pid, 'SIGCONT')

  assert.equal(await child.do('put second'), 'lease_lost retryable')
  assert.equal(await child.do('put second'), digestOf(Buffer.from('second')))
  const id = await child.do('finalize')
  assert.deepEqual(
    (await Array.fromAsync(store.files.list(id))).map(({ path }) => path),
    ['first', 'second'],
  )
  await assertWhole(store)
  assert.deepEqual(await packsOf(registry, ['first', 'second']), [false, true], 'what was written after the freeze lies in a new pack')
  await child.end()
  await store.close()
})

test('a writer that was stopped before it sealed a package seals it at the second attempt', async (t) => {
  const { directory, registry } = await someStore(t)
  const child = new Driven(t, directory)
  await child.do('put f')
  await stop(child.pid)
  assert.equal(await takeForDead(registry), 1)
  process.kill(child.pid, 'SIGCONT')
  assert.equal(await child.do('finalize'), 'lease_lost retryable')
  const store = await openStore(directory)
  assert.equal((await visible(store, 'driven')).size, 0)
  const id = await child.do('finalize')
  assert.deepEqual(await visible(store, 'driven'), new Set([id]))
  await assertWhole(store)
  await child.end()
  await store.close()
})

/** Whether each of these contents lies in an object that has a writer. */
async function packsOf(registry: Registry, contents: readonly string[]): Promise<readonly boolean[]> {
  const owned: boolean[] = []
  for (const content of contents) {
    const sql = 'select lease_id from chunks join objects on objects.id = chunks.object_id where digest = ?'
    const [row] = await registry.reader.query<{ lease_id: number | null }>({
      sql,
      parameters: [Buffer.from(digestOf(Buffer.from(content)).slice(7), 'hex')],
    })
    owned.push(row !== undefined && row.lease_id !== null)
  }
  return owned
}

test('a busy writer that is stopped and taken for dead again and again loses and invents nothing', { timeout: LONGEST_MS }, async (t) => {
  const { directory, database, registry } = await someStore(t)
  const pusher = new Pusher(t, directory, { seed: 0, longest: LONGEST_MS })
  await pusher.pushed(1)
  for (let count = 0; count < STOPS; count += 1) {
    await sleep(Math.random() * 100)
    await stopBetweenCommits(pusher.pid, database)
    await takeForDead(registry)
    pusher.signal('SIGCONT')
    await pusher.pushed(2)
  }
  await pusher.stop()
  assert.deepEqual(new Set(pusher.failures.map(({ failed }) => failed)), new Set(['lease_lost']))
  assert.ok(pusher.failures.length <= STOPS * 2, JSON.stringify(pusher.failures))
  t.diagnostic(`stopped ${STOPS} times, ${pusher.failures.length} commits failed, ${pusher.acknowledged.length} packages were acknowledged`)
  const store = await openStore(directory)
  await assertKept(store, pusher.acknowledged)
  await assertWhole(store)
  assert.deepEqual(await visible(store, 'pushed'), new Set(pusher.acknowledged.map(({ id }) => id)))
  await store.close()
})
