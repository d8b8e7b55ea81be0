import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { formatDuration, formatTime } from './time.ts'

describe('times for people', () => {
  test('a time is shown in the zone of the reader', () => {
    const local = new Date(2026, 10, 24, 9, 5, 7)
    assert.equal(formatTime(local.toISOString()), '2026-11-24 09:05:07')
  })
  test('what is no time is shown as it came', () => {
    assert.equal(formatTime('yesterday'), 'yesterday')
  })
  test('durations grow coarser as they grow longer', () => {
    assert.equal(formatDuration(7.6), '8 s')
    assert.equal(formatDuration(125), '2 min 05 s')
    assert.equal(formatDuration(3725), '1 h 02 min')
    assert.equal(formatDuration(-1), '0 s')
  })
})
