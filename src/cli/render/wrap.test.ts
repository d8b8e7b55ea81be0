import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { wrap } from './wrap.ts'

test('a text is broken at spaces, and a word that is too long stays whole', () => {
  assert.deepEqual(wrap('one two three', 7), ['one two', 'three'])
  assert.deepEqual(wrap('a much-too-long-word b', 5), ['a', 'much-too-long-word', 'b'])
  assert.deepEqual(wrap('', 5), [''])
})

test('no line is longer than asked for unless it is one word, and no word is lost', () => {
  const words = fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { maxLength: 30 })
  fc.assert(
    fc.property(words, fc.integer({ min: 1, max: 30 }), (given, width) => {
      const lines = wrap(given.join(' '), width)
      assert.ok(lines.every((line) => line.length <= width || !line.includes(' ')))
      assert.equal(lines.join(' '), given.join(' '))
    }),
  )
})
