import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { assertKept, assertUsable } from '../testing/pusher.ts'
import { createStore, openStore } from './open.ts'
import { recoverStore } from './recover.ts'
import { storeFiles } from './store-files.ts'

const CRASH_CHILD = fileURLToPath(new URL('../testing/crash-child.ts', import.meta.url))

test('a store that is closed has mirrored its whole log, although a process died a moment ago while it was mirroring', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'mirror-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const directory = join(folder, 'data')
  await (await createStore(directory)).close()
  const child: ChildProcess = spawn(process.execPath, [CRASH_CHILD, directory, '0', 'registry.mirror-lease:committed'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const limit = setTimeout(() => child.kill('SIGKILL'), 100_000)
  const pushed = child.stdout?.toArray() ?? Promise.resolve([])
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL'])
  clearTimeout(limit)
  const lines = Buffer.concat(await pushed)
    .toString()
    .split('\n')
    .slice(0, -1)
  assert.ok(lines.length > 0)

  const store = await openStore(directory)
  await assertUsable(store)
  const { events } = await store.events.verify()
  await store.close()
  for (const suffix of ['', '-wal', '-shm']) await rm(`${storeFiles(directory).registry}${suffix}`, { force: true })
  const { completeTo } = await recoverStore(directory)
  assert.equal(completeTo, events)
  const recovered = await openStore(directory)
  // Sound: the lines are what crash-child.ts writes.
  await assertKept(
    recovered,
    lines.map((line) => JSON.parse(line) as Parameters<typeof assertKept>[1][number]),
  )
  await recovered.close()
})
