import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { alternate } from './schedule.ts'

describe('the order of runs', () => {
  test('contenders take turns, and every other round goes backwards', () => {
    const order = [...alternate(['a', 'b', 'c'], 3)].map(({ run, contender }) => `${contender}${run}`)
    assert.deepEqual(order, ['a0', 'b0', 'c0', 'c1', 'b1', 'a1', 'a2', 'b2', 'c2'])
  })

  test('each contender runs equally often', () => {
    const turns = [...alternate(['a', 'b'], 5)]
    assert.equal(turns.filter(({ contender }) => contender === 'a').length, 5)
    assert.equal(turns.filter(({ contender }) => contender === 'b').length, 5)
  })
})
