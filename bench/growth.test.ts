import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fitGrowth, linearithmicExponent, logarithmicExponent } from './growth.ts'

function points(sizes: readonly number[], value: (size: number) => number): readonly { readonly size: number; readonly value: number }[] {
  return sizes.map((size) => ({ size, value: value(size) }))
}

function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-9, `${actual} is not ${expected}`)
}

describe('growth', () => {
  const sizes = [1_000, 10_000, 100_000]

  test('a power is found again, whatever it is multiplied with and in whatever order it is told', () => {
    for (const power of [0, 0.5, 1, 2]) near(fitGrowth(points(sizes.toReversed(), (size) => 7 * size ** power)).exponent, power)
  })

  test('the last step shows what a fixed cost hides', () => {
    const { exponent, lastStep } = fitGrowth(points(sizes, (size) => 10_000 + size))
    assert.ok(exponent < 0.6)
    assert.ok(lastStep > 0.7)
  })

  test('noise on both sides cancels out', () => {
    const { exponent } = fitGrowth([
      { size: 1, value: 2 },
      { size: 10, value: 5 },
      { size: 100, value: 200 },
    ])
    near(exponent, 1)
  })

  test('the limits lie a little above linear and a little above flat, the closer the larger the sizes', () => {
    near(linearithmicExponent([10, 100]), 1 + Math.log10(2))
    near(logarithmicExponent([10, 100]), Math.log10(2))
    assert.ok(linearithmicExponent([1e6, 1e9]) < linearithmicExponent([1e3, 1e6]))
  })

  test('one size, or none, has no growth', () => {
    for (const same of [[], [1], [5, 5]]) assert.throws(() => fitGrowth(points(same, () => 1)), RangeError)
    assert.throws(() => fitGrowth(points([1, 2], () => 0)), RangeError)
  })
})
