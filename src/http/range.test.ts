import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseRange } from './range.ts'

test('the three forms of a range', () => {
  assert.deepEqual(parseRange('bytes=2-4', 10), { start: 2, end: 4 })
  assert.deepEqual(parseRange('bytes=7-', 10), { start: 7, end: 9 })
  assert.deepEqual(parseRange('bytes=-3', 10), { start: 7, end: 9 })
  assert.deepEqual(parseRange('bytes=-30', 10), { start: 0, end: 9 })
  assert.deepEqual(parseRange('Bytes=8-100', 10), { start: 8, end: 9 })
})

test('what begins behind the end cannot be satisfied', () => {
  for (const header of ['bytes=10-', 'bytes=10-11', 'bytes=-0']) assert.equal(parseRange(header, 10), 'unsatisfiable', header)
  for (const header of ['bytes=0-', 'bytes=0-0', 'bytes=-1']) assert.equal(parseRange(header, 0), 'unsatisfiable', header)
})

test('what is malformed, in other units, or several ranges, is ignored', () => {
  for (const header of [
    undefined,
    '',
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=4-2',
    'bytes=a-b',
    'items=0-1',
    'bytes=0-1,3-4',
    'bytes=0x1-2',
    'bytes=1.5-2',
  ]) {
    assert.equal(parseRange(header, 10), undefined, String(header))
  }
})

test('whatever is asked, what is sent lies in the file', () => {
  fc.assert(
    fc.property(
      fc.nat(50),
      fc.oneof(
        fc.string(),
        fc.tuple(fc.option(fc.nat(99)), fc.option(fc.nat(99))).map(([a, b]) => `bytes=${a ?? ''}-${b ?? ''}`),
      ),
      (size, header) => {
        const range = parseRange(header, size)
        if (range === undefined || range === 'unsatisfiable') return
        assert.ok(range.start >= 0 && range.start <= range.end && range.end < size, JSON.stringify({ size, header, range }))
      },
    ),
  )
})
