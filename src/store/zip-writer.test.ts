import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  findZipDirectory,
  LONGEST_END_BYTES,
  parseZipLocal,
  parseZipRecord,
  zipFlag,
  zipLocalBytes,
  zipMethod,
  zipRecordBytes,
} from './zip-header.ts'
import { zipCentralRecord, zipDescriptor, zipEnd, type ZipEntryFacts, zipLocalHeader } from './zip-writer.ts'

/** Sizes around those that the plain records have room for, and far beyond. */
const size = fc.oneof(fc.nat(), fc.integer({ min: 0xfffffff0, max: 0x10000000f }), fc.integer({ min: 0, max: 2 ** 50 }))
const facts: fc.Arbitrary<ZipEntryFacts> = fc.record({
  name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
  method: fc.constantFrom(zipMethod.stored, zipMethod.deflated),
  mode: fc.constantFrom(0o100644, 0o100755, 0o040755, 0o120777),
  size,
  packedSize: size,
  crc: fc.option(fc.nat(0xffffffff), { nil: undefined }),
})

describe('the records of a zip archive say what is read from them', () => {
  test('in front of the content', () => {
    fc.assert(
      fc.property(facts, (entry) => {
        const header = zipLocalHeader(entry)
        assert.equal(zipLocalBytes(header), header.length)
        const { name, crc, size: said, packedSize, method, flags } = parseZipLocal(header)
        assert.deepEqual([name.toString(), method], [entry.name, entry.method])
        if (entry.crc === undefined) assert.deepEqual([flags & zipFlag.descriptor, crc, said, packedSize], [8, 0, 0, 0])
        else assert.deepEqual([flags & zipFlag.descriptor, crc, said, packedSize], [0, entry.crc, entry.size, entry.packedSize])
        assert.equal(zipDescriptor(entry, 1).length, header.readUInt32LE(22) === 0xffffffff ? 24 : 16)
      }),
    )
  })

  test('in the directory', () => {
    fc.assert(
      fc.property(facts, size, fc.nat(0xffffffff), (entry, start, crc) => {
        const record = zipCentralRecord(entry, crc, start)
        assert.equal(zipRecordBytes(record), record.length)
        const parsed = parseZipRecord(record)
        assert.deepEqual(
          { name: parsed.name.toString(), size: parsed.size, packedSize: parsed.packedSize, start: parsed.start, crc: parsed.crc },
          { name: entry.name, size: entry.size, packedSize: entry.packedSize, start, crc },
        )
        assert.deepEqual([parsed.system, parsed.attributes >>> 16], [3, entry.mode])
      }),
    )
  })

  test('at the end', () => {
    const entries = fc.oneof(fc.nat(100), fc.integer({ min: 0xfff0, max: 0x1000f }), fc.nat(2 ** 31))
    fc.assert(
      fc.property(entries, size, size, (count, start, bytes) => {
        const end = zipEnd({ start, bytes, entries: count })
        assert.ok(end.length < LONGEST_END_BYTES)
        assert.deepEqual(findZipDirectory(end, start + bytes + end.length), { entries: count, start, end: start + bytes })
      }),
    )
  })
})
