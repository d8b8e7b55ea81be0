import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bar } from './bar.ts'

test('a bar is filled by its share, and never beyond its ends', () => {
  assert.deepEqual(
    [-1, 0, 0.5, 1, 7].map((share) => bar(share, 4)),
    ['[....]', '[....]', '[##..]', '[####]', '[####]'],
  )
})
