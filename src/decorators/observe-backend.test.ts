import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openMemoryBackend } from '../adapters/backend-memory/backend-memory.ts'
import { ObjectMissingError } from '../core/errors.ts'
import { parseObjectKey } from '../ports/backend.ts'
import { backendSuite } from '../testing/backend-suite.ts'
import { observeBackend } from './observe-backend.ts'
import type { BackendStep } from './observe-backend.ts'

backendSuite('memory, observed', { open: () => Promise.resolve(observeBackend(openMemoryBackend(), () => undefined)) })

const key = parseObjectKey('store/session/object')

test('every operation reports what begins and how it ends', async () => {
  const steps: string[] = []
  const backend = observeBackend(openMemoryBackend(), (step, subject) => steps.push(`${step} ${subject ?? ''}`))
  const appender = await backend.createAppender(key)
  await appender.append([Buffer.from('x')])
  await appender.flush()
  await appender.close()
  await Array.fromAsync(backend.get(key))
  await Array.fromAsync(backend.list('store/'))
  await backend.head(key)
  await assert.rejects(backend.put(key, []))
  await backend.delete(key)
  await assert.rejects(Array.fromAsync(backend.get(key)), ObjectMissingError)
  await backend.close()
  const pairs = [
    ['backend.createAppender', 'after', key],
    ['appender.append', 'after', key],
    ['appender.flush', 'after', key],
    ['appender.close', 'after', key],
    ['backend.get', 'after', key],
    ['backend.list', 'after', 'store/'],
    ['backend.head', 'after', key],
    ['backend.put', 'failed', key],
    ['backend.delete', 'after', key],
    ['backend.get', 'failed', key],
    ['backend.close', 'after', ''],
  ]
  assert.deepEqual(
    steps,
    pairs.flatMap(([operation = '', end = '', subject = '']) => [`${operation}:before ${subject}`, `${operation}:${end} ${subject}`]),
  )
})

test('a reader who stops early ends the step', async () => {
  const steps: BackendStep[] = []
  const backend = observeBackend(openMemoryBackend(), (step) => steps.push(step))
  await backend.put(key, [Buffer.alloc(3_000_000)])
  for await (const piece of backend.get(key)) {
    assert.ok(piece.length > 0)
    break
  }
  assert.deepEqual(steps.slice(-2), ['backend.get:before', 'backend.get:after'])
})

test('an observer that throws before a step keeps it from happening, one that throws after it fails it', async () => {
  const inner = openMemoryBackend()
  for (const [point, happened] of [
    ['backend.put:before', false],
    ['backend.put:after', true],
  ] as const) {
    const failure = new Error(point)
    const backend = observeBackend(inner, (step) => {
      if (step === point) throw failure
    })
    await assert.rejects(backend.put(key, [Buffer.from('x')]), (error) => error === failure)
    assert.equal(inner.objects.has(key), happened)
  }
})

test('an observer that never returns stops the operation at its step', async () => {
  const inner = openMemoryBackend()
  const reached = Promise.withResolvers<BackendStep>()
  const backend = observeBackend(inner, (step) => {
    if (step !== 'appender.flush:before') return undefined
    reached.resolve(step)
    return new Promise(() => undefined)
  })
  const appender = await backend.createAppender(key)
  let flushed = false
  void appender.flush().then(() => (flushed = true))
  assert.equal(await reached.promise, 'appender.flush:before')
  await new Promise(setImmediate)
  assert.equal(flushed, false)
})
