import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { crashContent } from '../testing/crash-content.ts'
import type { Store } from './interface.ts'
import { createStore, openStore } from './open.ts'

/** Steps that write nothing, or that a process which is never closed does not reach. */
const NEVER_AGAIN = /^backend\.(get|head|list|close)|^appender\.close|^registry\.(create|release|seal):/
/** Kills a run; the nightly run asks for more. */
const CYCLES = Number(process.env['ARTIFACT_STORE_CRASHES'] ?? 20)
const CHILD = fileURLToPath(new URL('../testing/crash-child.ts', import.meta.url))

interface Acknowledged {
  readonly id: string
  readonly manifestDigest: string
  readonly files: Readonly<Record<string, number>>
}

let folder = ''
let directory = ''
let steps: readonly string[] = []
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crash-'))
  directory = join(folder, 'data')
  steps = await stepsOfTheWriteOrder()
})
after(() => rm(folder, { recursive: true, force: true }))

/** Every named step of pushing a package, found by watching one. */
async function stepsOfTheWriteOrder(): Promise<readonly string[]> {
  const seen = new Set<string>()
  const store = await createStore(directory, { observe: (step) => seen.add(step) })
  const draft = await store.packages.open({ repository: 'watched' })
  await draft.put('small', crashContent(1))
  await draft.put('large', crashContent(10))
  await draft.finalize()
  await store.close()
  const writing = [...seen].filter((step) => !NEVER_AGAIN.test(step))
  return writing.toSorted()
}

test('a process killed at any step of the write order loses nothing it acknowledged and shows nothing half-done', { timeout: 600_000 }, async (t) => {
  assert.ok(steps.length > 20, `steps: ${steps.join(' ')}`)
  const acknowledged: Acknowledged[] = []
  for (let cycle = 0; cycle < CYCLES; cycle += 1) {
    // Odd cycles are killed at a random moment, even ones at a step; over a nightly run each step comes up several times.
    const step = cycle % 2 === 0 ? steps[(cycle * 7) % steps.length] : undefined
    const failpoint = step === undefined ? '-' : `${step}:${1 + (cycle % 3)}`
    acknowledged.push(...(await pushUntilKilled(cycle * 1_000, failpoint)))
    const store = await openStore(directory)
    await checkAcknowledged(store, acknowledged.slice(-30))
    await checkNothingHalfDone(store)
    // The next command starts at once: nobody waits for a dead writer's locks.
    const draft = await store.packages.open({ repository: 'next' })
    await draft.put('f', crashContent(cycle % 40))
    await draft.finalize()
    await store.close()
  }
  t.diagnostic(`${acknowledged.length} packages were acknowledged in ${CYCLES} processes that were killed; ${steps.length} steps`)
  assert.ok(acknowledged.length > 0)
  const store = await openStore(directory)
  await checkAcknowledged(store, acknowledged)
  await store.close()
})

async function pushUntilKilled(seed: number, failpoint: string): Promise<Acknowledged[]> {
  const child = spawn(process.execPath, [CHILD, directory, String(seed), failpoint], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: Acknowledged[] = []
  const exit = once(child, 'exit')
  let timer: NodeJS.Timeout | undefined
  // Sound: the line is what crash-child.ts writes.
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line) as Acknowledged)
    if (failpoint === '-') timer ??= setTimeout(() => child.kill('SIGKILL'), Math.random() * 200)
  })
  // A step that is not reached again in a long-lived process (creating something) must not keep the test waiting.
  const guard = setTimeout(() => child.kill('SIGKILL'), 2_000)
  await exit
  clearTimeout(timer)
  clearTimeout(guard)
  assert.equal(child.signalCode, 'SIGKILL', `the pushing process ended by itself with ${String(child.exitCode)} at ${failpoint}`)
  return lines
}

async function checkAcknowledged(store: Store, packages: readonly Acknowledged[]): Promise<void> {
  for (const { id, manifestDigest, files } of packages) {
    assert.equal((await store.packages.get(id)).manifestDigest, manifestDigest)
    const seen = new Set<string>()
    for await (const read of store.files.readMany(id)) {
      const pieces: Uint8Array[] = []
      if ('error' in read) throw read.error
      if ('bytes' in read) pieces.push(read.bytes)
      else for await (const piece of read.stream) pieces.push(piece)
      const content = files[read.file.path]
      assert.ok(content !== undefined, read.file.path)
      assert.ok(Buffer.concat(pieces).equals(crashContent(content)), `${id} ${read.file.path}`)
      seen.add(read.file.path)
    }
    assert.equal(seen.size, Object.keys(files).length)
  }
}

async function checkNothingHalfDone(store: Store): Promise<void> {
  for await (const line of store.packages.verify('all')) assert.equal(line.problem, undefined, `${line.packageId} ${line.path ?? line.digest}`)
  await store.events.verify()
}
