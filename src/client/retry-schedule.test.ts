import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backOffMs, pause, retryAfterMs, waitMs } from './retry-schedule.ts'

test('waits double up to ten seconds, and half of each is chance', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7, 20].map((attempt) => [backOffMs(attempt, 0), backOffMs(attempt, 1)]),
    [
      [100, 200],
      [200, 400],
      [400, 800],
      [800, 1_600],
      [1_600, 3_200],
      [3_200, 6_400],
      [5_000, 10_000],
      [5_000, 10_000],
    ],
  )
})

test('Retry-After is read as seconds or as a date, and is none when it is neither', () => {
  const now = Date.parse('2026-11-01T00:00:00Z')
  assert.equal(retryAfterMs('7', now), 7_000)
  assert.equal(retryAfterMs('Sun, 01 Nov 2026 00:00:30 GMT', now), 30_000)
  assert.equal(retryAfterMs('Sun, 01 Nov 2020 00:00:30 GMT', now), 0)
  assert.deepEqual([retryAfterMs(null, now), retryAfterMs('soon', now)], [undefined, undefined])
})

test('the server may ask for a longer wait, but not for one that nobody has', () => {
  assert.equal(waitMs(1, undefined, 0), 100)
  assert.equal(waitMs(1, 3_000, 0), 3_000)
  assert.equal(waitMs(6, 1_000, 1), 6_400)
  assert.equal(waitMs(1, 3_600_000, 0), undefined)
})

test('a pause ends when it is told to', async () => {
  const stop = new AbortController()
  const paused = pause(3_600_000, stop.signal)
  stop.abort()
  await paused
  await pause(3_600_000, stop.signal)
})
