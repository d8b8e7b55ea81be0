import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Pace } from './pace.ts'

const limits = { idleMs: 3_000, windowMs: 10_000, bytesPerSecond: 100 }

/** What a pace says of each second in which so many bytes moved; `undefined` is a second in which this side was the slow one. */
function verdicts(...seconds: readonly (number | undefined)[]): readonly string[] {
  const pace = new Pace(limits)
  return seconds.map((bytes) => pace.observe(1_000, bytes ?? 0, bytes !== undefined))
}

describe('a pace', () => {
  test('three seconds without a byte are idle', () => {
    assert.deepEqual(verdicts(500, 0, 0, 0), ['fine', 'fine', 'fine', 'idle'])
  })

  test('one byte ends being idle, but over a window it is too slow', () => {
    assert.deepEqual(verdicts(...Array.from({ length: 10 }, () => 1)), [...Array.from({ length: 9 }, () => 'fine'), 'slow'])
  })

  test('a fast start buys no time: the next window is judged by itself', () => {
    const seconds = [1_000_000, ...Array.from({ length: 19 }, () => 1)]
    assert.deepEqual(verdicts(...seconds), [...Array.from({ length: 19 }, () => 'fine'), 'slow'])
  })

  test('what is steady at the least rate goes on for ever', () => {
    assert.ok(verdicts(...Array.from({ length: 1_000 }, () => 100)).every((verdict) => verdict === 'fine'))
  })

  test('seconds in which the other side was not waited for do not count', () => {
    assert.ok(verdicts(...Array.from({ length: 100 }, () => undefined)).every((verdict) => verdict === 'fine'))
    assert.deepEqual(verdicts(0, undefined, 0, undefined, 0), ['fine', 'fine', 'fine', 'fine', 'idle'])
  })

  test('who is faster than the least rate in every second is never cut, however time is cut into pieces', () => {
    const steps = fc.array(fc.record({ ms: fc.integer({ min: 1, max: 2_000 }), surplus: fc.nat(10_000), waiting: fc.boolean() }), { maxLength: 200 })
    fc.assert(
      fc.property(steps, (history) => {
        const pace = new Pace(limits)
        return history.every(({ ms, surplus, waiting }) => pace.observe(ms, Math.ceil(ms / 10) + surplus, waiting) === 'fine')
      }),
    )
  })

  test('who never moves a byte is cut after the idle time that was waited, however time is cut into pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ ms: fc.integer({ min: 1, max: 2_000 }), waiting: fc.boolean() }), { maxLength: 200 }), (history) => {
        const pace = new Pace(limits)
        let waited = 0
        return history.every(({ ms, waiting }) => {
          waited += waiting ? ms : 0
          const verdict = pace.observe(ms, 0, waiting)
          return !waiting || (verdict === 'idle') === waited >= limits.idleMs
        })
      }),
    )
  })
})
