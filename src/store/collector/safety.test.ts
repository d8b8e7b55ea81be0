import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { openFileSystemBackend } from '../../adapters/backend-fs/backend-fs.ts'
import { digestOf, rawSha256 } from '../../core/digest.ts'
import { BackendFailedError } from '../../core/errors.ts'
import { parseRepositoryName } from '../../core/name.ts'
import { uuidv4 } from '../../core/uuid.ts'
import { observeBackend } from '../../decorators/observe-backend.ts'
import { type ObjectKey, parseObjectKey } from '../../ports/backend.ts'
import { leaseBlob } from '../../registry/blob-leases.ts'
import type { Session } from '../../registry/statement.ts'
import { AT_ONCE, assertSound, collect, collectAll, emptyStore, withParts } from '../../testing/collection-case.ts'
import { MovableClock } from '../../testing/movable-clock.ts'
import { purgePackage } from '../../testing/purge-package.ts'
import type { StoreContext } from '../context.ts'
import { keepForPush } from '../blob-lease.ts'
import { openStore } from '../open.ts'
import { closeContext, openContext } from '../open-context.ts'
import { recoverStore } from '../recover.ts'
import { storeFiles } from '../store-files.ts'
import { Collector } from './collector.ts'

/** Bytes that do not compress. */
function content(name: string, size = 20_000): Buffer {
  const blocks = Array.from({ length: Math.ceil(size / 64) }, (_, index) => createHash('sha512').update(`${name} ${index}`).digest())
  return Buffer.concat(blocks).subarray(0, size)
}

async function pushed(directory: string, files: Readonly<Record<string, Buffer>>, repository = 'a'): Promise<string> {
  await using store = await openStore(directory)
  const draft = await store.packages.open({ repository })
  for (const [path, bytes] of Object.entries(files)) await draft.put(path, bytes)
  return (await draft.finalize()).id
}

function purge(directory: string, id: string): Promise<void> {
  return withParts(directory, ({ registry }) => purgePackage(registry, id))
}

function query<R>(directory: string, sql: string, parameters: readonly (string | number | Uint8Array)[] = []): Promise<readonly R[]> {
  return withParts(directory, ({ registry }) =>
    registry.write('test', async (session: Session) => {
      session.changes += 1
      return (await session.query<R>({ sql, parameters })).map((row) => ({ ...row }))
    }),
  )
}

/** Keys of all objects but the marker and the log. */
async function keysOf(directory: string): Promise<readonly string[]> {
  return withParts(directory, async ({ backend, storeId }) => {
    const all = (await Array.fromAsync(backend.list(`${storeId}/`))).map(({ key }) => key)
    return all.filter((key) => !key.includes('/log/') && !key.endsWith('/marker'))
  })
}

/** A package whose pack is mostly garbage of another one that was deleted. */
async function worn(t: TestContext): Promise<{ readonly directory: string; readonly kept: string }> {
  const directory = await emptyStore(t)
  const store = await openStore(directory)
  const ids: string[] = []
  for (const files of [{ kept: content('kept') }, { gone: content('gone', 200_000) }]) {
    const draft = await store.packages.open({ repository: 'a' })
    for (const [path, bytes] of Object.entries(files)) await draft.put(path, bytes)
    ids.push((await draft.finalize()).id)
  }
  await store.close()
  const [kept = '', gone = ''] = ids
  await purge(directory, gone)
  return { directory, kept }
}

describe('collection stops, and says why,', () => {
  async function refuses(directory: string, why: RegExp, options: Parameters<typeof withParts>[2] = {}): Promise<void> {
    const before = await keysOf(directory)
    const report = await withParts(directory, (context) => new Collector(context, AT_ONCE).runOnce(), options)
    assert.match(report.stopped ?? 'it was not stopped', why)
    assert.deepEqual([report.reviewed.condemned, report.rewritten.packs, report.deleted.objects], [0, 0, 0])
    assert.deepEqual(await keysOf(directory), before)
  }

  test('when the clock is in doubt', async (t) => {
    const { directory } = await worn(t)
    await refuses(directory, /clock/, { clock: new MovableClock('2020-01-01T00:00:00Z') })
  })

  test('when the registry is not the one the objects know', async (t) => {
    const directory = await emptyStore(t)
    const { registry } = storeFiles(directory)
    await copyFile(registry, `${registry}.backup`)
    const id = await pushed(directory, { f: content('later') })
    await copyFile(`${registry}.backup`, registry)
    await Promise.all(['-wal', '-shm'].map((suffix) => rm(`${registry}${suffix}`, { force: true })))
    const before = await keysOf(directory)
    const report = await withParts(directory, (context) => new Collector(context, AT_ONCE).runOnce())
    assert.match(report.stopped ?? '', /not the one the object store knows/)
    assert.deepEqual(await keysOf(directory), before)
    await recoverStore(directory)
    await collectAll(directory)
    assert.equal((await withParts(directory, (context) => new Collector(context, AT_ONCE).preview())).condemned.chunks, 0)
    await using store = await openStore(directory)
    assert.equal((await store.packages.get(id)).fileCount, 1)
  })

  test('while a recovered manifest cannot be read, so that nobody knows what it holds', async (t) => {
    const directory = await emptyStore(t)
    const shared = content('in both')
    const first = await pushed(directory, { shared, own: content('own') }, 'a')
    const second = await pushed(directory, { shared }, 'b')
    const [row] = await query<{ key: string; offset: number }>(
      directory,
      `select objects.key, chunks.offset from packages join chunks on chunks.digest = packages.manifest_digest
       join objects on objects.id = chunks.object_id where packages.uuid = ?`,
      [first],
    )
    assert.ok(row)
    const file = join(storeFiles(directory).objects, row.key)
    const bytes = await readFile(file)
    bytes[row.offset + 10] = (bytes[row.offset + 10] ?? 0) ^ 0xff
    await writeFile(file, bytes)
    await recoverStore(directory)
    await purge(directory, second)
    await refuses(directory, /damaged and nobody knows what it holds/)
    const healed = await pushed(directory, { shared, own: content('own') }, 'a')
    assert.equal(healed, first)
    await collectAll(directory)
    await using store = await openStore(directory)
    for await (const line of store.packages.verify(first)) assert.equal(line.problem, undefined)
  })

  test('when something in a condemned object is in use', async (t) => {
    const { directory } = await worn(t)
    await query(directory, 'update objects set state = 3 returning id')
    const report = await collect(directory)
    assert.match(report.stopped ?? '', /should not happen/)
    assert.equal(report.deleted.objects, 0)
  })

  test('when the backend is full of objects that the registry does not know', async (t) => {
    const directory = await emptyStore(t)
    await withParts(directory, async ({ backend, storeId }) => {
      for (let count = 0; count < 30; count += 1) await backend.put(parseObjectKey(`${storeId}/${uuidv4()}/${uuidv4()}`), [content('x', 10)])
    })
    for (let run = 0; run < 3; run += 1) assert.match((await collect(directory)).stopped ?? '', /may be the wrong one/)
    assert.equal((await keysOf(directory)).length, 30)
  })
})

describe('damaged objects', () => {
  test('are neither rewritten nor deleted while somebody needs what was in them', async (t) => {
    const { directory, kept } = await worn(t)
    const [key = ''] = await keysOf(directory)
    const file = join(storeFiles(directory).objects, key)
    const bytes = await readFile(file)
    const at = bytes.indexOf(content('kept').subarray(0, 100))
    bytes[at] = (bytes[at] ?? 0) ^ 0xff
    await writeFile(file, bytes)
    const report = await collect(directory)
    assert.match(report.problems.join(), /damaged/)
    assert.deepEqual([report.rewritten.packs, report.deleted.objects], [0, 0])
    assert.deepEqual((await collect(directory)).problems, [], 'it is known, and left alone')
    assert.deepEqual(await readFile(file), bytes)

    const healed = await pushed(directory, { kept: content('kept') })
    assert.equal(healed, kept)
    await collect(directory)
    assert.deepEqual(await readFile(file), bytes, 'healed elsewhere, it is still kept')
    await purge(directory, kept)
    await collectAll(directory)
    assert.deepEqual(await keysOf(directory), [], 'nobody needs it any more')
  })

  test('that are packs with an end which cannot be read are rewritten all the same', async (t) => {
    const { directory, kept } = await worn(t)
    const [key = ''] = await keysOf(directory)
    const file = join(storeFiles(directory).objects, key)
    const bytes = await readFile(file)
    bytes.fill(0, bytes.length - 64)
    await writeFile(file, bytes)
    await collectAll(directory)
    await using store = await openStore(directory)
    assert.equal(digestOf(Buffer.concat(await Array.fromAsync(store.files.read(kept, 'kept')))), digestOf(content('kept')))
    assert.ok(!(await keysOf(directory)).includes(key))
  })
})

describe('deleting', () => {
  test('is made again when the backend fails, until it has confirmed', async (t) => {
    const { directory } = await worn(t)
    const backend = await openFileSystemBackend(storeFiles(directory).objects)
    const failing = observeBackend(backend, (step) => {
      if (step === 'backend.delete:before') throw new BackendFailedError('503')
    })
    const report = await withParts(directory, (context) => new Collector(context, AT_ONCE).runOnce(), { backend: failing })
    assert.equal(report.deleted.objects, 0)
    assert.match(report.problems.join(), /tried again later: 503/)
    assert.ok((await withParts(directory, (context) => new Collector(context).waiting())).objects > 0)
    await collectAll(directory)
    await assertSound(directory)
  })

  test('that lands late, after the same bytes were stored again, hurts nothing', async (t) => {
    const directory = await emptyStore(t)
    const files = { small: content('late'), large: content('late and large', 3_000_000) }
    await purge(directory, await pushed(directory, files))
    const late: ObjectKey[] = []
    const losing = observeBackend(await openFileSystemBackend(storeFiles(directory).objects), (step, key = '') => {
      if (step !== 'backend.delete:before') return
      late.push(parseObjectKey(key))
      throw new BackendFailedError('the connection broke off')
    })
    const report = await withParts(directory, (context) => new Collector(context, AT_ONCE).runOnce(), { backend: losing })
    assert.match(report.problems.join(), /tried again later/)
    await collectAll(directory)
    const id = await pushed(directory, files)
    assert.ok(late.length > 0)
    await withParts(directory, async ({ backend }) => {
      for (const key of late) await backend.delete(key)
    })
    await using store = await openStore(directory)
    for await (const line of store.packages.verify(id)) assert.equal(line.problem, undefined)
  })
})

describe('the audit', () => {
  test('removes what no row names after two sightings a grace apart, and leaves the log and the marker', async (t) => {
    const { directory, kept } = await worn(t)
    const stray = await withParts(directory, async ({ backend, storeId }) => {
      const key = parseObjectKey(`${storeId}/${uuidv4()}/${uuidv4()}`)
      await backend.put(key, [content('stray')])
      return key
    })
    const hour = { ...AT_ONCE, graceMs: 3_600_000 }
    for (let run = 0; run < 2; run += 1) assert.equal((await collect(directory, hour)).audit?.strays, 1)
    assert.ok((await keysOf(directory)).includes(stray))
    await query(directory, 'update strays set first_seen_at = first_seen_at - 3600000 returning object_key')
    assert.deepEqual((await collect(directory, hour)).audit?.removed, { objects: 1, size: 20_000 })
    assert.ok(!(await keysOf(directory)).includes(stray))
    assert.deepEqual(await query(directory, 'select * from strays'), [])
    await using store = await openStore(directory)
    await store.events.verify()
    for await (const line of store.packages.verify(kept)) assert.equal(line.problem, undefined)
  })

  test('counts dead bytes anew', async (t) => {
    const directory = await emptyStore(t)
    await pushed(directory, { f: content('kept') })
    await collectAll(directory)
    await query(directory, 'update objects set dead_bytes = 1 returning id')
    assert.equal((await collect(directory)).audit?.corrected, 1)
    await assertSound(directory)
  })

  test('is occasional', async (t) => {
    const directory = await emptyStore(t)
    const daily = { ...AT_ONCE, auditEveryMs: 86_400_000 }
    assert.ok((await collect(directory, daily)).audit !== undefined)
    assert.equal((await collect(directory, daily)).audit, undefined)
  })
})

describe('the reaper', () => {
  test('ends open packages that nobody touched for too long, and frees their runs', async (t) => {
    const directory = await emptyStore(t)
    {
      await using store = await openStore(directory)
      const draft = await store.packages.open({ repository: 'a', runId: 'r1' })
      await draft.put('f', content('forgotten'))
    }
    assert.equal((await collect(directory)).reaped.packages, 0)
    await query(directory, 'update drafts set touched_at = touched_at - 8 * 86400000 returning id')
    assert.equal((await collect(directory)).reaped.packages, 1)
    await collectAll(directory)
    assert.deepEqual(await keysOf(directory), [])
    await using store = await openStore(directory)
    assert.equal((await store.packages.open({ repository: 'a', runId: 'r1' })).reusedExisting, false)
  })

  test('removes objects that writers began and never named', async (t) => {
    const directory = await emptyStore(t)
    await using store = await openStore(directory)
    const draft = await store.packages.open({ repository: 'a' })
    const breaking = async function* (): AsyncGenerator<Uint8Array> {
      yield content('never named', 3_000_000)
      throw new Error('the source broke off')
    }
    await assert.rejects(draft.put('large', breaking()))
    await draft.put('large', content('named', 3_000_000))
    await draft.put('twin', content('named', 3_000_000))
    const count = (): Promise<readonly { readonly count: number }[]> => query(directory, 'select count(*) as count from objects where state = 0')
    assert.deepEqual(await collect(directory).then(count), [{ count: 0 }], 'although their writer lives')
    await draft.finalize()
  })

  test('freezes the packs of dead writers, and their unnamed bytes go', async (t) => {
    const directory = await emptyStore(t)
    const context = await openContext(directory)
    const items = [{ source: { kind: 'bytes', bytes: content('unnamed') } }] as const
    await Array.fromAsync(context.dataPlane.ingestMany(items, { resolve: (blobs) => Promise.resolve(blobs.map(() => false)) }))
    await context.registry.write('age', (session) => session.query({ sql: 'update leases set expires_at = 1 returning id', parameters: [] }))
    assert.equal((await collect(directory)).reaped.writers, 1)
    await collectAll(directory)
    assert.deepEqual(await keysOf(directory), [])
    await context.dataPlane.abandon()
    await closeContext(context)
    await assertSound(directory)
  })
})

describe('a blob that was uploaded or asked for', () => {
  async function leased({ registry }: StoreContext, bytes: Buffer): Promise<boolean> {
    return registry.write('lease', async (session) => (await leaseBlob(session, rawSha256(digestOf(bytes)))) !== undefined)
  }

  test('is kept for a day from its last touch, then collected', async (t) => {
    const directory = await emptyStore(t)
    const bytes = content('leased')
    const id = await pushed(directory, { f: bytes })
    await withParts(directory, async (context) => {
      assert.equal(await leased(context, bytes), true)
      assert.equal(await leased(context, bytes), true)
      assert.equal(await leased(context, content('unknown')), false)
    })
    assert.deepEqual(await query(directory, 'select count(*) as count from holders where kind = 1'), [{ count: 1 }])
    const [lease] = await query<{ left: number }>(
      directory,
      `select expires_at - unixepoch('subsec') * 1000 as left from leases where name like 'blobs %'`,
    )
    assert.ok(lease !== undefined && lease.left >= 24 * 3_600_000 && lease.left <= 25 * 3_600_000, String(lease?.left))
    await purge(directory, id)
    await collectAll(directory)
    assert.deepEqual(await query(directory, 'select count(*) as count from chunks where state = 0'), [{ count: 1 }])
    await assertSound(directory)
    await query(directory, `update leases set expires_at = 1 where name like 'blobs %' returning id`)
    await collectAll(directory)
    assert.deepEqual(await keysOf(directory), [])
  })

  test('is not leased where its repository holds it already, unless the grace is shorter than the lease', async (t) => {
    const directory = await emptyStore(t)
    const bytes = content('held')
    await pushed(directory, { f: bytes }, 'a/b')
    const digest = digestOf(bytes)
    const leases = async (repository: string, graceMs: number): Promise<number> => {
      await withParts(directory, ({ registry }) =>
        registry.write('keep', async (session) => {
          const kept = await keepForPush(session, { repository: parseRepositoryName(repository), digest, graceMs })
          assert.equal(kept?.size, bytes.length)
        }),
      )
      const rows = await query<{ count: number }>(directory, 'select count(*) as count from holders where kind = 1')
      return rows[0]?.count ?? 0
    }
    assert.equal(await leases('a/b', 86_400_000), 0)
    assert.equal(await leases('a/b', 3_600_000), 1)
    await query(directory, 'delete from holders where kind = 1 returning target_id')
    assert.equal(await leases('another', 86_400_000), 1)
  })
})
