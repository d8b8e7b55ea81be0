import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { openMemoryBackend } from '../adapters/backend-memory/backend-memory.ts'
import { sha256 } from '../core/digest.ts'
import { BackendFailedError, LeaseLostError, StorageFullError, StoreReadOnlyError } from '../core/errors.ts'
import type { AppendBackend, Backend, ObjectAppender, ObjectKey } from '../ports/backend.ts'
import { TestHost } from '../testing/data-plane-rig.ts'
import { faultyBackend } from '../testing/faulty-backend.ts'
import type { NewEntry, PackLimit } from './pack-builder.ts'
import { CODEC, ENTRY_KIND, uuidBytes } from './pack-format.ts'
import { PackGatherer } from './pack-gatherer.ts'
import { readPack } from './pack-reader.ts'
import type { PackPart } from './pack-reader.ts'
import { PackWriter } from './pack-writer.ts'
import type { EntryPlace, PackSink } from './pack-writer.ts'
import { WriteGate } from './write-gate.ts'

const LIMIT: PackLimit = { bytes: 64 * 1024 * 1024, entries: 8192 }

function entryOf(bytes: Uint8Array): NewEntry {
  return { kind: ENTRY_KIND.chunk, codec: CODEC.raw, rawLength: bytes.length, digest: sha256(bytes), stored: bytes }
}

function writer(backend: AppendBackend, host: TestHost, limit: PackLimit = LIMIT): PackWriter {
  return new PackWriter({ backend, host, gate: new WriteGate(host), storeId: uuidBytes(host.storeId), limit })
}

function gatherer(backend: Backend, host: TestHost, limit: PackLimit = LIMIT): PackGatherer {
  return new PackGatherer({ backend, host, gate: new WriteGate(host), storeId: uuidBytes(host.storeId), limit })
}

function packsOf(places: readonly EntryPlace[]): ReadonlySet<number> {
  return new Set(places.map(({ objectId }) => objectId))
}

async function partsOf(backend: Backend, host: TestHost, objectId: number): Promise<readonly PackPart[]> {
  const parts: PackPart[] = []
  for await (const part of readPack(backend, host.keyOf(objectId), { storeId: host.storeId, wants: () => true, scan: true })) parts.push(part)
  return parts
}

/** Counts flushes, and lets a test hold them back. */
class CountedFlushes {
  count = 0
  held: Promise<unknown> = Promise.resolve()
  readonly backend: AppendBackend

  constructor(inner: AppendBackend) {
    const counted = (appender: ObjectAppender): ObjectAppender => ({
      key: appender.key,
      get size() {
        return appender.size
      },
      append: (pieces) => appender.append(pieces),
      flush: async () => {
        this.count += 1
        await this.held
        await appender.flush()
      },
      close: () => appender.close(),
    })
    this.backend = {
      capabilities: inner.capabilities,
      put: inner.put.bind(inner),
      get: inner.get.bind(inner),
      head: inner.head.bind(inner),
      delete: inner.delete.bind(inner),
      list: inner.list.bind(inner),
      close: inner.close.bind(inner),
      createAppender: async (key: ObjectKey) => counted(await inner.createAppender(key)),
    }
  }
}

const sinks: Readonly<Record<string, (backend: AppendBackend, host: TestHost, limit?: PackLimit) => PackSink>> = {
  appending: writer,
  gathering: gatherer,
}

for (const [name, open] of Object.entries(sinks)) {
  describe(`packs, ${name}`, () => {
    test('are sealed at their limit of entries and of bytes, and all entries are found in them', async () => {
      for (const limit of [
        { bytes: 1 << 30, entries: 10 },
        { bytes: 2000, entries: 8192 },
      ]) {
        const backend = openMemoryBackend()
        const host = new TestHost()
        const sink = open(backend, host, limit)
        const contents = Array.from({ length: 47 }, (_, index) => randomBytes(index === 20 ? 3000 : 100))
        const places = [...(await sink.append(contents.slice(0, 31).map(entryOf))), ...(await sink.append(contents.slice(31).map(entryOf)))]
        await sink.flush(packsOf(places))
        await sink.close()
        assert.ok(host.sealedPacks.size > 3)
        const found = new Map<string, Buffer>()
        for (const [objectId, facts] of host.sealedPacks) {
          const parts = await partsOf(backend, host, objectId)
          assert.ok(parts.every(({ kind }) => kind === 'entry'))
          assert.equal(parts.length, facts.entries)
          assert.equal((await backend.head(host.keyOf(objectId)))?.size, facts.size)
          assert.ok(facts.entries <= limit.entries && (facts.entries === 1 || facts.size - facts.entries * 64 - 192 <= limit.bytes))
          for (const part of parts)
            if (part.kind === 'entry') found.set(`${String(objectId)} ${String(part.entry.offset)}`, Buffer.from(part.payload ?? []))
        }
        for (const [index, { objectId, offset }] of places.entries())
          assert.ok(found.get(`${String(objectId)} ${String(offset)}`)?.equals(contents[index] ?? Buffer.alloc(0)))
      }
    })

    test('that nothing was appended to do not exist', async () => {
      const host = new TestHost()
      const sink = open(openMemoryBackend(), host)
      await sink.flush(new Set())
      await sink.close()
      assert.equal(host.kinds.size, 0)
    })

    test('do not need the memory of what was appended any more', async () => {
      const backend = openMemoryBackend()
      const host = new TestHost()
      const sink = open(backend, host)
      const memory = Buffer.from('what was appended')
      const places = await sink.append([entryOf(memory)])
      memory.fill(0)
      await sink.flush(packsOf(places))
      await sink.close()
      const [part] = await partsOf(backend, host, 1)
      assert.ok(part?.kind === 'entry' && Buffer.from(part.payload ?? []).toString() === 'what was appended')
    })

    test('that were let go of while somebody waits for them are reported to whoever waits, and to nobody else', async () => {
      const host = new TestHost()
      const sink = open(openMemoryBackend(), host)
      const lost = await sink.append([entryOf(randomBytes(10))])
      await sink.abandon()
      await assert.rejects(sink.flush(packsOf(lost)), LeaseLostError)
      const kept = await sink.append([entryOf(randomBytes(10))])
      await sink.flush(packsOf(kept))
      await sink.close()
    })

    test('a host that cannot give a key fails the append, and the next one works', async () => {
      const host = new TestHost()
      const sink = open(openMemoryBackend(), host)
      const allocate = host.allocate.bind(host)
      host.allocate = () => Promise.reject(new LeaseLostError('gone'))
      sink.prepare()
      await assert.rejects(sink.append([entryOf(randomBytes(10))]), LeaseLostError)
      host.allocate = allocate
      await sink.flush(packsOf(await sink.append([entryOf(randomBytes(10))])))
      await sink.close()
    })
  })
}

describe('group commit', () => {
  test('calls that come while a flush is at work share the next one', async () => {
    const counted = new CountedFlushes(openMemoryBackend())
    const host = new TestHost()
    const sink = writer(counted.backend, host)
    const { promise, resolve: release } = Promise.withResolvers<undefined>()
    counted.held = promise
    const call = async (): Promise<void> => sink.flush(packsOf(await sink.append([entryOf(randomBytes(100))])))
    const first = call()
    while (counted.count === 0) await new Promise((resolve) => setImmediate(resolve))
    const others = Array.from({ length: 50 }, call)
    release(undefined)
    await Promise.all([first, ...others])
    assert.equal(counted.count, 2)
    await sink.flush(new Set([1]))
    assert.equal(counted.count, 2, 'nothing new, nothing to flush')
    await sink.close()
    assert.equal(host.sealedPacks.get(1)?.entries, 51)
  })

  test('a flush never covers what is appended after it has begun', async () => {
    const counted = new CountedFlushes(openMemoryBackend())
    const sink = writer(counted.backend, new TestHost())
    await sink.flush(packsOf(await sink.append([entryOf(randomBytes(1))])))
    const flushing = sink.flush(new Set([1]))
    const places = await sink.append([entryOf(randomBytes(1))])
    await flushing
    const before = counted.count
    await sink.flush(packsOf(places))
    assert.equal(counted.count, before + 1)
    await sink.close()
  })
})

describe('failing backends', () => {
  test('a failed flush ends everything: all who wait are told, nothing is written any more, the pack is not sealed', async () => {
    const backend = faultyBackend(openMemoryBackend())
    const host = new TestHost()
    const sink = writer(backend, host)
    const places = await sink.append([entryOf(randomBytes(10))])
    backend.faults.flushFails = true
    const waiting = [sink.flush(packsOf(places)), sink.flush(packsOf(places)), sink.append([entryOf(randomBytes(10))])]
    for (const outcome of await Promise.allSettled(waiting)) assert.ok(outcome.status === 'rejected' && outcome.reason instanceof StoreReadOnlyError)
    assert.equal(host.failures.length, 1)
    backend.faults.flushFails = false
    await assert.rejects(sink.append([entryOf(randomBytes(10))]), StoreReadOnlyError)
    const size = (await backend.head(host.keyOf(1)))?.size
    await sink.close()
    assert.equal((await backend.head(host.keyOf(1)))?.size, size)
    assert.equal(host.sealedPacks.size, 0)
  })

  test('after an append that found no space the pack goes on, but is never sealed', async () => {
    const backend = faultyBackend(openMemoryBackend())
    const host = new TestHost()
    const sink = writer(backend, host)
    const [before, after] = [randomBytes(50), randomBytes(60)]
    await sink.append([entryOf(before)])
    backend.faults.spaceLeft = 5
    await assert.rejects(sink.append([entryOf(randomBytes(100))]), StorageFullError)
    backend.faults.spaceLeft = Infinity
    await sink.flush(packsOf(await sink.append([entryOf(after)])))
    await sink.close()
    assert.equal(host.sealedPacks.size, 0)
    const payloads = (await partsOf(backend, host, 1)).map((part) => (part.kind === 'entry' ? Buffer.from(part.payload ?? []) : part.kind))
    assert.deepEqual(payloads, [before, after])
  })

  test('a table of contents that finds no space is left out, what was acknowledged is there', async () => {
    const backend = faultyBackend(openMemoryBackend())
    const host = new TestHost()
    const sink = writer(backend, host)
    await sink.flush(packsOf(await sink.append([entryOf(randomBytes(50))])))
    backend.faults.spaceLeft = 20
    await sink.close()
    assert.equal(host.sealedPacks.size, 0)
    assert.ok(host.failures[0] instanceof StorageFullError)
    const [part, ...others] = await partsOf(backend, host, 1)
    assert.ok(part?.kind === 'entry' && others.length === 0)
  })

  test('a gathered pack that cannot be put fails all whose entries were in it, also when another call put it', async () => {
    const inner = openMemoryBackend()
    let broken = true
    const backend: Backend = {
      ...new CountedFlushes(inner).backend,
      put: (...put) => (broken ? Promise.reject(new Error('503')) : inner.put(...put)),
    }
    const host = new TestHost()
    const sink = gatherer(backend, host)
    const mine = await sink.append([entryOf(randomBytes(10))])
    const others = await sink.append([entryOf(randomBytes(10))])
    await assert.rejects(sink.flush(packsOf(others)), BackendFailedError)
    broken = false
    await assert.rejects(sink.flush(packsOf(mine)), BackendFailedError)
    const next = await sink.append([entryOf(randomBytes(10))])
    await sink.flush(packsOf(next))
    assert.notEqual(next[0]?.objectId, mine[0]?.objectId)
    assert.equal(host.sealedPacks.size, 1)
    await sink.close()
  })
})
