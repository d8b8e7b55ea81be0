/**
 * Collection every second, with no grace, while clients in several processes push, push again, attach, abort and let packages be removed. What each
 * client was told is the oracle: nothing it was promised is lost, no call of its own fails, and in the end all garbage is gone.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { collect, collectAll, emptyStore, withParts } from '../../testing/collection-case.ts'
import { Soaker } from '../../testing/soaker.ts'
import { soakContent } from '../../testing/soak-content.ts'
import { openStore } from '../open.ts'

/** How long all are at it; the nightly run lets them go on for half an hour. */
const SECONDS = Number(process.env['ARTIFACT_STORE_SOAK_SECONDS'] ?? 10)
const PROCESSES = 4
const CLIENTS_EACH = 2
const LONGEST_MS = (SECONDS + 120) * 1_000

test(`collection at full speed for ${SECONDS} s loses nothing and disturbs nobody`, { timeout: LONGEST_MS + 60_000 }, async (t) => {
  const directory = await emptyStore(t)
  const soakers = Array.from(
    { length: PROCESSES },
    (_, index) => new Soaker(t, directory, { seed: index, clients: CLIENTS_EACH, longest: LONGEST_MS }),
  )
  await Promise.all(soakers.map((soaker) => soaker.started()))
  const began = performance.now()
  let [runs, deleted] = [0, 0]
  while (performance.now() < began + SECONDS * 1_000) {
    const report = await collect(directory)
    assert.deepEqual([report.problems, report.stopped], [[], undefined])
    deleted += report.deleted.size
    runs += 1
    await sleep(Math.max(0, began + runs * 1_000 - performance.now()))
  }
  const ledgers = await Promise.all(soakers.map((soaker) => soaker.stop()))
  const promised = ledgers.flatMap(({ kept }) => kept)
  const counts = ledgers.reduce(
    (sum, { pushes, removals, reads }) => ({ pushes: sum.pushes + pushes, removals: sum.removals + removals, reads: sum.reads + reads }),
    {
      pushes: 0,
      removals: 0,
      reads: 0,
    },
  )
  t.diagnostic(
    `${runs} runs of the collector removed ${deleted} bytes; ${counts.pushes} pushes, ${counts.removals} removals, ${counts.reads} packages read`,
  )
  assert.deepEqual(
    ledgers.flatMap(({ failures }) => failures),
    [],
  )
  assert.ok(counts.pushes >= SECONDS && counts.removals > 0 && deleted > 0)

  await collectAll(directory)
  const store = await openStore(directory)
  const needed = new Set<number>()
  for (const { id, files } of promised) {
    const seen = new Set<string>()
    for await (const read of store.files.readMany(id)) {
      assert.ok(!('error' in read), 'error' in read ? read.error.message : '')
      const number = files[read.file.path] ?? -1
      const bytes = 'bytes' in read ? read.bytes : Buffer.concat(await Array.fromAsync(read.stream))
      assert.ok(Buffer.from(soakContent(number)).equals(bytes), `${id} ${read.file.path}`)
      needed.add(number)
      seen.add(read.file.path)
    }
    assert.equal(seen.size, Object.keys(files).length)
  }
  for await (const line of store.packages.verify('all')) assert.equal(line.problem, undefined)
  await store.events.verify()
  await store.close()
  await withParts(directory, async ({ registry }) => {
    const [unheld] = await registry.reader.query<{ count: number }>({
      sql: 'select count(*) as count from chunks where state < 2 and not exists (select 1 from holders where target_id = chunks.id)',
      parameters: [],
    })
    const [worn] = await registry.reader.query<{ count: number }>({
      sql: 'select count(*) as count from objects where kind = 1 and state = 2 and dead_bytes * 5 > size * 2',
      parameters: [],
    })
    assert.deepEqual([unheld?.count, worn?.count], [0, 0])
  })
})
