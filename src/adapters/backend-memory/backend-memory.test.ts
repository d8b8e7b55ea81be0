import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseObjectKey } from '../../ports/backend.ts'
import { backendSuite } from '../../testing/backend-suite.ts'
import { openMemoryBackend } from './backend-memory.ts'

backendSuite('memory', { open: () => Promise.resolve(openMemoryBackend()) })

test('a byte flipped behind its back is read as it is now', async () => {
  const backend = openMemoryBackend()
  const key = parseObjectKey('s/w/k')
  await backend.put(key, [Buffer.from('abc')])
  backend.objects.get(key)?.set([0x78], 1)
  assert.equal(Buffer.concat(await Array.fromAsync(backend.get(key))).toString(), 'axc')
})
