import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { openMemoryBackend } from '../adapters/backend-memory/backend-memory.ts'
import { ObjectMissingError, StoreError } from '../core/errors.ts'
import { parseObjectKey } from '../ports/backend.ts'
import type { Backend } from '../ports/backend.ts'
import { CODEC, encodeFileHeader, encodeFooter, ENTRY_MAGIC, EntryCodec, objectIdOf, uuidBytes } from './pack-format.ts'
import { readPack } from './pack-reader.ts'
import type { PackPart } from './pack-reader.ts'
import { mutationRuns } from '../testing/mutation-runs.ts'

interface PackVectors {
  readonly store: string
  readonly key: string
  readonly packs: readonly { readonly name: string; readonly bytes: string; readonly parts?: readonly unknown[]; readonly error?: string }[]
}

const text = readFileSync(new URL('../../docs/format/vectors/pack-v1/packs.json', import.meta.url), 'utf8')
const vectors = JSON.parse(text) as PackVectors
const key = parseObjectKey(vectors.key)

/** How many mutations are tried; the nightly run asks for more. */
const MUTATIONS = mutationRuns(2_000)

async function holding(bytes: Uint8Array): Promise<Backend> {
  const backend = openMemoryBackend()
  await backend.put(key, [bytes])
  return backend
}

/** The same objects, in tiny pieces: every boundary falls everywhere. */
function inPieces(backend: Backend, length: number): Backend {
  return {
    capabilities: backend.capabilities,
    put: backend.put.bind(backend),
    head: backend.head.bind(backend),
    delete: backend.delete.bind(backend),
    list: backend.list.bind(backend),
    close: backend.close.bind(backend),
    async *get(...range) {
      for await (const piece of backend.get(...range)) {
        for (let offset = 0; offset < piece.length; offset += length) yield piece.subarray(offset, offset + length)
      }
    },
  }
}

interface Reading {
  readonly payloads?: boolean
  readonly scan?: boolean
}

async function partsOf(backend: Backend, { payloads = true, scan = false }: Reading = {}): Promise<readonly PackPart[]> {
  const parts: PackPart[] = []
  for await (const part of readPack(backend, key, { storeId: vectors.store, wants: () => payloads, scan })) parts.push(part)
  return parts
}

/** A part as the vectors write it. */
function written(part: PackPart): unknown {
  if (part.kind !== 'entry') return { kind: part.kind, start: part.start, end: part.end }
  const { kind: type, codec, digest, offset, rawLength, storedLength } = part.entry
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
  return { kind: 'entry', type, offset, digest: hex(digest), codec, rawLength, storedLength, payload: hex(part.payload ?? assert.fail()) }
}

const vector = (name: string): Buffer => Buffer.from(vectors.packs.find((each) => each.name === name)?.bytes ?? assert.fail(name), 'hex')

describe('reading packs', () => {
  for (const { name, bytes, parts, error } of vectors.packs) {
    test(`vector: ${name}`, async () => {
      for (const length of [1, 63, 1 << 20]) {
        for (const scan of [false, true]) {
          const backend = inPieces(await holding(Buffer.from(bytes, 'hex')), length)
          if (error === undefined) assert.deepEqual((await partsOf(backend, { scan })).map(written), parts)
          else await assert.rejects(partsOf(backend, { scan }), { code: error })
        }
      }
    })
  }

  test('a pack that is not there is missing', async () => {
    await assert.rejects(partsOf(openMemoryBackend()), ObjectMissingError)
  })

  test('a table of contents spares reading the payloads', async () => {
    const backend = await holding(vector('sealed'))
    let bytes = 0
    const counting: Backend = {
      ...inPieces(backend, 1 << 20),
      async *get(...range) {
        for await (const piece of backend.get(...range)) {
          bytes += piece.length
          yield piece
        }
      },
    }
    const parts = await partsOf(counting, { payloads: false })
    assert.equal(parts.length, 6)
    assert.equal(bytes, 64 + 64 + 64 + 6 * 64)
  })

  test('an entry whose header and table of contents differ is damaged, whichever field it is', async () => {
    const sealed = vector('sealed')
    const parts = await partsOf(await holding(sealed))
    const compressed = parts.findIndex((part) => part.kind === 'entry' && part.entry.codec === CODEC.zstd)
    const { entry } = parts.flatMap((part) => (part.kind === 'entry' ? part : []))[compressed] ?? assert.fail()
    const lengths = [{ rawLength: entry.rawLength + 1 }, { storedLength: entry.storedLength - 1 }]
    for (const other of [{ kind: 77 }, { codec: 2 }, { keyId: 1 }, ...lengths, { payloadCrc: 0 }, { digest: Buffer.alloc(32) }]) {
      new EntryCodec(objectIdOf(key)).encode({ ...entry, ...other }, entry.offset - 64, sealed, entry.offset - 64)
      const part = (await partsOf(await holding(sealed)))[compressed]
      assert.deepEqual(part?.kind === 'damage' && part.entry, entry, JSON.stringify(other))
    }
  })

  test('a scan finds damage that nobody asked for', async () => {
    const sealed = vector('sealed')
    const [first] = await partsOf(await holding(sealed))
    assert.ok(first?.kind === 'entry')
    sealed[first.entry.offset] = (sealed[first.entry.offset] ?? 0) ^ 1
    const backend = await holding(sealed)
    assert.equal(
      (await partsOf(backend, { payloads: false })).every(({ kind }) => kind === 'entry'),
      true,
    )
    const [damage] = await partsOf(backend, { payloads: false, scan: true })
    assert.ok(damage?.kind === 'damage')
    assert.deepEqual(damage.entry, first.entry)
  })

  test('whatever happens to the bytes, reading ends, names ranges in order, and yields only entries that were written', async () => {
    const originals = ['sealed', 'open', 'an unknown kind, sealed', 'a pack stored as a file, its header damaged'].map((name) => vector(name))
    // A mutation may heal the damaged header, and then yields the entry that was written there.
    const healed = vector('a pack stored as a file, its header damaged')
    ENTRY_MAGIC.copy(healed, 64)
    const known = new Set<string>()
    for (const bytes of [...originals, healed])
      for (const part of await partsOf(await holding(bytes))) if (part.kind === 'entry') known.add(JSON.stringify(written(part)))
    const change = fc.oneof(
      fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat(7) }),
      fc.record({ kind: fc.constant('zero' as const), at: fc.nat(), length: fc.nat(300) }),
      fc.record({ kind: fc.constant('fill' as const), at: fc.nat(), bytes: fc.uint8Array({ minLength: 1, maxLength: 80 }) }),
      fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
      fc.record({ kind: fc.constant('move' as const), at: fc.nat(), to: fc.nat(), length: fc.nat(400) }),
      fc.record({ kind: fc.constant('append' as const), bytes: fc.uint8Array({ maxLength: 200 }) }),
      fc.record({ kind: fc.constant('remove' as const), at: fc.nat(), length: fc.nat(200) }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...originals),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (original, changes, scan) => {
          let bytes = Buffer.from(original)
          for (const each of changes) {
            const at = 'at' in each ? each.at % (bytes.length + 1) : bytes.length
            if (each.kind === 'flip' && at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << each.bit)
            else if (each.kind === 'zero') bytes.fill(0, at, Math.min(at + each.length, bytes.length))
            else if (each.kind === 'fill') bytes.set(each.bytes.subarray(0, bytes.length - at), at)
            else if (each.kind === 'cut') bytes = bytes.subarray(0, at)
            else if (each.kind === 'move') bytes.copyWithin(each.to % (bytes.length + 1), at, at + each.length)
            else if (each.kind === 'append') bytes = Buffer.concat([bytes, each.bytes])
            else if (each.kind === 'remove') bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + each.length)])
          }
          try {
            let position = 0
            for (const part of await partsOf(await holding(bytes), { scan })) {
              const start = part.kind === 'entry' ? part.entry.offset - 64 : part.start
              const end = part.kind === 'entry' ? part.entry.offset + part.entry.storedLength : part.end
              assert.ok(start >= position && end >= start && end <= bytes.length)
              position = end
              if (part.kind === 'entry') assert.ok(known.has(JSON.stringify(written(part))))
            }
          } catch (error) {
            assert.ok(error instanceof StoreError && ['store_mismatch', 'version_unsupported'].includes(error.code), String(error))
          }
        },
      ),
      { numRuns: MUTATIONS },
    )
  })

  test('headers, tables and footers that are intact but lie end in parts or in a refusal, with bounded memory', async () => {
    const objectId = objectIdOf(key)
    const length = fc.oneof(fc.nat(200), fc.constantFrom(0, 8 * 1024 * 1024, 0xffffffff), fc.nat(0xffffffff))
    const entry = fc.record({
      kind: fc.nat(7),
      codec: fc.nat(2),
      keyId: fc.constantFrom(0, 0, 0, 1),
      rawLength: fc.oneof(length, fc.constant(2 ** 52)),
      storedLength: length,
      payload: fc.uint8Array({ maxLength: 200 }),
      honest: fc.boolean(),
    })
    const footer = fc.record({ contentsStart: fc.oneof(fc.nat(3000), fc.constant(2 ** 52)), entries: fc.nat(0xffffffff) })
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 6 }), fc.option(footer), fc.boolean(), async (entries, ending, scan) => {
        const codec = new EntryCodec(objectId)
        const pieces = [Buffer.from(encodeFileHeader({ storeId: uuidBytes(vectors.store), objectId }))]
        let position = 64
        let last = position
        for (const { payload, honest, ...fields } of entries) {
          const lengths = honest ? { rawLength: payload.length, storedLength: payload.length } : fields
          const header = Buffer.alloc(64)
          codec.encode({ ...fields, ...lengths, digest: hash('sha256', payload, 'buffer'), payloadCrc: crc32(payload) }, position, header, 0)
          pieces.push(header, Buffer.from(payload))
          last = position
          position += 64 + payload.length
        }
        if (ending !== null) pieces.push(Buffer.from(encodeFooter({ ...ending, contentsStart: scan ? last : ending.contentsStart }, objectId)))
        try {
          for (const part of await partsOf(await holding(Buffer.concat(pieces)), { scan }))
            assert.ok(part.kind !== 'entry' || part.payload !== undefined)
        } catch (error) {
          assert.ok(error instanceof StoreError && error.code === 'version_unsupported', String(error))
        }
      }),
      { numRuns: MUTATIONS },
    )
  })
})
