import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { digestOf, rawSha256 } from '../../core/digest.ts'
import { destructionOf } from '../../registry/destructions.ts'
import { AT_ONCE, assertSound, collect, collectAll, emptyStore, withParts } from '../../testing/collection-case.ts'
import { purgePackage } from '../../testing/purge-package.ts'
import { objectsWith } from '../../testing/stored-bytes.ts'
import type { StoreContext } from '../context.ts'
import type { Draft, Store } from '../interface.ts'
import { openStore } from '../open.ts'
import type { CollectionBacklog } from './collection-report.ts'
import { Collector } from './collector.ts'

/** Text that nothing else contains, and that compresses to little. */
function text(name: string): Buffer {
  return Buffer.from(`canary of ${name}, `.repeat(100))
}

/** The same text, once, before bytes that do not compress. */
function content(name: string, bytes = 20_000): Buffer {
  const blocks = Array.from({ length: Math.ceil(bytes / 64) }, (_, index) => createHash('sha512').update(`${name} ${index}`).digest())
  return Buffer.concat([Buffer.from(`canary of ${name}, canary of`), ...blocks])
}

async function push(store: Store, repository: string, files: Readonly<Record<string, Buffer>>): Promise<string> {
  const draft = await store.packages.open({ repository })
  await putAll(draft, files)
  return (await draft.finalize()).id
}

async function putAll(draft: Draft, files: Readonly<Record<string, Buffer>>): Promise<void> {
  for (const [path, bytes] of Object.entries(files)) await draft.put(path, bytes)
}

async function pushed(directory: string, repository: string, files: Readonly<Record<string, Buffer>>): Promise<string> {
  await using store = await openStore(directory)
  return await push(store, repository, files)
}

async function filesOf(directory: string, id: string): Promise<Readonly<Record<string, string>>> {
  await using store = await openStore(directory)
  const found: Record<string, string> = {}
  for await (const read of store.files.readMany(id)) {
    assert.ok(!('error' in read), 'error' in read ? read.error.message : '')
    found[read.file.path] = digestOf('bytes' in read ? read.bytes : Buffer.concat(await Array.fromAsync(read.stream)))
  }
  return found
}

function digestsOf(files: Readonly<Record<string, Buffer>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(files).map(([path, bytes]) => [path, digestOf(bytes)]))
}

async function remains(directory: string, name: string): Promise<readonly string[]> {
  return withParts(directory, ({ backend, storeId }) => objectsWith(backend, storeId, Buffer.from(`canary of ${name}, canary of`)))
}

function purge(directory: string, ...ids: readonly string[]): Promise<void> {
  return withParts(directory, async ({ registry }) => {
    for (const id of ids) await purgePackage(registry, id)
  })
}

function waiting(directory: string): Promise<CollectionBacklog> {
  return withParts(directory, (context) => new Collector(context).waiting())
}

describe('collection', () => {
  test('removes what only a deleted package held, and keeps what another one holds, whole', async (t) => {
    const directory = await emptyStore(t)
    const shared = { 'shared.txt': content('shared'), 'shared.bin': content('shared and large', 3_000_000) }
    const gone = await pushed(directory, 'a', { ...shared, secret: content('secret'), large: content('large secret', 3_000_000) })
    const kept = await pushed(directory, 'b', { ...shared, own: content('own') })
    await purge(directory, gone)
    await collectAll(directory)
    for (const name of ['secret', 'large secret']) assert.deepEqual(await remains(directory, name), [])
    assert.equal((await remains(directory, 'shared and large')).length, 1)
    assert.deepEqual(await filesOf(directory, kept), digestsOf({ ...shared, own: content('own') }))
    await assertSound(directory)
  })

  test('removes what an aborted package held, and what was put in place of something else', async (t) => {
    const directory = await emptyStore(t)
    {
      await using store = await openStore(directory)
      const draft = await store.packages.open({ repository: 'a' })
      await putAll(draft, { f: content('aborted') })
      await draft.abort()
      const replacing = await store.packages.open({ repository: 'a' })
      await putAll(replacing, { f: content('replaced'), large: content('replaced and large', 3_000_000) })
      await putAll(replacing, { f: content('final'), large: content('final and large', 3_000_000) })
      await replacing.finalize()
    }
    await collectAll(directory)
    for (const name of ['aborted', 'replaced', 'replaced and large']) assert.deepEqual(await remains(directory, name), [], name)
    for (const name of ['final', 'final and large']) assert.equal((await remains(directory, name)).length, 1)
    await assertSound(directory)
  })

  test('keeps what lost its last holder for the grace, and condemned objects until readers are done', async (t) => {
    const directory = await emptyStore(t)
    const id = await pushed(directory, 'a', { f: content('patient', 3_000_000) })
    await purge(directory, id)
    const early = await collect(directory, { graceMs: 3_600_000, drainMs: 0 })
    assert.deepEqual([early.reviewed.condemned, await waiting(directory)], [0, { reviews: 1, objects: 0, size: 0 }])
    const draining = await collect(directory, { graceMs: 0, drainMs: 3_600_000 })
    assert.ok(draining.reviewed.condemned > 0)
    const { reviews, objects } = await waiting(directory)
    assert.deepEqual([draining.deleted.objects, reviews], [0, 0])
    assert.ok(objects > 0)
    assert.equal((await remains(directory, 'patient')).length, 1)
    await collectAll(directory)
    assert.deepEqual(await remains(directory, 'patient'), [])
  })

  test('gives what hangs on a deleted package one grace, not one a step', async (t) => {
    const directory = await emptyStore(t)
    const id = await pushed(directory, 'a', { f: content('leaf') })
    await purge(directory, id)
    await withParts(directory, ({ registry }) =>
      registry.write('age', (session) =>
        session.query({ sql: 'update reviews set queued_at = queued_at - 3600000 returning target_id', parameters: [] }),
      ),
    )
    const report = await collect(directory, { graceMs: 1_800_000, drainMs: 0 })
    assert.ok(report.reviewed.condemned >= 3, 'manifest, document and file')
    assert.equal((await waiting(directory)).reviews, 0)
  })

  test('what is held again in the meantime stays', async (t) => {
    const directory = await emptyStore(t)
    const files = { f: content('again'), large: content('again and large', 3_000_000) }
    const first = await pushed(directory, 'a', files)
    await purge(directory, first)
    const second = await pushed(directory, 'b', files)
    const report = await collect(directory)
    assert.ok(report.reviewed.kept > 0)
    await collectAll(directory)
    assert.deepEqual(await filesOf(directory, second), digestsOf(files))
    await assertSound(directory)
  })

  test('condemned bytes do not come back: sent again they are stored again, elsewhere', async (t) => {
    const directory = await emptyStore(t)
    const files = { f: content('returning'), large: content('returning and large', 3_000_000) }
    const first = await pushed(directory, 'a', files)
    await purge(directory, first)
    await collect(directory, { graceMs: 0, drainMs: 3_600_000, eraseWithinMs: 3_600_000 })
    await using store = await openStore(directory)
    const draft = await store.packages.open({ repository: 'b' })
    const known = Object.entries(files).map(([path, bytes]) => ({ path, digest: digestOf(bytes), size: bytes.length }))
    assert.deepEqual(await draft.attach(known), [false, false])
    await putAll(draft, files)
    const { id } = await draft.finalize()
    await store.close()
    await collectAll(directory)
    assert.deepEqual(await filesOf(directory, id), digestsOf(files))
    await assertSound(directory)
  })

  test('does nothing when there is nothing to do', async (t) => {
    const directory = await emptyStore(t)
    await pushed(directory, 'a', { f: content('kept') })
    await collectAll(directory)
    const { audit, problems, stopped, ...done } = await collect(directory)
    assert.deepEqual(done, {
      reaped: { writers: 0, packages: 0, uploads: 0, answers: 0 },
      settled: 0,
      reviewed: { kept: 0, condemned: 0, size: 0 },
      rewritten: { packs: 0, entries: 0, moved: 0 },
      deleted: { objects: 0, size: 0 },
    })
    assert.deepEqual([problems, stopped, audit?.strays], [[], undefined, 0])
  })

  test('can be stopped between any two steps and goes on at the next run', async (t) => {
    const directory = await emptyStore(t)
    const ids = []
    for (let index = 0; index < 5; index += 1)
      ids.push(await pushed(directory, 'a', { f: content(`stopped ${index}`), g: content('kept by nobody') }))
    await purge(directory, ...ids)
    for (let allowed = 1, over = false; !over; allowed += 1) {
      over = await withParts(directory, async (context) => {
        let left = allowed
        const controller = new AbortController()
        const running = new Collector(context, AT_ONCE).runOnce({
          signal: controller.signal,
          onProgress: () => {
            left -= 1
            if (left === 0) controller.abort()
          },
        })
        return running.then(
          () => true,
          () => false,
        )
      })
    }
    await collectAll(directory)
    assert.deepEqual(await remains(directory, 'stopped 3'), [])
    await assertSound(directory)
  })

  test('a preview says what would be let go of, with what hangs on it, and changes nothing', async (t) => {
    const directory = await emptyStore(t)
    const gone = await pushed(directory, 'a', {
      f: content('previewed'),
      large: content('previewed and large', 3_000_000),
      shared: content('shared'),
    })
    await pushed(directory, 'b', { shared: content('shared') })
    await purge(directory, gone)
    const preview = (): Promise<unknown> => withParts(directory, (context) => new Collector(context, AT_ONCE).preview())
    const seen = await withParts(directory, (context) => new Collector(context, AT_ONCE).preview())
    assert.deepEqual(await preview(), seen)
    const report = await collect(directory)
    assert.deepEqual([report.reviewed.condemned, report.reviewed.size], [seen.condemned.chunks, seen.condemned.size])
    assert.equal(seen.atLeast, false)
  })
})

describe('released bytes', () => {
  async function stateOf({ registry }: StoreContext, bytes: Buffer): Promise<string> {
    return (await destructionOf(registry.reader, rawSha256(digestOf(bytes)))).state
  }

  test('are gone within their time, however little else is dead in their pack, and are said to be destroyed no sooner', async (t) => {
    const directory = await emptyStore(t)
    const kept = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`k${index}`, content(`kept ${index}`)]))
    const secret = text('a small secret')
    let id = ''
    {
      await using store = await openStore(directory)
      await push(store, 'kept', kept)
      id = await push(store, 'gone', { secret })
    }
    const state = (): Promise<string> => withParts(directory, (context) => stateOf(context, secret))
    assert.equal(await state(), 'referenced')
    await purge(directory, id)
    assert.equal(await state(), 'referenced', 'its manifest is not reviewed yet')
    await collectAll(directory, { graceMs: 0, drainMs: 0, eraseWithinMs: 3_600_000, auditEveryMs: 0 })
    assert.equal((await remains(directory, 'a small secret')).length, 1, 'there is time, and the pack is full of what is kept')
    assert.equal(await state(), 'pending')
    await withParts(directory, ({ registry }) =>
      registry.write('time passes', (session) =>
        session.query({ sql: 'update objects set erase_by = erase_by - 3600000 returning id', parameters: [] }),
      ),
    )
    await collectAll(directory)
    assert.deepEqual(await remains(directory, 'a small secret'), [])
    assert.equal(await state(), 'destroyed')
    await assertSound(directory)
  })

  test('are not said to be destroyed while an unnamed copy may lie in the pack of a writer', async (t) => {
    const directory = await emptyStore(t)
    const secret = text('a copied secret')
    // Bytes that were flushed and never named, since their package was given up meanwhile, or their writer crashed.
    await withParts(directory, async (writer) => {
      const items = [{ source: { kind: 'bytes', bytes: secret } }] as const
      const resolve = (blobs: readonly unknown[]): Promise<boolean[]> => Promise.resolve(blobs.map(() => false))
      await Array.fromAsync(writer.dataPlane.ingestMany(items, { resolve }))
      const id = await pushed(directory, 'a', { secret })
      assert.equal((await remains(directory, 'a copied secret')).length, 2)
      await purge(directory, id)
      await collectAll(directory)
      assert.equal((await remains(directory, 'a copied secret')).length, 1, 'its writer may still name it')
      assert.equal(await stateOf(writer, secret), 'pending')
    })
    await collectAll(directory)
    assert.deepEqual(await remains(directory, 'a copied secret'), [])
    await withParts(directory, async (context) => assert.equal(await stateOf(context, secret), 'destroyed'))
  })

  test('of which two writers stored a copy each are gone with both', async (t) => {
    const directory = await emptyStore(t)
    const secret = content('a secret stored twice')
    const large = content('a large secret stored twice', 3_000_000)
    const kept = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`k${index}`, content(`kept ${index}`)]))
    const [left, right] = [await openStore(directory), await openStore(directory)]
    const ids = await Promise.all([push(left, 'a', { ...kept, secret, large }), push(right, 'b', { secret, large })])
    await Promise.all([left.close(), right.close()])
    await purge(directory, ...ids)
    await collectAll(directory)
    for (const name of ['a secret stored twice', 'a large secret stored twice']) assert.deepEqual(await remains(directory, name), [])
    await assertSound(directory)
  })

  test('that another package holds are still referenced, and go within their time when that is given up for another reason', async (t) => {
    const directory = await emptyStore(t)
    const secret = content('a shared secret')
    const kept = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`k${index}`, content(`kept ${index}`)]))
    const store = await openStore(directory)
    await push(store, 'kept', kept)
    const id = await push(store, 'a', { secret })
    const draft = await store.packages.open({ repository: 'b' })
    await draft.attach([{ path: 's', digest: digestOf(secret), size: secret.length }])
    await store.close()
    await purge(directory, id)
    await collectAll(directory)
    await withParts(directory, async (context) => assert.equal(await stateOf(context, secret), 'referenced'))
    const again = await openStore(directory)
    await (await again.packages.resume(draft.id)).abort()
    await again.close()
    await collectAll(directory)
    assert.deepEqual(await remains(directory, 'a shared secret'), [])
    await withParts(directory, async (context) => assert.equal(await stateOf(context, secret), 'destroyed'))
  })
})
