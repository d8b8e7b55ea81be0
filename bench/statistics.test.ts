import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { pairedRatio, quantile, summarize, summarizeWaits } from './statistics.ts'

describe('statistics', () => {
  test('the median of an even number of values lies between the two in the middle', () => {
    assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5)
  })

  test('the order of the values does not matter and is left alone', () => {
    const values = [9, 1, 5]
    assert.deepEqual(summarize(values), { count: 3, median: 5, min: 1, max: 9 })
    assert.deepEqual(values, [9, 1, 5])
  })

  test('the 99th percentile lies between the last values, not at the largest', () => {
    const values = Array.from({ length: 101 }, (_, index) => index)
    assert.deepEqual(summarizeWaits(values), { count: 101, p50: 50, p99: 99, max: 100 })
  })

  test('there is no median of nothing', () => {
    assert.throws(() => summarize([]), RangeError)
  })

  test('a ratio compares runs that followed each other, so that a slow spell of the machine cancels out', () => {
    // The third pair ran while the machine was ten times slower.
    assert.equal(pairedRatio([10, 12, 100], [20, 24, 200]), 0.5)
  })

  test('a ratio ignores runs that have no partner', () => {
    assert.equal(pairedRatio([1, 2, 3], [2]), 0.5)
  })
})
