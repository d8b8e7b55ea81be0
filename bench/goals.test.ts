import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { judge } from './goals.ts'
import type { RowResult } from './results.ts'

function result(row: string, contender: string, milliseconds: readonly number[], peakBytes?: number): RowResult {
  const runs = milliseconds.map((each) => ({ milliseconds: each, ...(peakBytes !== undefined && { peakBytes }) }))
  return { row, operation: 'push', about: '', contender, flushes: true, files: 1, bytes: 1, runs }
}

describe('goals', () => {
  test('a time is held against the contender it is to be compared with, run by run', () => {
    const rows = [result('tree push', 'ours (library)', [150, 300]), result('tree push', 'floor', [100, 200])]
    const [verdict] = judge(rows)
    assert.deepEqual([verdict?.value, verdict?.met], [1.5, true])
    const [slower] = judge([result('tree push', 'ours (library)', [151, 302]), result('tree push', 'floor', [100, 200])])
    assert.equal(slower?.met, false)
  })

  test('how many times as fast something is must reach its limit', () => {
    const copy = result('small push', 'flushing copy', [800])
    assert.deepEqual(
      judge([result('small push', 'ours (library)', [100]), copy]).map(({ value, met }) => [value, met]),
      [[8, true]],
    )
    assert.equal(judge([result('small push', 'ours (library)', [101]), copy])[0]?.met, false)
  })

  test('a goal whose reference was not measured is left out', () => {
    assert.deepEqual(judge([result('tree push', 'ours (library)', [100])]), [])
  })

  test('memory is judged by the worst run', () => {
    const MIB = 1024 ** 2
    const rows = [{ ...result('large pull', 'ours (command)', [1]), runs: [100, 151].map((peak) => ({ milliseconds: 1, peakBytes: peak * MIB })) }]
    assert.deepEqual(
      judge(rows).map(({ value, met }) => [value, met]),
      [[151, false]],
    )
  })
})
