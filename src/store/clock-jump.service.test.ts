import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { assertKept, assertUsable, assertWhole, Pusher } from '../testing/pusher.ts'
import { faketimeLibrary, serviceTest } from '../testing/service-test.ts'
import type { Store } from './interface.ts'
import type { StoreEvent } from './event-interface.ts'
import { createStore, openStore } from './open.ts'

const CRASH_CHILD = fileURLToPath(new URL('../testing/crash-child.ts', import.meta.url))
const HOUR_MS = 3_600_000

/** The wall clock of other processes, both of Node and of SQLite; their monotonic clock goes on as it is. */
class MovableClock {
  readonly env: Readonly<Record<string, string>>
  readonly #file: string

  constructor(folder: string) {
    this.#file = join(folder, 'time')
    this.env = {
      LD_PRELOAD: faketimeLibrary() ?? '',
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    }
    this.jump('+0')
  }

  /** @param offset against the true time, as `-3h` or `+400d` */
  jump(offset: string): void {
    writeFileSync(this.#file, `${offset}\n`)
  }
}

function newFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'clock-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function eventsOf(store: Store): Promise<readonly StoreEvent[]> {
  const events: StoreEvent[] = []
  for (let after: string | undefined; ;) {
    const page = await store.events.list(after === undefined ? {} : { after })
    events.push(...page.events)
    if (page.cursor === after) return events
    after = page.cursor
  }
}

async function assertOrdered(store: Store): Promise<readonly StoreEvent[]> {
  const events = await eventsOf(store)
  const times = events.map(({ time }) => Date.parse(time))
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
    'the time of events runs backwards',
  )
  await store.events.verify()
  return events
}

serviceTest(
  'a clock that jumps back and far ahead stops no push but all deletion, and the time of events does not follow it',
  ['faketime'],
  async (t) => {
    const folder = newFolder(t)
    const clock = new MovableClock(folder)
    const directory = join(folder, 'data')
    await (await createStore(directory)).close()
    const started = Date.now()
    const pusher = new Pusher(t, directory, { seed: 0, env: clock.env })
    // A second one whose clock is right, as on another machine.
    const other = new Pusher(t, directory, { seed: 10_000 })
    for (const offset of ['+0', '-3h', '+3h', '-3h', '+400d', '-3h', '+0']) {
      clock.jump(offset)
      await Promise.all([pusher.pushed(3), other.pushed(2)])
    }
    await Promise.all([pusher.stop(), other.stop()])
    assert.deepEqual([...pusher.failures, ...other.failures], [])

    const store = await openStore(directory)
    const events = await assertOrdered(store)
    // The jumps were real ones, and the log's time followed none of them.
    assert.equal(events.filter(({ type }) => type === 'clock.suspected').length, 1)
    for (const { time } of events) assert.ok(Math.abs(Date.parse(time) - started) < HOUR_MS)
    assert.equal((await store.retention.clock()).state, 'suspect')
    assert.notEqual((await store.sweep({ grace: 0 })).doubt, undefined)
    assert.equal((await store.retention.acceptClock({ reason: 'it is right again' })).state, 'trusted')
    assert.equal((await store.sweep({ grace: 0 })).doubt, undefined)
    await assertKept(store, [...pusher.acknowledged, ...other.acknowledged])
    await assertWhole(store)
    await assertUsable(store)
    await assertOrdered(store)
    assert.match(await mirrorOf(store), /^\d events behind$/)
    await store.close()
  },
)

serviceTest('a process that dies while its clock is far ahead keeps no job for longer than one whose clock is right', ['faketime'], async (t) => {
  const folder = newFolder(t)
  const clock = new MovableClock(folder)
  const directory = join(folder, 'data')
  await (await createStore(directory)).close()
  clock.jump('+400d')
  // It is killed holding the lease of the mirror.
  const child: ChildProcess = spawn(process.execPath, [CRASH_CHILD, directory, '0', 'registry.mirror-lease:committed'], {
    env: { ...process.env, ...clock.env },
    stdio: 'ignore',
  })
  const limit = setTimeout(() => child.kill('SIGKILL'), 20_000)
  assert.equal((await once(child, 'exit'))[1], 'SIGKILL')
  clearTimeout(limit)
  // Unmirrored events wait for that lease.
  const store = await openStore(directory)
  await assertUsable(store)
  for (let look = 0; (await mirrorOf(store)) !== '0 events behind'; look += 1) {
    assert.ok(look < 100, `the mirror stays ${await mirrorOf(store)}`)
    await sleep(100)
  }
  await store.close()
})

async function mirrorOf(store: Store): Promise<string> {
  return (await store.health()).checks['mirror']?.observed ?? ''
}
