/** Connections are cut at random bytes, again and again: everything arrives all the same, once and whole. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { digestOf } from '../core/digest.ts'
import type { PutItem, PutOutcome, Store } from '../store/interface.ts'
import { cutConnections, type CuttingProxy } from '../testing/cutting-proxy.ts'
import { seededRandom } from '../testing/seeded-random.ts'
import { serveNewStore } from '../testing/served-store.ts'
import { connect } from './client.ts'

const { address, store: embedded } = await serveNewStore()
const seed = Number(process.env['ARTIFACT_STORE_SEED'] ?? Date.now() % 1_000_000)
const random = seededRandom(seed)

const proxies: CuttingProxy[] = []
const stores: Store[] = []
after(async () => {
  await Promise.all(stores.map((store) => store.close()))
  await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()))
})

/** A store behind a proxy that cuts each connection after `low` to `high` bytes; the first one after `low`, so that there is a cut. */
async function behindCuts(low: number, high: number): Promise<{ readonly store: Store; readonly proxy: CuttingProxy }> {
  let lifetime = low
  const proxy = await cutConnections(address, () => {
    const now = lifetime
    lifetime = low + Math.floor(random() * (high - low))
    return now
  })
  proxies.push(proxy)
  const store = await connect(proxy.address, { retries: 12 })
  stores.push(store)
  return { store, proxy }
}

const noise = (length: number): Uint8Array =>
  Buffer.from(Uint32Array.from({ length: Math.ceil(length / 4) }, () => random() * 2 ** 32).buffer).subarray(0, length)

async function joined(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(pieces, (piece) => Buffer.from(piece)))
}

let counter = 0
const repository = (): string => `cut/r${(counter += 1)}`

async function sealed(files: ReadonlyMap<string, Uint8Array>): Promise<string> {
  const draft = await embedded.packages.open({ repository: repository() })
  for (const [path, bytes] of files) await draft.put(path, bytes)
  return (await draft.finalize()).id
}

function manyFiles(count: number, bytes: () => number): ReadonlyMap<string, Uint8Array> {
  return new Map(Array.from({ length: count }, (_, index) => [`d${index % 7}/f${index}`, noise(Math.floor(bytes()))]))
}

async function contentOf(id: string): Promise<ReadonlyMap<string, string>> {
  const files = await Array.fromAsync(embedded.files.list(id))
  return new Map(files.flatMap((file) => (file.kind === 'file' ? [[file.path, file.digest]] : [])))
}

const digests = (files: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, string> =>
  new Map([...files].toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([path, bytes]) => [path, digestOf(bytes)]))

describe(`behind connections that are cut (repeat it with ARTIFACT_STORE_SEED=${seed})`, () => {
  test('files are put, one by one and at the same time', async () => {
    const { store, proxy } = await behindCuts(20_000, 500_000)
    const files = manyFiles(60, () => random() * 100_000)
    const draft = await store.packages.open({ repository: repository() })
    await Promise.all([...files].map(([path, bytes]) => draft.put(path, bytes)))
    const { id } = await draft.finalize()
    assert.deepEqual(await contentOf(id), digests(files))
    assert.ok(proxy.cuts >= 1, `${proxy.cuts} cuts`)
  })

  test('many items are put at once, and each has one outcome', async () => {
    const { store, proxy } = await behindCuts(3_000_000, 8_000_000)
    const files = manyFiles(3_000, () => (random() < 0.003 ? 2_500_000 : random() * 5_000))
    const draft = await store.packages.open({ repository: repository() })
    const items: PutItem[] = [...files].map(([path, source]) => ({ kind: 'file', path, source }))
    items.splice(100, 0, { kind: 'symlink', path: 'link', target: 'd0/f0' }, { kind: 'directory', path: 'empty' })
    const outcomes: PutOutcome[] = []
    for await (const batch of draft.putMany(items)) outcomes.push(...batch)
    assert.deepEqual(
      outcomes.map(({ index }) => index).toSorted((left, right) => left - right),
      [...items.keys()],
    )
    assert.ok(outcomes.every((outcome) => !('error' in outcome)))
    const { id, fileCount } = await draft.finalize()
    assert.equal(fileCount, files.size)
    assert.deepEqual(await contentOf(id), digests(files))
    assert.ok(proxy.cuts >= 1, `${proxy.cuts} cuts`)
  })

  test('large files are put, from memory, from a file and from a stream that comes once', async (t) => {
    const { store, proxy } = await behindCuts(5_000_000, 20_000_000)
    const draft = await store.packages.open({ repository: repository() })
    const bytes = noise(40_000_000)
    const file = join(await mkdtemp(join(tmpdir(), 'interruption-')), 'large')
    t.after(() => rm(dirname(file), { recursive: true }))
    await writeFile(file, bytes)
    const fingerprint = await stat(file, { bigint: true })
    const stream = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      for (let start = 0; start < bytes.length; start += 1_000_000) yield bytes.subarray(start, start + 1_000_000)
    }
    await draft.put('memory', bytes)
    await draft.put('file', { file, fingerprint })
    const [outcomes] = await Array.fromAsync(draft.putMany([{ kind: 'file', path: 'stream', source: stream() }]))
    assert.deepEqual(outcomes, [{ index: 0, digest: digestOf(bytes), size: bytes.length, reused: false }])
    const { id } = await draft.finalize()
    assert.deepEqual(new Set((await contentOf(id)).values()), new Set([digestOf(bytes)]))
    assert.ok(proxy.cuts >= 3, `${proxy.cuts} cuts`)
  })

  test('a large file is read to its end, and so is a range', async () => {
    const bytes = noise(12_000_000)
    const id = await sealed(new Map([['large', bytes]]))
    const { store, proxy } = await behindCuts(500_000, 4_000_000)
    assert.ok((await joined(store.files.read(id, 'large'))).equals(bytes))
    const range = await joined(store.files.read(id, 'large', { start: 1_234_567, end: 10_000_000 }))
    assert.ok(range.equals(bytes.subarray(1_234_567, 10_000_001)))
    assert.ok(proxy.cuts >= 5, `${proxy.cuts} cuts`)
  })

  test('many files are read together, each once', async () => {
    const files = manyFiles(200, () => (random() < 0.02 ? 5_000_000 : random() * 50_000))
    const id = await sealed(files)
    const { store, proxy } = await behindCuts(500_000, 6_000_000)
    const found = new Map<string, string>()
    for await (const read of store.files.readMany(id)) {
      assert.ok(!found.has(read.file.path))
      if ('error' in read) throw read.error
      found.set(read.file.path, digestOf('bytes' in read ? read.bytes : await joined(read.stream)))
    }
    assert.deepEqual(new Map([...found].toSorted(([left], [right]) => (left < right ? -1 : 1))), digests(files))
    assert.ok(proxy.cuts >= 1, `${proxy.cuts} cuts`)
  })

  test('an archive and a list go on where they were', async () => {
    const files = manyFiles(1_500, () => random() * 2_000)
    const id = await sealed(files)
    const { store, proxy } = await behindCuts(1_000_000, 20_000_000)
    const whole = await joined(embedded.files.archive(id, { format: 'tar' }))
    assert.ok((await joined(store.files.archive(id, { format: 'tar' }))).equals(whole))
    const listed = await Array.fromAsync(store.files.list(id))
    assert.deepEqual(listed, await Array.fromAsync(embedded.files.list(id)))
    assert.ok(proxy.cuts >= 1, `${proxy.cuts} cuts`)
  })

  test('a follower sees every event once, in order', async () => {
    const after = (await embedded.events.list({ limit: 1_000 })).cursor
    const { store, proxy } = await behindCuts(100_000, 300_000)
    const stop = new AbortController()
    const seen: number[] = []
    const following = (async () => {
      for await (const event of store.events.follow({ after, signal: stop.signal })) {
        seen.push(event.seq)
        if (seen.length === 1_000) stop.abort()
      }
    })()
    for (let index = 0; index < 500; index++) await sealed(new Map())
    await following
    const first = seen[0] ?? 0
    assert.deepEqual(
      seen,
      Array.from({ length: 1_000 }, (_, index) => first + index),
    )
    assert.ok(proxy.cuts >= 3, `${proxy.cuts} cuts`)
  })
})
