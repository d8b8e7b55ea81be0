import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { formatBytes, formatCount, plural } from './bytes.ts'

describe('sizes for people', () => {
  test('small sizes are exact', () => {
    assert.equal(formatBytes(0), '0 B')
    assert.equal(formatBytes(999), '999 B')
  })
  test('one decimal up to ten, none above', () => {
    assert.equal(formatBytes(1000), '1.0 KiB')
    assert.equal(formatBytes(1536), '1.5 KiB')
    assert.equal(formatBytes(10 * 1024), '10 KiB')
    assert.equal(formatBytes(12.4 * 1024 * 1024), '12 MiB')
    assert.equal(formatBytes(1024 ** 3), '1.0 GiB')
  })
  test('every size fits ten columns', () => {
    fc.assert(fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), (bytes) => formatBytes(bytes).length <= 10))
  })
  test('counts are grouped and nouns agree', () => {
    assert.equal(formatCount(1234567), '1 234 567')
    assert.equal(formatCount(999), '999')
    assert.equal(plural(1, 'file'), '1 file')
    assert.equal(plural(1000, 'file'), '1 000 files')
  })
})
