import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { openMemoryBackend } from '../adapters/backend-memory/backend-memory.ts'
import { sha256 } from '../core/digest.ts'
import { BackendFailedError, DamagedError } from '../core/errors.ts'
import { parseObjectKey } from '../ports/backend.ts'
import type { Backend } from '../ports/backend.ts'
import type { ChunkLocation } from '../ports/data-plane.ts'
import { TestHost } from '../testing/data-plane-rig.ts'
import { readChunks, verifyChunks } from './batch-reader.ts'
import { CODEC, ENTRY_KIND, uuidBytes } from './pack-format.ts'
import { PackWriter } from './pack-writer.ts'
import { BlockChecksums } from './whole-object.ts'
import { WriteGate } from './write-gate.ts'

interface Packed {
  readonly backend: Backend
  readonly chunks: readonly ChunkLocation[]
}

/** A pack of these bytes, each under the digest given or its own. */
async function packed(contents: readonly Uint8Array[], digests: readonly Uint8Array[] = contents.map(sha256)): Promise<Packed> {
  const backend = openMemoryBackend()
  const host = new TestHost()
  const writer = new PackWriter({
    backend,
    host,
    gate: new WriteGate(host),
    storeId: uuidBytes(host.storeId),
    limit: { bytes: 1 << 30, entries: 8192 },
  })
  const entries = contents.map((stored, index) => ({
    kind: ENTRY_KIND.chunk,
    codec: CODEC.raw,
    rawLength: stored.length,
    digest: digests[index] ?? assert.fail(),
    stored,
  }))
  const places = await writer.append(entries)
  await writer.close()
  const chunks = entries.map(({ digest, rawLength: size }, index): ChunkLocation => {
    const { objectId, offset } = places[index] ?? assert.fail()
    return { digest, size, storedLength: size, key: host.keyOf(objectId), kind: 'pack', codec: 'raw', offset }
  })
  return { backend, chunks }
}

async function problemsOf(backend: Backend, chunks: readonly ChunkLocation[]): Promise<readonly number[]> {
  const problems: number[] = []
  for await (const { index, problem } of verifyChunks(backend, chunks, undefined)) if (problem instanceof DamagedError) problems.push(index)
  return problems
}

describe('verify', () => {
  test('frees what it has read, be it many chunks, one, one in several pieces or a whole object', async () => {
    const { backend, chunks } = await packed([randomBytes(1000), randomBytes(2000), randomBytes(1_800_000)])
    const large = randomBytes(3_000_000)
    const key = parseObjectKey('store/writer/01940000-0000-7000-8000-000000000000')
    await backend.put(key, [large])
    const sums = new BlockChecksums()
    sums.update(large)
    const checksums = sums.finish()
    const whole: ChunkLocation = {
      digest: sha256(large),
      size: large.length,
      storedLength: large.length,
      key,
      kind: 'whole',
      codec: 'raw',
      offset: 0,
      checksums: () => Promise.resolve(checksums),
    }
    const pieces: Uint8Array[] = []
    const watched: Backend = {
      ...backend,
      head: backend.head.bind(backend),
      capabilities: backend.capabilities,
      async *get(...range) {
        for await (const piece of backend.get(...range)) {
          pieces.push(piece)
          yield piece
        }
      },
    }
    for (const together of [[...chunks, whole], chunks.slice(0, 1)])
      for await (const { problem } of verifyChunks(watched, together, undefined)) assert.equal(problem, undefined)
    assert.deepEqual(
      pieces.map(({ length }) => length),
      Array.from({ length: 7 }, () => 0),
    )
  })

  test('finds bytes whose checksums are right and whose digest is not', async () => {
    const contents = [randomBytes(100), randomBytes(100), randomBytes(100)]
    const digests = contents.map((bytes, index) => sha256(index === 1 ? randomBytes(3) : bytes))
    const { backend, chunks } = await packed(contents, digests)
    assert.deepEqual(await problemsOf(backend, chunks), [1])

    const bytes = randomBytes(3_000_000)
    const checksums = new BlockChecksums()
    checksums.update(bytes)
    const sums = checksums.finish()
    const key = new TestHost()
    const { key: whole } = await key.allocate('whole')
    await backend.put(whole, [bytes])
    const location = {
      size: bytes.length,
      storedLength: bytes.length,
      key: whole,
      kind: 'whole',
      codec: 'raw',
      offset: 0,
      checksums: async () => sums,
    } as const
    assert.deepEqual(await problemsOf(backend, [{ ...location, digest: sha256(bytes) }]), [])
    assert.deepEqual(await problemsOf(backend, [{ ...location, digest: sha256(randomBytes(9)) }]), [0])
  })

  test('finds a flipped bit in any byte of the header of an entry, and in none of its neighbours', async () => {
    const { backend, chunks } = await packed([randomBytes(50), randomBytes(60), randomBytes(70)])
    const memory = openMemoryBackend()
    const { key, offset } = chunks[1] ?? assert.fail()
    const pieces: Uint8Array[] = []
    for await (const piece of backend.get(key)) pieces.push(piece)
    for (let at = offset - 64; at < offset; at += 1) {
      const bytes = Buffer.concat(pieces)
      bytes[at] = (bytes[at] ?? 0) ^ 4
      await memory.delete(key)
      await memory.put(key, [bytes])
      assert.deepEqual(await problemsOf(memory, chunks), [1], `byte ${String(at - offset)}`)
    }
  })
})

describe('reading many', () => {
  test('neighbours are read together, and not what lies far apart', async () => {
    const { backend, chunks } = await packed(Array.from({ length: 400 }, () => randomBytes(10_000)))
    let calls = 0
    let bytes = 0
    const counting: Backend = {
      ...backend,
      capabilities: backend.capabilities,
      async *get(...range) {
        calls += 1
        for await (const piece of backend.get(...range)) {
          bytes += piece.length
          yield piece
        }
      },
    }
    for await (const read of readChunks(counting, chunks.toReversed(), undefined)) assert.ok('bytes' in read)
    assert.ok(calls <= 5 && bytes < 4_100_000, `${String(calls)} calls, ${String(bytes)} bytes`)
    calls = 0
    bytes = 0
    const few = [chunks[0], chunks[200], chunks[399]].flatMap((chunk) => chunk ?? [])
    for await (const read of readChunks(counting, few, undefined)) assert.ok('bytes' in read)
    assert.equal(calls, 3)
    assert.equal(bytes, 30_000)
  })

  test('a part of the disk that cannot be read fails only what lies there', async () => {
    const { backend, chunks } = await packed(Array.from({ length: 30 }, () => randomBytes(1000)))
    const bad = chunks[17] ?? assert.fail()
    const broken: Backend = {
      ...backend,
      capabilities: backend.capabilities,
      async *get(key, range) {
        const { start, end = Infinity } = range ?? { start: 0 }
        if (start < bad.offset + bad.storedLength && end > bad.offset) throw new BackendFailedError('EIO')
        yield* backend.get(key, range)
      },
    }
    const failed: number[] = []
    for await (const read of readChunks(broken, chunks, undefined)) if ('error' in read) failed.push(read.index)
    assert.deepEqual(failed, [17])
  })
})
