import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { excessOf, Lateness, LoadGauge } from './load-gauge.ts'

const limits = { delayMs: 500, liveBytes: 1_000, heapPart: 0.9 }
const idle = { delayMs: 0, liveBytes: 0, heapPart: 0 }

test('there is too much to do when timers are late, when much memory is in use, or when the heap is nearly full', () => {
  assert.equal(excessOf(idle, limits), undefined)
  assert.equal(excessOf({ delayMs: 500, liveBytes: 1_000, heapPart: 0.9 }, limits), undefined)
  assert.equal(excessOf({ ...idle, delayMs: 501 }, limits), 'work')
  assert.equal(excessOf({ ...idle, liveBytes: 1_001 }, limits), 'memory')
  assert.equal(excessOf({ ...idle, heapPart: 0.91 }, limits), 'memory')
})

test('lateness is what is felt over time: a long stop counts for more than many short ones, and is forgotten', () => {
  const lateness = new Lateness()
  const pass = (times: number, lateMs: number): void => {
    for (let step = 0; step < times; step += 1) lateness.observe(50 + lateMs, lateMs)
  }
  pass(100, 0)
  assert.equal(lateness.ms, 0)
  pass(1, 1_000)
  assert.ok(lateness.ms > 500)
  pass(100, 0)
  assert.ok(lateness.ms < 10)
  pass(20, 600)
  assert.ok(lateness.ms > 590 && lateness.ms <= 600)
})

test('a blocked event loop is seen', async () => {
  const gauge = new LoadGauge()
  gauge.start()
  const before = performance.now()
  while (performance.now() - before < 400);
  await setTimeout(1)
  assert.ok(gauge.read().delayMs > 50)
  gauge.close()
})

test('buffers outside of the heap count as memory in use, until they are collected', { timeout: 10_000 }, async () => {
  const gauge = new LoadGauge()
  const before = gauge.read().liveBytes
  const size = 64 * 1024 * 1024
  // In a function of its own, so that nothing refers to it afterwards.
  const measure = (): number => {
    const { length } = Buffer.alloc(size, 1)
    return gauge.read().liveBytes - length
  }
  assert.ok(measure() > before - size * 0.1)
  gauge.collectGarbage()
  // It is given back behind the scenes.
  while (gauge.read().liveBytes - before > size * 0.1) await setTimeout(10)
  gauge.close()
})
