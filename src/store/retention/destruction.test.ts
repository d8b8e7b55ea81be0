/** From a retention class of two seconds to the certificate: what is said to be destroyed cannot be found in the backend, what others need stays. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { zstdDecompressSync } from 'node:zlib'
import { MovableClock } from '../../testing/movable-clock.ts'
import { seededRandom } from '../../testing/seeded-random.ts'
import { bytes, collect, readAll, rejectsWith } from '../../testing/store-case.ts'
import type { StoreContext } from '../context.ts'
import { EmbeddedStore } from '../embedded-store.ts'
import { createStore } from '../open.ts'
import { openContext } from '../open-context.ts'
import { storeFiles } from '../store-files.ts'
import { Upkeep } from '../upkeep.ts'

const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])
const atOnce = { graceMs: 0, drainMs: 0, eraseWithinMs: 0, auditEveryMs: 0 }

interface World {
  readonly clock: MovableClock
  readonly objects: string
  /** Does something with the store, as a process of its own: a pack that somebody still appends to is not rewritten. */
  readonly using: <T>(act: (store: EmbeddedStore, context: StoreContext) => Promise<T>) => Promise<T>
}

async function world(t: TestContext): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'destruction-'))
  const directory = join(folder, 'data')
  const clock = new MovableClock(new Date().toISOString())
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const store = await createStore(directory, { clock })
  await store.retention.setClass({ name: 'moment', duration: 'PT2S', disposition: 'automatic' })
  await store.retention.setClass({ name: 'while', duration: 'PT10S', disposition: 'automatic' })
  await store.close()
  return {
    clock,
    objects: storeFiles(directory).objects,
    using: async (act) => {
      const context = await openContext(directory, { clock })
      await using opened = new EmbeddedStore(context)
      return await act(opened, context)
    },
  }
}

async function push(
  store: EmbeddedStore,
  repository: string,
  retentionClass: string,
  files: Readonly<Record<string, Uint8Array>>,
  note = '',
): Promise<string> {
  const draft = await store.packages.open({ repository, retentionClass, metadata: { note } })
  for (const [path, content] of Object.entries(files)) await draft.put(path, content)
  return (await draft.finalize()).id
}

async function upkeep({ using: opened }: World): Promise<void> {
  for (let round = 0; round < 4; round += 1) {
    const report = await opened((_store, context) => new Upkeep(context, atOnce).runOnce())
    assert.deepEqual([report.stopped, report.problems, report.retention.doubt], [undefined, [], undefined])
  }
}

/** All bytes of the backend as they lie there, and whatever in them unpacks. */
function* everything(folder: string): Generator<{ readonly name: string; readonly bytes: Buffer }> {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const name = join(entry.parentPath, entry.name)
    const raw = readFileSync(name)
    yield { name, bytes: raw }
    for (let at = raw.indexOf(ZSTD_MAGIC); at !== -1; at = raw.indexOf(ZSTD_MAGIC, at + 1)) {
      const unpacked = unpack(raw.subarray(at))
      if (unpacked !== undefined) yield { name: `${name} at ${at}`, bytes: unpacked }
    }
  }
}

function unpack(bytes: Buffer): Buffer | undefined {
  try {
    return zstdDecompressSync(bytes)
  } catch {
    return undefined
  }
}

function findAll(objects: string, canaries: readonly string[]): readonly string[] {
  return [...everything(objects)].flatMap(({ name, bytes: found }) =>
    canaries.filter((canary) => found.includes(canary)).map((canary) => `${canary} in ${name}`),
  )
}

const canary = (): string => `canary-${randomBytes(12).toString('hex')}`

test('after the certificate no byte of it is in the backend, and what a retained package shares is', async (t) => {
  const w = await world(t)
  const [small, packed, large, shared] = [canary(), canary(), canary(), canary()]
  const sharedFile = bytes(`${shared} `.repeat(1_000))
  const [going, staying] = await w.using(async (store) => [
    await push(
      store,
      'going',
      'moment',
      {
        [`${small}.txt`]: bytes(small),
        'packed.txt': bytes(`${packed} `.repeat(5_000)),
        'large.bin': Buffer.concat([randomBytes(3 * 1024 * 1024), Buffer.from(large)]),
        'shared.txt': sharedFile,
      },
      small,
    ),
    await push(store, 'staying', 'raw-evidence', { 'shared.txt': sharedFile, 'own.txt': bytes('own') }),
  ])
  assert.ok(going !== undefined && staying !== undefined)
  const found = findAll(w.objects, [small, packed, large, shared])
  for (const text of [small, packed, large, shared])
    assert.ok(
      found.some((line) => line.startsWith(text)),
      'a canary cannot be found at all',
    )
  w.clock.advance(3_000)
  await upkeep(w)
  assert.deepEqual(findAll(w.objects, [small, packed, large]), [])
  assert.ok(findAll(w.objects, [shared]).length > 0)
  await w.using(async (store) => {
    assert.equal(await readAll(store.files.read(staying, 'shared.txt')), sharedFile.toString())
    for (const { problem } of await collect(store.packages.verify('all'))) assert.equal(problem, undefined)
    await rejectsWith('purged', readAll(store.files.read(going, 'packed.txt')))

    const [certificate] = await store.retention.certificates(going)
    assert.equal(certificate?.state, 'certified')
    const [header, ...digests] = (await readAll(store.retention.certificateDocument(certificate.deletionId)))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.deepEqual([header?.['packageId'], header?.['authority'], header?.['digests']], [going, 'automatic', digests.length])
    assert.deepEqual(
      (header?.['events'] as readonly { readonly type: string }[] | undefined)?.map(({ type }) => type),
      ['package.deleted', 'package.purging', 'package.purged'],
    )
    // Manifest, document and three files are gone; the shared one is not.
    assert.equal(digests.filter(({ state }) => state === 'destroyed').length, 5)
    assert.equal(digests.filter(({ state }) => state === 'still referenced').length, 1)
    for (const line of digests) if (line['state'] === 'destroyed') assert.match(String(line['destroyedAt']), /^\d{4}-/)

    const again = await push(store, 'going', 'moment', { [`${small}.txt`]: bytes(small) })
    assert.equal(await readAll(store.files.read(again, `${small}.txt`)), small)
  })
})

test('bytes of a package are there for another of another class, and go with the last of them', async (t) => {
  const w = await world(t)
  const text = canary()
  const { one, two } = await w.using(async (store) => ({
    one: await push(store, 'one', 'moment', { a: bytes(text) }),
    two: await push(store, 'two', 'while', { a: bytes(text) }),
  }))
  w.clock.advance(3_000)
  await upkeep(w)
  await w.using(async (store) => {
    assert.equal((await store.retention.show(one)).stage, 'purged')
    assert.equal(await readAll(store.files.read(two, 'a')), text)
  })
  w.clock.advance(10_000)
  await upkeep(w)
  assert.equal(await w.using(async (store) => (await store.retention.certificates(two))[0]?.state), 'certified')
  assert.deepEqual(findAll(w.objects, [text]), [])
})

test('a file set goes with its bytes, the rest of the package stays', async (t) => {
  const w = await world(t)
  const [raw, summary] = [canary(), canary()]
  const id = await w.using(async (store) => {
    const draft = await store.packages.open({
      repository: 'demo',
      retentionClass: 'raw-evidence',
      fileSets: [{ name: 'raw', match: ['raw/**'], class: 'moment' }],
    })
    await draft.put('raw/a', bytes(raw))
    await draft.put('summary', bytes(summary))
    return (await draft.finalize()).id
  })
  w.clock.advance(3_000)
  await upkeep(w)
  assert.deepEqual(findAll(w.objects, [raw]), [])
  await w.using(async (store) => {
    assert.equal((await store.retention.certificates(id))[0]?.state, 'certified')
    assert.equal(await readAll(store.files.read(id, 'summary')), summary)
    for (const { problem } of await collect(store.packages.verify(id))) assert.equal(problem, undefined)
    const again = await store.packages.open({
      repository: 'demo',
      retentionClass: 'raw-evidence',
      fileSets: [{ name: 'raw', match: ['raw/**'], class: 'raw-evidence' }],
    })
    await again.put('raw/a', bytes(raw))
    await again.put('summary', bytes(summary))
    assert.equal((await again.finalize()).id, id)
  })
  // What was stored again is held again.
  await upkeep(w)
  await w.using(async (store) => {
    assert.equal(await readAll(store.files.read(id, 'raw/a')), raw)
    for (const { problem } of await collect(store.packages.verify(id))) assert.equal(problem, undefined)
  })
})

test('a push that races the destruction of the same content is kept, wherever the race is', async (t) => {
  const w = await world(t)
  const text = canary()
  const random = seededRandom(7)
  let last = ''
  for (let round = 0; round < 12; round += 1) {
    // What is there of it is deleted and let go of, while another process stores it again.
    const ids = await w.using(async (store) => [await push(store, 'racing', 'moment', { a: bytes(text), [String(round)]: bytes(String(round)) })])
    w.clock.advance(3_000)
    const [, kept] = await Promise.all([
      w.using((_store, context) => new Upkeep(context, atOnce).runOnce()),
      w.using(async (store) => {
        await sleep(random() * 40)
        return push(store, 'racing', 'raw-evidence', { a: bytes(text), [String(round)]: bytes(String(round)) })
      }),
    ])
    last = kept
    await w.using(async (store) => {
      assert.equal(await readAll(store.files.read(kept, 'a')), text, `round ${round}`)
      assert.equal((await store.retention.show(kept)).stage, 'retained')
      // A push that came too late got an id of its own; the other is a tombstone.
      if (ids[0] !== kept) assert.equal((await store.packages.get(ids[0] ?? '')).status, 'purged')
    })
  }
  await upkeep(w)
  await w.using(async (store) => {
    assert.equal(await readAll(store.files.read(last, 'a')), text)
    for (const { problem } of await collect(store.packages.verify('all'))) assert.equal(problem, undefined)
  })
})
