import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteBudget } from './byte-budget.ts'

test('a budget is never exceeded, and who waits is served in order', async () => {
  const budget = new ByteBudget(10)
  const served: string[] = []
  await budget.take(7)
  const large = budget.take(8).then(() => served.push('large'))
  const small = budget.take(1).then(() => served.push('small'))
  assert.equal(budget.tryTake(1), false, 'those who wait come first')
  await Promise.resolve()
  assert.deepEqual(served, [])
  budget.give(7)
  await Promise.all([large, small])
  assert.deepEqual(served, ['large', 'small'])
  assert.equal(budget.tryTake(2), false)
  assert.equal(budget.tryTake(1), true)
})

test('more than there is counts as all of it', async () => {
  const budget = new ByteBudget(10)
  await budget.take(1000)
  assert.equal(budget.tryTake(1), false)
  budget.give(1000)
  assert.equal(budget.tryTake(10), true)
})
