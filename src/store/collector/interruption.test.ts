/**
 * Collection broken off between any two of its steps: each transaction and each call of the backend is, in turn, the one before or after which the
 * process is gone. Others finish what it began.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { digestOf } from '../../core/digest.ts'
import { AT_ONCE, assertSound, collectAll, emptyStore, withParts } from '../../testing/collection-case.ts'
import { purgePackage } from '../../testing/purge-package.ts'
import { objectsWith } from '../../testing/stored-bytes.ts'
import type { Store } from '../interface.ts'
import { openStore } from '../open.ts'
import { openContext } from '../open-context.ts'
import { Collector } from './collector.ts'

/** One in so many steps is tried in a run; the nightly run tries all. */
const EVERY = Number(process.env['ARTIFACT_STORE_INTERRUPTIONS_EVERY'] ?? 6)

/** Bytes that do not compress, with a name in them. */
function content(name: string, size = 30_000): Buffer {
  const blocks = Array.from({ length: Math.ceil(size / 64) }, (_, index) => createHash('sha512').update(`${name} ${index}`).digest())
  return Buffer.concat([Buffer.from(`canary of ${name}.`), ...blocks])
}

const KEPT = { small: content('kept'), large: content('kept and large', 3_000_000), shared: content('shared') }
const GONE = ['gone 1', 'gone 2', 'gone and large', 'aborted', 'unnamed']

async function push(store: Store, repository: string, files: Readonly<Record<string, Buffer>>): Promise<string> {
  const draft = await store.packages.open({ repository })
  for (const [path, bytes] of Object.entries(files)) await draft.put(path, bytes)
  return (await draft.finalize()).id
}

/** A store with something to do for every step. */
async function stage(t: TestContext): Promise<{ readonly directory: string; readonly kept: string }> {
  const directory = await emptyStore(t)
  const store = await openStore(directory)
  const kept = await push(store, 'kept', KEPT)
  const gone = await push(store, 'gone', {
    a: content('gone 1'),
    b: content('gone 2', 60_000),
    large: content('gone and large', 3_000_000),
    shared: content('shared'),
  })
  const draft = await store.packages.open({ repository: 'gone' })
  await draft.put('f', content('aborted'))
  await draft.abort()
  const forgotten = await store.packages.open({ repository: 'gone' })
  await forgotten.put('f', content('gone 1'))
  await store.close()
  await withParts(directory, async (context) => {
    const items = [{ source: { kind: 'bytes', bytes: content('unnamed') } }] as const
    await Array.fromAsync(context.dataPlane.ingestMany(items, { resolve: (blobs) => Promise.resolve(blobs.map(() => false)) }))
    await purgePackage(context.registry, gone)
    await context.registry.write('age', (session) =>
      session.query({ sql: 'update drafts set touched_at = 0 where state = 0 returning id', parameters: [] }),
    )
  })
  return { directory, kept }
}

class Gone extends Error {}

/** Collects as a process would that is gone at the `count`-th step. @returns the name of that step, or undefined when there are fewer */
async function collectUntil(directory: string, count: number): Promise<string | undefined> {
  let [steps, last] = [0, '']
  let running = false
  const context = await openContext(directory, {
    observe: (step) => {
      if (!running || /^backend\.(get|head|list)/.test(step)) return
      steps += 1
      if (steps === count) last = step
      if (steps >= count) throw new Gone(step)
    },
  })
  running = true
  await new Collector(context, AT_ONCE).runOnce().catch((error: unknown) => {
    if (steps < count) throw error
  })
  // Nothing is given back: a process that is gone says nothing. What it was writing at is closed with the test.
  await context.registry.close()
  return steps < count ? undefined : last
}

test('collection that breaks off at any step is finished by others', { timeout: 600_000 }, async (t) => {
  const { directory: template, kept } = await stage(t)
  const names = new Set<string>()
  let step: string | undefined = 'first'
  for (let count = 1; step !== undefined; count += EVERY) {
    const directory = join(template, '..', `copy-${count}`)
    await cp(template, directory, { recursive: true })
    step = await collectUntil(directory, count)
    if (step !== undefined) names.add(step)
    await withParts(directory, ({ registry }) =>
      registry.write('age', (session) => session.query({ sql: 'update leases set expires_at = 1 returning id', parameters: [] })),
    )
    await collectAll(directory)
    await withParts(directory, async ({ backend, storeId }) => {
      for (const name of GONE)
        assert.deepEqual(await objectsWith(backend, storeId, Buffer.from(`canary of ${name}.`)), [], `${name} after ${step ?? ''}`)
    })
    await using store = await openStore(directory)
    for await (const read of store.files.readMany(kept)) {
      assert.ok(!('error' in read), `${'error' in read ? read.error.message : ''} after ${step ?? ''}`)
      const bytes = 'bytes' in read ? read.bytes : Buffer.concat(await Array.fromAsync(read.stream))
      assert.equal(digestOf(bytes), digestOf(new Map(Object.entries(KEPT)).get(read.file.path) ?? Buffer.alloc(0)))
    }
    await store.close()
    await assertSound(directory)
  }
  t.diagnostic(`gone at: ${[...names].toSorted().join(', ')}`)
  assert.ok(names.size >= 5)
})
