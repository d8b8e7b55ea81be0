import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { utf8Length } from './bytes.ts'

test('the length of any text, lone surrogates included, is that of its UTF-8', () => {
  const unit = fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 0xd7ff, max: 0xe000 }), fc.constantFrom(0x7f, 0x80, 0x7ff, 0x800))
  fc.assert(
    fc.property(fc.array(unit), (units) => {
      const text = String.fromCharCode(...units)
      assert.equal(utf8Length(text), Buffer.byteLength(text))
    }),
  )
})
