import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { crashContent } from '../testing/crash-content.ts'
import { type Acknowledged, assertKept, assertUsable, assertWhole, Pusher } from '../testing/pusher.ts'
import { serviceTest } from '../testing/service-test.ts'
import { UnreliableDisk } from '../testing/unreliable-disk.ts'
import { createStore, openStore } from './open.ts'
import { recoverStore } from './recover.ts'

/** Power cuts a run; the nightly run asks for more. */
const CUTS = Number(process.env['ARTIFACT_STORE_POWER_CUTS'] ?? 20)
/** What lies on a disk is read again after each cut, so a long run uses several. */
const CUTS_PER_DISK = 20
/** Cuts in which a missing flush must be noticed. */
const TRIES = 5
const OMITTED_FLUSH = new URL('../testing/omitted-flush.ts', import.meta.url).href
const PUT_CHILD = fileURLToPath(new URL('../testing/put-child.ts', import.meta.url))

for (let number = 1, left = CUTS; left > 0; number += 1, left -= CUTS_PER_DISK) {
  const cuts = Math.min(left, CUTS_PER_DISK)
  const behaviour = 'a store whose disk loses power keeps what it acknowledged and shows nothing half-done'
  serviceTest(`${behaviour}: disk ${number}, ${cuts} cuts`, ['unreliable-disk'], async (t) => {
    const disk = await UnreliableDisk.create(t)
    const directory = join(disk.folder, 'data')
    await (await createStore(directory)).close()
    const acknowledged: Acknowledged[] = []
    let checked = 0
    for (let cut = 1; cut <= cuts; cut += 1) {
      acknowledged.push(...(await pushUntilPowerIsCut(t, disk, directory, cut)))
      await disk.powerOn()
      // Now and then the next one comes before anybody has looked, or closed the store in good order.
      if (cut % 4 === 0 && cut < cuts) continue
      const store = await openStore(directory)
      await assertKept(store, acknowledged.slice(checked))
      await assertWhole(store)
      await assertUsable(store)
      await store.close()
      checked = acknowledged.length
    }
    t.diagnostic(`${acknowledged.length} packages were acknowledged before ${cuts} power cuts`)
    assert.ok(acknowledged.length > cuts)
    await assertKeptByAll(directory, acknowledged)
    // The packs and the mirror of the log lie on that disk, too.
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(directory, `registry.db${suffix}`), { force: true })
    await recoverStore(directory)
    await assertKeptByAll(directory, acknowledged)
  })
}

async function assertKeptByAll(directory: string, acknowledged: readonly Acknowledged[]): Promise<void> {
  const store = await openStore(directory)
  await assertKept(store, acknowledged)
  await assertWhole(store)
  await store.close()
}

/** @returns what was acknowledged */
async function pushUntilPowerIsCut(t: TestContext, disk: UnreliableDisk, directory: string, cut: number): Promise<readonly Acknowledged[]> {
  const pushers = Array.from({ length: 1 + (cut % 2) }, (_, index) => new Pusher(t, directory, { seed: cut * 10_000 + index * 5_000 }))
  // Sometimes before anything is stored.
  if (cut % 5 !== 0) await pushers[0]?.pushed(1)
  await sleep(Math.random() * 300)
  await disk.cutPower()
  await Promise.all(pushers.map(endedOrKilled))
  // What is acknowledged after the cut counts, too.
  return pushers.flatMap((pusher) => pusher.acknowledged)
}

/** Every write fails now, so it should end by itself. */
async function endedOrKilled(pusher: Pusher): Promise<void> {
  const patience = setTimeout(() => void pusher.kill(), 1_000)
  await pusher.ended()
  clearTimeout(patience)
}

serviceTest('the rig notices a store that leaves out the flush of files', ['unreliable-disk'], async (t) => {
  const disk = await UnreliableDisk.create(t)
  const directory = join(disk.folder, 'data')
  await (await createStore(directory)).close()
  const losses: unknown[] = []
  for (let cut = 1; cut <= TRIES && losses.length === 0; cut += 1) {
    const pusher = new Pusher(t, directory, { seed: cut * 10_000, execArgv: ['--import', OMITTED_FLUSH], env: { OMITTED_FLUSH: 'file' } })
    await pusher.pushed(3)
    await disk.cutPower()
    await pusher.kill()
    await disk.powerOn()
    const store = await openStore(directory)
    await assertKept(store, pusher.acknowledged).catch((error: unknown) => losses.push(error))
    await store.close()
  }
  t.diagnostic(`noticed: ${String(losses[0])}`)
  assert.equal(losses.length, 1)
})

// In a whole store ext4 hides this one: its next flush of any file commits the folder, too. So the backend is asked on its own.
for (const omitted of ['nothing', 'file', 'folder'] as const) {
  serviceTest(
    `the rig notices ${omitted === 'nothing' ? 'nothing wrong with' : `the missing flush of the ${omitted} in`} a put`,
    ['unreliable-disk'],
    async (t) => {
      const disk = await UnreliableDisk.create(t)
      const losses: string[] = []
      for (let number = 1; number <= TRIES; number += 1) {
        await putOne(t, disk.folder, number, omitted)
        await disk.cutPower()
        await disk.powerOn()
        const loss = lossOf(disk.folder, number)
        if (loss !== undefined) losses.push(loss)
      }
      t.diagnostic(losses.join(', '))
      assert.equal(losses.length > 0, omitted !== 'nothing', losses.join(', '))
    },
  )
}

async function putOne(t: TestContext, folder: string, number: number, omitted: string): Promise<void> {
  const child: ChildProcess = spawn(process.execPath, ['--import', OMITTED_FLUSH, PUT_CHILD, folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, OMITTED_FLUSH: omitted },
  })
  const exit = once(child, 'exit')
  t.after(() => child.kill('SIGKILL'))
  assert.ok(child.stdin !== null && child.stdout !== null)
  child.stdin.write(`${number}\n`)
  const said: readonly unknown[] = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), exit])
  assert.equal(said[0], String(number))
  child.kill('SIGKILL')
  await exit
}

/** What became of an object that was acknowledged, or undefined when it is there. */
function lossOf(folder: string, number: number): string | undefined {
  const expected = crashContent(number)
  try {
    const found = readFileSync(join(folder, 'store/session', String(number)))
    return found.equals(expected) ? undefined : `${found.length} of ${expected.length} bytes, other ones`
  } catch {
    return `gone, instead: ${readdirSync(join(folder, 'store/session')).join(' ')}`
  }
}
