import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { growthsOf, judgeGrowths } from './growth-rows.ts'
import type { RowResult } from './results.ts'
import type { Operation } from './scenario.ts'

function row(operation: Operation, size: number, milliseconds: number): RowResult {
  const growth = { series: 'packages', size, label: String(size) }
  const facts = { about: '', contender: 'ours', flushes: true, files: 0, bytes: 0 }
  return { row: `packages ${size} ${operation}`, operation, growth, ...facts, runs: [{ milliseconds, peakBytes: 1_000 }] }
}

function verdicts(operation: Operation, valueOf: (size: number) => number): readonly boolean[] {
  return judgeGrowths(growthsOf([1_000, 10_000, 100_000].map((size) => row(operation, size, valueOf(size))))).map(({ met }) => met)
}

describe('growth of rows', () => {
  test('an operation on everything may grow with n log n, and no faster', () => {
    assert.deepEqual(
      verdicts('fill', (size) => size * Math.log(size) * 0.99),
      [true],
    )
    assert.deepEqual(
      verdicts('fill', (size) => size ** 1.2),
      [false],
    )
  })

  test('a single step may cost what a tree costs, and no more', () => {
    assert.deepEqual(
      verdicts('lookup', (size) => Math.log(size) ** 0.9),
      [true],
    )
    assert.deepEqual(
      verdicts('lookup', (size) => size ** 0.2),
      [false],
    )
  })

  test('operations are fitted apart from one another, time and memory, too', () => {
    const rows = [row('fill', 10, 1), row('page', 10, 5), row('fill', 100, 10), row('page', 100, 5)]
    assert.deepEqual(
      growthsOf(rows).map(({ row: name, figure, exponent }) => [name, figure, Math.round(exponent * 100) / 100]),
      [
        ['packages fill', 'time', 1],
        ['packages fill', 'peak memory', 0],
        ['packages page', 'time', 0],
        ['packages page', 'peak memory', 0],
      ],
    )
  })

  test('one size, and rows that are not about growth, have none', () => {
    const { growth: _, ...plain } = row('push', 1, 1)
    assert.deepEqual(growthsOf([row('fill', 10, 1), plain, plain]), [])
  })
})
