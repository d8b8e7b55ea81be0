import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { assertKept, assertUsable, assertWhole, Pusher } from '../testing/pusher.ts'
import { createStore, openStore } from './open.ts'

/** How long all are at it; the nightly run lets them go on for longer. */
const SECONDS = Number(process.env['ARTIFACT_STORE_CROWD_SECONDS'] ?? 5)
const PUSHERS = 4
const READERS = ['read', 'read', 'verify'] as const
const READING_CHILD = fileURLToPath(new URL('../testing/reading-child.ts', import.meta.url))
const LONGEST_MS = (SECONDS + 60) * 1_000

class Reader {
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown>
  /** Resolves when it reads, or has ended. */
  readonly ready: Promise<unknown>
  #stdout = ''
  #stderr = ''

  constructor(t: TestContext, directory: string, mode: string) {
    const child = spawn(process.execPath, ['--max-old-space-size=256', READING_CHILD, directory, mode], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    child.stdout.on('data', (text: Buffer) => (this.#stdout += text.toString()))
    child.stderr.on('data', (text: Buffer) => (this.#stderr = `${this.#stderr}${text.toString()}`.slice(-10_000)))
    const limit = setTimeout(() => child.kill('SIGKILL'), LONGEST_MS)
    this.ready = Promise.race([once(child.stdout, 'data'), once(child, 'close')])
    this.#exit = once(child, 'close').then(() => clearTimeout(limit))
    t.after(() => child.kill('SIGKILL'))
  }

  /** @returns how many packages it read */
  async stop(): Promise<number> {
    this.#child.kill('SIGTERM')
    await this.#exit
    assert.equal(this.#child.exitCode, 0, this.#stderr)
    return Number(this.#stdout.replace('ready', ''))
  }
}

test(
  'several processes push, read and verify at the same time: nothing fails, and each gets its share',
  { timeout: LONGEST_MS + 60_000 },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'crowd-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const directory = join(folder, 'data')
    await (await createStore(directory)).close()
    const pushers = Array.from({ length: PUSHERS }, (_, index) => new Pusher(t, directory, { seed: index * 1_000_000, longest: LONGEST_MS }))
    await Promise.all(pushers.map((pusher) => pusher.pushed(1)))
    const readers = READERS.map((mode) => new Reader(t, directory, mode))
    await Promise.all(readers.map((reader) => reader.ready))
    const before = pushers.map(({ acknowledged }) => acknowledged.length)
    await sleep(SECONDS * 1_000)
    const counts = pushers.map(({ acknowledged }, index) => acknowledged.length - (before[index] ?? 0))
    const read = await Promise.all(readers.map((reader) => reader.stop()))
    await Promise.all(pushers.map((pusher) => pusher.stop()))

    t.diagnostic(`in ${SECONDS} s each of ${PUSHERS} pushed ${counts.join(', ')} packages, each of ${READERS.length} read ${read.join(', ')}`)
    assert.deepEqual(
      pushers.flatMap(({ failures }) => failures),
      [],
    )
    assert.ok(Math.min(...read) > 0)
    const share = counts.reduce((sum, count) => sum + count, 0) / PUSHERS
    assert.ok(Math.min(...counts) >= share / 3, `unfair: ${counts.join(', ')}`)

    const store = await openStore(directory)
    const acknowledged = pushers.flatMap((pusher) => pusher.acknowledged)
    assert.equal(new Set(acknowledged.map(({ id }) => id)).size, acknowledged.length)
    await assertKept(store, acknowledged)
    await assertWhole(store)
    await assertUsable(store)
    await store.close()
  },
)
