import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { addDuration, parseDuration, wholeDays } from './duration.ts'
import { InputInvalidError } from './errors.ts'

const after = (from: string, duration: string | number): string => new Date(addDuration(Date.parse(from), parseDuration(duration))).toISOString()

describe('a duration', () => {
  test('has one spelling, whoever wrote it', () => {
    const spellings: readonly (readonly [string | number, string])[] = [
      [30, 'P30D'],
      ['P4W', 'P28D'],
      ['P1W2D', 'P9D'],
      ['P18M', 'P1Y6M'],
      ['P12M', 'P1Y'],
      ['PT2S', 'PT2S'],
      ['PT90M', 'PT1H30M'],
      ['PT48H', 'P2D'],
      ['P1Y2M3DT4H5M6S', 'P1Y2M3DT4H5M6S'],
    ]
    for (const [given, spelled] of spellings) {
      assert.equal(parseDuration(given), spelled)
      assert.equal(parseDuration(spelled), spelled)
    }
  })

  test('that is none, is nothing, negative, broken or without end is refused', () => {
    for (const bad of [
      '',
      'P',
      'PT',
      'P1YT',
      '30',
      '30d',
      'P-1D',
      'P1.5D',
      'P0D',
      'PT0S',
      'P1D1Y',
      'p1d',
      ' P1D',
      'P1001Y',
      'P999999Y',
      0,
      -1,
      1.5,
      Number.NaN,
      1e21,
    ]) {
      assert.throws(() => parseDuration(bad), InputInvalidError, String(bad))
    }
  })

  test('knows whether it is a number of days', () => {
    assert.deepEqual(
      ['P30D', 'P4W', 'PT48H', 'P1Y', 'P1M1D', 'PT12H'].map((text) => wholeDays(parseDuration(text))),
      [30, 28, 2, undefined, undefined, undefined],
    )
  })
})

describe('calendar arithmetic', () => {
  test('clamps to the end of a shorter month, leap years included', () => {
    assert.equal(after('2026-01-31T10:00:00.250Z', 'P1M'), '2026-02-28T10:00:00.250Z')
    assert.equal(after('2028-01-31T10:00:00.250Z', 'P1M'), '2028-02-29T10:00:00.250Z')
    assert.equal(after('2028-02-29T00:00:00.000Z', 'P1Y'), '2029-02-28T00:00:00.000Z')
    assert.equal(after('2028-02-29T00:00:00.000Z', 'P4Y'), '2032-02-29T00:00:00.000Z')
    assert.equal(after('2026-10-31T23:59:59.999Z', 'P1M'), '2026-11-30T23:59:59.999Z')
    assert.equal(after('2026-08-31T00:00:00.000Z', 'P6M'), '2027-02-28T00:00:00.000Z')
    assert.equal(after('2100-02-28T00:00:00.000Z', 'P1D'), '2100-03-01T00:00:00.000Z')
  })

  test('adds months before days, and days are 24 hours whatever a time zone does', () => {
    assert.equal(after('2026-01-31T00:00:00.000Z', 'P1M1D'), '2026-03-01T00:00:00.000Z')
    // In Europe clocks change that night.
    assert.equal(after('2026-03-28T12:00:00.000Z', 'P1D'), '2026-03-29T12:00:00.000Z')
    assert.equal(after('2026-03-28T12:00:00.000Z', 30), '2026-04-27T12:00:00.000Z')
  })

  test('does not leave the years that RFC 3339 can write', () => {
    assert.equal(after('9999-06-01T00:00:00.000Z', 'P900Y'), '9999-12-31T23:59:59.999Z')
  })

  const time = fc.integer({ min: 0, max: 4_102_444_800_000 })
  const duration = fc
    .tuple(fc.nat(60), fc.nat(40), fc.nat(900), fc.nat(50), fc.nat(100), fc.nat(100))
    .filter((parts) => parts.some((part) => part > 0))
    .map(([y, m, d, h, min, s]) => parseDuration(`P${y}Y${m}M${d}DT${h}H${min}M${s}S`))

  test('always ends later than it began, and later from a later beginning', () => {
    fc.assert(
      fc.property(time, time, duration, (one, other, length) => {
        assert.ok(addDuration(one, length) > one)
        const [early, late] = one < other ? [one, other] : [other, one]
        assert.ok(addDuration(early, length) <= addDuration(late, length))
      }),
    )
  })

  test('of months keeps the time of the day, and lands in the month that was counted to', () => {
    fc.assert(
      fc.property(time, fc.integer({ min: 1, max: 600 }), (from, months) => {
        const [start, end] = [new Date(from), new Date(addDuration(from, parseDuration(`P${months}M`)))]
        assert.equal(end.getTime() % 86_400_000, from % 86_400_000)
        assert.equal(end.getUTCFullYear() * 12 + end.getUTCMonth(), start.getUTCFullYear() * 12 + start.getUTCMonth() + months)
        assert.ok(
          end.getUTCDate() === start.getUTCDate() ||
            (end.getUTCDate() < start.getUTCDate() && new Date(end.getTime() + 86_400_000).getUTCDate() === 1),
        )
      }),
    )
  })

  test('of what was read again is the same', () => {
    fc.assert(fc.property(time, duration, (from, length) => assert.equal(addDuration(from, parseDuration(length)), addDuration(from, length))))
  })
})
