import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openRegistry } from '../../registry/open.ts'
import { openSqlite } from '../../registry/sqlite.ts'
import { AT_ONCE, assertSound, collectAll, emptyStore, withParts } from '../../testing/collection-case.ts'
import { assertKept, assertWhole, Pusher } from '../../testing/pusher.ts'
import { Driven, stop, stopBetweenCommits, takeForDead } from '../../testing/stopped-process.ts'
import { openStore } from '../open.ts'
import { storeFiles } from '../store-files.ts'
import { Collector } from './collector.ts'

/** How often a busy writer is stopped in a run; the nightly run asks for more. */
const STOPS = Number(process.env['ARTIFACT_STORE_STOPS'] ?? 8)
const LONGEST_MS = 60_000 + STOPS * 10_000

/** Rewrites every pack that nobody appends to, and deletes the old ones, as if something in each had to go. */
async function rewriteAll(directory: string): Promise<number> {
  return withParts(directory, async (context) => {
    const collector = new Collector(context, AT_ONCE)
    await collector.runOnce()
    await context.registry.write('due', (session) =>
      session.query({ sql: 'update objects set erase_by = 1 where kind = 1 and state = 2 and lease_id is null returning id', parameters: [] }),
    )
    const { rewritten, stopped, problems } = await collector.runOnce()
    assert.deepEqual([problems, stopped], [[], undefined])
    return rewritten.packs
  })
}

test('a stopped owner of a pack that was frozen, rewritten and deleted meanwhile loses nothing, and names nothing in it', async (t) => {
  const directory = await emptyStore(t)
  const child = new Driven(t, directory)
  await child.do('put first')
  await child.do('put second')
  await stop(child.pid)
  await withParts(directory, async ({ registry }) => assert.equal(await takeForDead(registry), 1))
  assert.equal(await rewriteAll(directory), 1)
  process.kill(child.pid, 'SIGCONT')
  assert.equal(await child.do('put third'), 'lease_lost retryable')
  await child.do('put third')
  const id = await child.do('finalize')
  const store = await openStore(directory)
  assert.deepEqual(
    (await Array.fromAsync(store.files.list(id))).map(({ path }) => path),
    ['first', 'second', 'third'],
  )
  await assertWhole(store)
  await store.close()
  await child.end()
  await collectAll(directory)
  await assertSound(directory)
})

test('a busy writer whose packs are frozen and rewritten under it again and again loses and invents nothing', { timeout: LONGEST_MS }, async (t) => {
  const directory = await emptyStore(t)
  const database = await openSqlite(storeFiles(directory).registry)
  const registry = await openRegistry(database)
  t.after(() => registry.close())
  const pusher = new Pusher(t, directory, { seed: 0, longest: LONGEST_MS })
  await pusher.pushed(1)
  let rewritten = 0
  for (let count = 0; count < STOPS; count += 1) {
    await sleep(Math.random() * 100)
    await stopBetweenCommits(pusher.pid, database)
    await takeForDead(registry)
    rewritten += await rewriteAll(directory)
    pusher.signal('SIGCONT')
    await pusher.pushed(2)
  }
  await pusher.stop()
  assert.deepEqual(
    pusher.failures.filter(({ retryable }) => !retryable),
    [],
  )
  assert.ok(rewritten >= STOPS / 2, `only ${rewritten} packs were rewritten`)
  t.diagnostic(
    `${rewritten} packs were rewritten, ${pusher.failures.length} commits failed, ${pusher.acknowledged.length} packages were acknowledged`,
  )
  const store = await openStore(directory)
  await assertKept(store, pusher.acknowledged)
  await assertWhole(store)
  await store.close()
  await collectAll(directory)
  await assertSound(directory)
})
