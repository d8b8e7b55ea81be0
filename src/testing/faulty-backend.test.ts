import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openMemoryBackend } from '../adapters/backend-memory/backend-memory.ts'
import { StorageFullError, StoreReadOnlyError } from '../core/errors.ts'
import { parseObjectKey } from '../ports/backend.ts'
import { backendSuite } from './backend-suite.ts'
import { faultyBackend } from './faulty-backend.ts'

backendSuite('memory, with no faults set', { open: () => Promise.resolve(faultyBackend(openMemoryBackend())) })

const key = parseObjectKey('store/session/object')

test('a flush that fails is final for its appender, not for the next', async () => {
  const backend = faultyBackend(openMemoryBackend())
  const appender = await backend.createAppender(key)
  backend.faults.flushFails = true
  await assert.rejects(appender.flush(), StoreReadOnlyError)
  backend.faults.flushFails = false
  await assert.rejects(appender.flush(), StoreReadOnlyError)
  await assert.rejects(appender.append([Buffer.from('x')]), StoreReadOnlyError)
  await appender.close()
  await (await backend.createAppender(parseObjectKey('store/session/next'))).flush()
})

test('a put whose flush fails leaves nothing', async () => {
  const backend = faultyBackend(openMemoryBackend())
  backend.faults.flushFails = true
  await assert.rejects(backend.put(key, [Buffer.from('x')]), StoreReadOnlyError)
  assert.equal(await backend.head(key), undefined)
})

test('space runs out after as many bytes as there are, and comes back', async () => {
  const backend = faultyBackend(openMemoryBackend())
  backend.faults.spaceLeft = 10
  const appender = await backend.createAppender(key)
  await appender.append([Buffer.alloc(4), Buffer.alloc(4)])
  await assert.rejects(appender.append([Buffer.alloc(3)]), StorageFullError)
  await assert.rejects(backend.put(parseObjectKey('store/session/put'), [Buffer.alloc(2), Buffer.alloc(1)]), StorageFullError)
  assert.equal(await backend.head(parseObjectKey('store/session/put')), undefined)
  backend.faults.spaceLeft = 3
  await appender.append([Buffer.alloc(3)])
  assert.equal(appender.size, 11)
})

test('a delete can be kept waiting', async () => {
  const backend = faultyBackend(openMemoryBackend())
  await backend.put(key, [Buffer.from('x')])
  const gate = Promise.withResolvers<undefined>()
  backend.faults.beforeDelete = () => gate.promise
  const late = backend.delete(key)
  await new Promise(setImmediate)
  assert.ok(await backend.head(key))
  gate.resolve(undefined)
  await late
  assert.equal(await backend.head(key), undefined)
})
