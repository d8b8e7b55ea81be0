import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { acceptTime, beginTime, CLOCK_TOLERANCE_MS, type ClockReading, observeTime, trustedNow } from './trusted-time.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const start = Date.parse('2026-11-24T09:00:00.000Z')
const at = (wall: number, monotonic: number): ClockReading => ({ wall: start + wall, monotonic: 5_000 + monotonic })

describe('trusted time', () => {
  test('is the wall clock while that keeps step with the monotonic one', () => {
    let time = beginTime(at(0, 0), start - DAY, false)
    for (const passed of [1, 1_000, HOUR, 30 * DAY]) {
      const reading = at(passed + 500, passed)
      time = observeTime(time, reading, start)
      assert.equal(time.suspicion, undefined)
      assert.equal(trustedNow(time, reading), start + passed + 500)
    }
  })

  test('does not follow a jump of three hours in either direction, nor one of 400 days', () => {
    for (const jump of [3 * HOUR, -3 * HOUR, 400 * DAY]) {
      const reading = at(HOUR + jump, HOUR)
      const time = observeTime(beginTime(at(0, 0), start - DAY, false), reading, start)
      assert.equal(time.suspicion?.reason, 'jumped')
      assert.equal(time.suspicion.wall, start + HOUR + jump)
      assert.equal(trustedNow(time, reading), start + HOUR)
      assert.equal(trustedNow(time, at(0, 2 * HOUR)), start + 2 * HOUR)
    }
  })

  test('stays suspect when the wall clock comes back, and is trusted again only when somebody accepts it', () => {
    let time = observeTime(beginTime(at(0, 0), 0, false), at(3 * HOUR, 0), 0)
    time = observeTime(time, at(1_000, 1_000), 0)
    assert.equal(time.suspicion?.reason, 'jumped')
    time = observeTime(acceptTime(at(2_000, 2_000)), at(3_000, 3_000), start + 2_000)
    assert.equal(time.suspicion, undefined)
  })

  test('is not behind the last event', () => {
    const time = beginTime(at(-3 * HOUR, 0), start, false)
    assert.equal(time.suspicion?.reason, 'behind')
    assert.equal(trustedNow(time, at(-3 * HOUR, 0)), start)
    assert.equal(trustedNow(time, at(-2 * HOUR, HOUR)), start + HOUR)
    const running = observeTime(beginTime(at(0, 0), start, false), at(1_000, 1_000), start + HOUR)
    assert.equal(running.suspicion?.reason, 'behind')
    assert.equal(trustedNow(running, at(1_000, 1_000)), start + HOUR)
  })

  test('takes a start long after the last event for no jump by itself', () => {
    assert.equal(beginTime(at(400 * DAY, 0), start, false).suspicion, undefined)
  })

  test('stays suspect over a restart, going on from the last event', () => {
    for (const wall of [400 * DAY, 0, -HOUR]) {
      const time = beginTime(at(wall, 0), start, true)
      assert.notEqual(time.suspicion, undefined)
      assert.equal(trustedNow(time, at(wall, 60_000)), start + 60_000)
    }
  })

  test('allows what time services correct, and what other machines are ahead', () => {
    const begun = beginTime(at(0, 0), start, false)
    assert.equal(observeTime(begun, at(10 * DAY + 0.0004 * 10 * DAY, 10 * DAY), start).suspicion, undefined)
    assert.equal(observeTime(begun, at(CLOCK_TOLERANCE_MS, 0), start).suspicion, undefined)
    assert.equal(observeTime(begun, at(0, 0), start + CLOCK_TOLERANCE_MS).suspicion, undefined)
    assert.notEqual(observeTime(begun, at(CLOCK_TOLERANCE_MS + 1, 0), start).suspicion, undefined)
    assert.notEqual(observeTime(begun, at(0, 0), start + CLOCK_TOLERANCE_MS + 1).suspicion, undefined)
  })

  test('cannot be walked ahead in many small steps', () => {
    let time = beginTime(at(0, 0), start, false)
    for (let step = 1; step <= 100; step += 1) time = observeTime(time, at(step * 30_000, step), start)
    assert.equal(time.suspicion?.reason, 'jumped')
  })

  test('never advances by more than the monotonic clock and the tolerance, whatever the wall clock does', () => {
    const step = fc.record({ passed: fc.nat(DAY), wall: fc.integer({ min: -1_000 * DAY, max: 1_000 * DAY }) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        let time = beginTime(at(0, 0), start, false)
        let monotonic = 0
        let last = start
        for (const { passed, wall } of steps) {
          monotonic += passed
          const reading = at(wall, monotonic)
          time = observeTime(time, reading, last)
          const now = Math.max(last, trustedNow(time, reading))
          assert.ok(now - start <= monotonic + CLOCK_TOLERANCE_MS + monotonic * 0.0005, `${now - start} in ${monotonic}`)
          last = now
        }
      }),
    )
  })
})
