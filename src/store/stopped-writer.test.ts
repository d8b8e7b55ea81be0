import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { digestOf } from '../core/digest.ts'
import type { Database } from '../registry/dialect.ts'
import { openRegistry } from '../registry/open.ts'
import type { Registry } from '../registry/registry.ts'
import { openSqlite } from '../registry/sqlite.ts'
import { assertKept, assertWhole, Pusher } from '../testing/pusher.ts'
import type { Store } from './interface.ts'
import { createStore, openStore } from './open.ts'
import { freezeDeadWriters } from './reaper.ts'
import { storeFiles } from './store-files.ts'

/** How often a busy writer is stopped in a run; the nightly run asks for more. */
const STOPS = Number(process.env['ARTIFACT_STORE_STOPS'] ?? 20)
const LONGEST_MS = 60_000 + STOPS * 3_000
const DRIVEN = fileURLToPath(new URL('../testing/driven-child.ts', import.meta.url))

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

/** What happens when a writer has said nothing for longer than its lease lasts. */
async function takeForDead(registry: Registry): Promise<number> {
  await registry.write('age', (session) => session.query({ sql: 'update leases set expires_at = 1 where name is null', parameters: [] }))
  return freezeDeadWriters(registry)
}

/** Stops a process with SIGSTOP and waits until all of it stands still. */
async function stop(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP')
  for (let look = 0; !/^\d+ \(.*\) T/.test(readFileSync(`/proc/${pid}/stat`, 'utf8')); look += 1) {
    assert.ok(look < 1_000, 'the process does not stop')
    await sleep(1)
  }
}

/** Stops a process, but not while it holds the lock of SQLite: then everybody waits for it, and nobody can take it for dead. */
async function stopBetweenCommits(pid: number, database: Database): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    await stop(pid)
    if ((await database.begin()) !== undefined) return database.rollback()
    process.kill(pid, 'SIGCONT')
    await sleep(Math.random() * 20)
  }
  assert.fail('the process always holds the lock')
}

class Driven {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #answers: Interface

  constructor(t: TestContext, directory: string) {
    const child = spawn(process.execPath, [DRIVEN, directory], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    this.pid = child.pid ?? 0
    this.#answers = createInterface({ input: child.stdout })
    t.after(() => child.kill('SIGKILL'))
  }

  async do(line: string): Promise<string> {
    const answer = once(this.#answers, 'line', { signal: AbortSignal.timeout(20_000) })
    this.#child.stdin?.write(`${line}\n`)
    return String((await answer)[0])
  }

  async end(): Promise<void> {
    const exit = once(this.#child, 'exit')
    this.#child.stdin?.end()
    assert.equal((await exit)[0], 0)
  }
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
