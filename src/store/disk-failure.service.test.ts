import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { BackendFailedError, StoreReadOnlyError } from '../core/errors.ts'
import { assertUsable, assertWhole } from '../testing/pusher.ts'
import { mountTmpfs, serviceTest } from '../testing/service-test.ts'
import { type FailingStep, UnreliableDisk } from '../testing/unreliable-disk.ts'
import type { Store } from './interface.ts'
import { createStore, openStore } from './open.ts'

/** Steps that write. */
const WRITING = /^(appender\.(append|flush)|backend\.(put|delete|createAppender)|registry\..*):before/
const LARGE = Buffer.alloc(3 * 1024 * 1024, 'large')

const variants: readonly (readonly [FailingStep, string, readonly string[]])[] = [
  ['flush', 'the whole store', ['registry', 'objects']],
  ['flush', 'the objects', ['objects']],
  ['flush', 'the registry', ['registry']],
  ['write', 'the whole store', ['registry', 'objects']],
  ['write', 'the objects', ['objects']],
  ['write', 'the registry', ['registry']],
]

for (const [failing, what, parts] of variants) {
  const behaviour = `a disk with ${what} that fails to ${failing}: the write fails, nothing more is written, and a new process goes on when it is repaired`
  serviceTest(behaviour, ['unreliable-disk'], async (t) => {
    const disk = await UnreliableDisk.create(t, failing)
    const directory = layOut(t, disk, parts)
    const steps: string[] = []
    const store = await createStore(directory, { observe: (step) => steps.push(step) })
    const before = await push(store, 'before')
    assert.ok(steps.some((step) => WRITING.test(step)))
    const draft = await store.packages.open({ repository: 'r', runId: 'interrupted' })
    await draft.put('stored before', Buffer.from('stored before'))
    steps.length = 0

    disk.fail()
    await assert.rejects(push(store, 'meanwhile'), isDiskFailure)
    assert.ok(steps.filter((step) => step === 'appender.flush:before').length <= 1, `a flush was tried again: ${steps.join(' ')}`)

    steps.length = 0
    for (let attempt = 0; attempt < 3; attempt += 1) await assert.rejects(push(store, 'meanwhile'), StoreReadOnlyError)
    await assert.rejects(draft.put('f', LARGE), StoreReadOnlyError)
    await assert.rejects(draft.finalize(), StoreReadOnlyError)
    await assert.rejects(store.tags.set('r', 'tag', before), StoreReadOnlyError)
    await assertReads(store, before)
    const { status, checks } = await store.health()
    assert.deepEqual([status, checks['writable']?.status], ['warn', 'warn'])
    await store.close()
    assert.deepEqual(
      steps.filter((step) => WRITING.test(step)),
      [],
    )

    await disk.powerOn({ check: true })
    const again = await openStore(directory)
    await assertReads(again, before)
    assert.deepEqual(
      (await again.packages.search({ repository: 'r' })).items.map(({ id }) => id),
      [before],
    )
    await assertWhole(again)
    await assertUsable(again)
    const continued = await again.packages.open({ repository: 'r', runId: 'interrupted' })
    const { fileCount } = await continued.finalize()
    assert.equal(fileCount, 1)
    await assertWhole(again)
    await again.close()
  })
}

serviceTest('a flush of the mirrored log that fails makes the store read-only, although nobody waits for it', ['unreliable-disk'], async (t) => {
  const disk = await UnreliableDisk.create(t, 'flush')
  const failed = Promise.withResolvers<undefined>()
  const directory = layOut(t, disk, ['objects'])
  const store = await createStore(directory, { observe: (step) => step === 'backend.put:failed' && failed.resolve(undefined) })
  const id = await push(store, 'before')
  disk.fail()
  await store.tags.set('r', 'only-in-the-registry', id)
  await failed.promise
  await new Promise(setImmediate)
  await assert.rejects(store.tags.set('r', 'tag', id), StoreReadOnlyError)
  await store.close()
  await disk.powerOn({ check: true })
  const again = await openStore(directory)
  assert.equal((await again.packages.get('r:only-in-the-registry')).id, id)
  await assertUsable(again)
  await again.close()
})

serviceTest(
  'a file system that becomes read-only: writes are refused, reads go on, and a new process goes on when it is repaired',
  ['unreliable-disk'],
  async (t) => {
    const disk = await UnreliableDisk.create(t)
    const directory = join(disk.folder, 'data')
    const store = await createStore(directory)
    const before = await push(store, 'before')
    disk.becomeReadOnly()
    await assert.rejects(push(store, 'meanwhile'), isDiskFailure)
    for (let attempt = 0; attempt < 3; attempt += 1) await assert.rejects(push(store, 'meanwhile'), StoreReadOnlyError)
    await assertReads(store, before)
    assert.equal((await store.health()).checks['writable']?.status, 'warn')
    await store.close()
    await disk.powerOn({ check: true })
    const again = await openStore(directory)
    await assertReads(again, before)
    await assertWhole(again)
    await assertUsable(again)
    await again.close()
  },
)

serviceTest('a store on a read-only file system is not opened, and the error says why', ['mount'], async (t) => {
  const folder = mountTmpfs(t, 'size=32m')
  const directory = join(folder, 'data')
  await (await createStore(directory)).close()
  execFileSync('mount', ['-o', 'remount,ro', folder])
  await assert.rejects(openStore(directory), (error) => error instanceof StoreReadOnlyError && /cannot be written/.test(error.message))
  execFileSync('mount', ['-o', 'remount,rw', folder])
  const store = await openStore(directory)
  await assertUsable(store)
  await store.close()
})

/** The folder of a store of which these parts are on the disk. */
function layOut(t: TestContext, disk: UnreliableDisk, parts: readonly string[]): string {
  const good = mkdtempSync(join(tmpdir(), 'failing-'))
  t.after(() => rmSync(good, { recursive: true, force: true }))
  const directory = join(parts.includes('registry') ? disk.folder : good, 'data')
  const objects = join(parts.includes('objects') ? disk.folder : good, 'elsewhere')
  mkdirSync(directory)
  mkdirSync(objects)
  if (parts.length === 1) symlinkSync(objects, join(directory, 'objects'))
  return directory
}

async function push(store: Store, content: string): Promise<string> {
  const draft = await store.packages.open({ repository: 'r' })
  await draft.put('small', Buffer.from(content))
  await draft.put('large', Buffer.concat([LARGE, Buffer.from(content)]))
  return (await draft.finalize()).id
}

async function assertReads(store: Store, id: string): Promise<void> {
  assert.equal(Buffer.concat(await Array.fromAsync(store.files.read(id, 'small'))).toString(), 'before')
  assert.equal(Buffer.concat(await Array.fromAsync(store.files.read(id, 'large'))).length, LARGE.length + 'before'.length)
}

function isDiskFailure(error: unknown): boolean {
  return error instanceof StoreReadOnlyError || error instanceof BackendFailedError
}
