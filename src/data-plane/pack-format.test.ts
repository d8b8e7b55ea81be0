import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { InputInvalidError, PackCorruptError, StoreError, StoreMismatchError } from '../core/errors.ts'
import { parseObjectKey } from '../ports/backend.ts'
import type { ContentKind } from '../ports/data-plane.ts'
import { ContentsBuilder, decodeContents } from './pack-contents.ts'
import { checkFileHeader, decodeFooter, encodeFileHeader, encodeFooter, EntryCodec, objectIdOf, uuidBytes } from './pack-format.ts'
import type { EntryHeader } from './pack-format.ts'
import { decodePlacement, decodeRecipe, encodePlacement, encodeRecipe } from './pack-records.ts'

interface EntryVector extends Omit<EntryHeader, 'kind' | 'digest'> {
  readonly start: number
  readonly type: number
  readonly digest: string
  readonly bytes: string
}

interface HeaderVectors {
  readonly store: string
  readonly object: string
  readonly fileHeader: string
  readonly entries: readonly EntryVector[]
  readonly footers: readonly { readonly contentsStart: number; readonly entries: number; readonly bytes: string }[]
  readonly refused: readonly { readonly why: string; readonly start: number; readonly bytes: string; readonly code: string }[]
}

interface RecordVector {
  readonly content: ContentKind
  readonly size: number
  readonly segment: number
  readonly segments: number
  readonly bytes: string
}

interface RecordVectors {
  readonly placements: readonly (RecordVector & { readonly key: string; readonly checksums: readonly number[] })[]
  readonly recipes: readonly (RecordVector & { readonly chunks: readonly { readonly size: number; readonly digest: string }[] })[]
  readonly refused: Readonly<Record<'placements' | 'recipes', readonly { readonly why: string; readonly bytes: string }[]>>
}

function vectorsIn(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../docs/format/vectors/pack-v1/${name}.json`, import.meta.url), 'utf8'))
}

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const headers = vectorsIn('headers') as HeaderVectors
const records = vectorsIn('records') as RecordVectors
const identity = { storeId: uuidBytes(headers.store), objectId: uuidBytes(headers.object) }

function codeOf(read: () => unknown): string | undefined {
  try {
    read()
    return undefined
  } catch (error) {
    assert.ok(error instanceof StoreError, String(error))
    return error.code
  }
}

describe('pack headers', () => {
  test('are written as the vectors say', () => {
    assert.equal(Buffer.from(encodeFileHeader(identity)).toString('hex'), headers.fileHeader)
    const codec = new EntryCodec(identity.objectId)
    for (const { start, type, digest, bytes, ...fields } of headers.entries) {
      const target = Buffer.alloc(100, 0xaa)
      codec.encode({ ...fields, kind: type, digest: hex(digest) }, start, target, 30)
      assert.equal(target.toString('hex', 30, 94), bytes)
      assert.ok(target.subarray(0, 30).every((byte) => byte === 0xaa) && target.subarray(94).every((byte) => byte === 0xaa))
    }
    for (const { bytes, ...footer } of headers.footers) assert.equal(Buffer.from(encodeFooter(footer, identity.objectId)).toString('hex'), bytes)
  })

  test('are read as the vectors say', () => {
    checkFileHeader(hex(headers.fileHeader), identity)
    const codec = new EntryCodec(identity.objectId)
    for (const { start, type, digest, bytes, ...fields } of headers.entries) {
      const { digest: found, ...entry } = codec.decode(hex(bytes), start)
      assert.deepEqual(entry, { ...fields, kind: type, offset: start + 64 })
      assert.equal(Buffer.from(found).toString('hex'), digest)
    }
    for (const { bytes, ...footer } of headers.footers) assert.deepEqual(decodeFooter(hex(bytes), identity.objectId), footer)
  })

  test('are refused as the vectors say', () => {
    const codec = new EntryCodec(identity.objectId)
    for (const { why, start, bytes, code } of headers.refused)
      assert.equal(
        codeOf(() => codec.decode(hex(bytes), start)),
        code,
        why,
      )
  })

  test('of another store or object are told apart from damage', () => {
    const other = uuidBytes('00000000-0000-4000-8000-000000000000')
    assert.throws(() => checkFileHeader(hex(headers.fileHeader), { ...identity, storeId: other }), StoreMismatchError)
    assert.throws(() => checkFileHeader(hex(headers.fileHeader), { ...identity, objectId: other }), StoreMismatchError)
    assert.throws(() => checkFileHeader(hex(headers.fileHeader).subarray(1), identity), PackCorruptError)
    assert.equal(decodeFooter(hex(headers.footers[0]?.bytes ?? ''), other), undefined)
  })

  test('no single flipped bit of any header passes', () => {
    const codec = new EntryCodec(identity.objectId)
    const entry = headers.entries[1] ?? assert.fail()
    for (let bit = 0; bit < 512; bit += 1) {
      const flipped = (text: string): Buffer => {
        const bytes = hex(text)
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        return bytes
      }
      assert.throws(() => codec.decode(flipped(entry.bytes), entry.start), PackCorruptError)
      assert.throws(() => checkFileHeader(flipped(headers.fileHeader), identity), PackCorruptError)
      assert.equal(decodeFooter(flipped(headers.footers[0]?.bytes ?? ''), identity.objectId), undefined)
    }
  })

  test('need a key that ends in a UUID', () => {
    assert.equal(Buffer.from(objectIdOf('a/b/0192f0c4-2222-7ccc-9ddd-0123456789cd')).toString('hex'), '0192f0c422227ccc9ddd0123456789cd')
    for (const key of ['a/b/c', 'a/b/0192F0C4-2222-7ccc-9ddd-0123456789cd', '']) assert.throws(() => objectIdOf(key), InputInvalidError)
  })
})

describe('placements and recipes', () => {
  test('are written and read as the vectors say', () => {
    for (const { bytes, key, checksums, ...record } of records.placements) {
      const sums = Buffer.concat(checksums.map((sum) => Buffer.from(Uint32Array.of(sum).buffer)))
      const placement = { ...record, key: parseObjectKey(key), checksums: sums }
      assert.equal(Buffer.from(encodePlacement(placement)).toString('hex'), bytes)
      const read = decodePlacement(hex(bytes))
      assert.deepEqual({ ...read, checksums: Buffer.from(read.checksums) }, placement)
    }
    for (const { bytes, chunks, ...record } of records.recipes) {
      const recipe = { ...record, chunks: chunks.map(({ size, digest }) => ({ size, digest: hex(digest) })) }
      assert.equal(Buffer.from(encodeRecipe(recipe)).toString('hex'), bytes)
      assert.deepEqual(decodeRecipe(hex(bytes)), recipe)
    }
  })

  test('are refused as the vectors say', () => {
    for (const { why, bytes } of records.refused.placements) assert.throws(() => decodePlacement(hex(bytes)), PackCorruptError, why)
    for (const { why, bytes } of records.refused.recipes) assert.throws(() => decodeRecipe(hex(bytes)), PackCorruptError, why)
  })

  test('whatever their bytes are, reading ends in a record or in PackCorruptError', () => {
    const valid = [...records.placements, ...records.recipes].map(({ bytes }) => hex(bytes))
    const mutated = fc.tuple(fc.constantFrom(...valid), fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 4 })).map(([bytes, changes]) => {
      const copy = Buffer.from(bytes)
      for (const [at, byte] of changes) copy[at % copy.length] = byte
      return copy
    })
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })), (bytes) => {
        for (const decode of [decodePlacement, decodeRecipe]) assert.ok([undefined, 'pack_corrupt'].includes(codeOf(() => decode(bytes))))
      }),
      { numRuns: 2000 },
    )
  })
})

describe('tables of contents', () => {
  const entry = { kind: 1, codec: 0, keyId: 0, rawLength: 10, storedLength: 10, payloadCrc: 7, digest: Buffer.alloc(32, 1) }

  test('come back as they were built, across every growth', () => {
    const builder = new ContentsBuilder()
    const entries = Array.from({ length: 1000 }, (_, index) => ({ ...entry, payloadCrc: index, offset: 128 + index * 74 }))
    for (const each of entries) builder.add(each)
    builder.add({ ...entry, offset: 9 })
    builder.truncate(1000)
    assert.deepEqual(
      decodeContents(builder.encode(), 64 + 1000 * 74).map(({ offset, payloadCrc }) => ({ offset, payloadCrc })),
      entries.map(({ offset, payloadCrc }) => ({ offset, payloadCrc })),
    )
  })

  test('that leave gaps, overlap or end elsewhere are refused', () => {
    const of = (...offsets: readonly number[]): Uint8Array => {
      const builder = new ContentsBuilder()
      for (const offset of offsets) builder.add({ ...entry, offset })
      return builder.encode()
    }
    assert.equal(decodeContents(of(128, 202), 212).length, 2)
    for (const [offsets, start] of [
      [[128, 203], 213],
      [[128, 201], 211],
      [[202, 128], 212],
      [[128, 202], 213],
      [[129], 139],
      [[], 65],
    ] as const) {
      assert.throws(() => decodeContents(of(...offsets), start), PackCorruptError)
    }
    assert.throws(() => decodeContents(of(128).subarray(1), 138), PackCorruptError)
    assert.throws(() => decodeContents(Buffer.alloc(64 * 65_537), 138), PackCorruptError)
  })
})
