import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { drawChart } from './chart.ts'
import type { Growth, RowResult } from './results.ts'

const bar: RowResult = {
  row: 'tree push',
  operation: 'push',
  about: '',
  contender: 'a < b',
  flushes: false,
  files: 1,
  bytes: 1,
  runs: [{ milliseconds: 10 }, { milliseconds: 30 }],
}
const growth: Growth = {
  row: 'packages fill',
  contender: 'ours',
  figure: 'time',
  points: [10, 100, 1000].map((size) => ({ size, label: `${size} packages`, value: size * 2 })),
  exponent: 1,
  lastStep: 1,
}

describe('chart', () => {
  test('a bar names its contender, marks it when it does not flush, and tells the median', () => {
    const chart = drawChart([bar], [])
    assert.match(chart, />a &lt; b \*</)
    assert.match(chart, />20\.0 ms</)
  })

  test('rows that differ in size only are a line, not bars', () => {
    const sized = { ...bar, row: 'packages 10 fill', growth: { series: 'packages', size: 10, label: '10 packages' } }
    const chart = drawChart([bar, sized], [growth])
    assert.doesNotMatch(chart, /packages 10 fill/)
    const [, places = ''] = /<polyline points="([^"]+)"/.exec(chart) ?? []
    const [first = [], second = [], third = []] = places.split(' ').map((place) => place.split(',').map(Number))
    const slope = (from: readonly number[], to: readonly number[]): number => ((to[1] ?? 0) - (from[1] ?? 0)) / ((to[0] ?? 0) - (from[0] ?? 0))
    assert.ok(slope(first, second) < 0)
    assert.ok(Math.abs(slope(first, second) - slope(second, third)) < 0.01)
  })

  test('growth of memory is in the table only', () => {
    assert.doesNotMatch(drawChart([bar], [{ ...growth, figure: 'peak memory' }]), /polyline/)
  })
})
