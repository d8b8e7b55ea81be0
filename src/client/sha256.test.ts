import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { digestOf } from '../core/digest.ts'
import { loadSha256, PlainSha256 } from './sha256.ts'

test('what browsers hash is what Node hashes, however the bytes are cut', async () => {
  const newSha256 = await loadSha256()
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (pieces) => {
      const [plain, own] = [new PlainSha256(), newSha256()]
      for (const piece of pieces) {
        plain.update(piece)
        own.update(piece)
      }
      const expected = digestOf(Buffer.concat(pieces))
      assert.deepEqual([plain.digest(), plain.digest(), own.digest(), own.digest()], [expected, expected, expected, expected])
    }),
  )
})

test('at every length around the end of a block', () => {
  for (let length = 0; length < 200; length++) {
    const plain = new PlainSha256()
    const bytes = new Uint8Array(length).fill(length)
    plain.update(bytes)
    assert.equal(plain.digest(), digestOf(bytes), `${length} bytes`)
  }
})
