import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serveNewStore } from '../testing/served-store.ts'

test('where nothing more need be said there may be no body, or an empty object, but not null', async () => {
  const { address, store } = await serveNewStore()
  const { id } = await store.packages.open({ repository: 'a/b' })
  const finalize = async (body?: string): Promise<number> => {
    const sent = body === undefined ? {} : { body, headers: { 'Content-Type': 'application/json' } }
    return (await fetch(`${address}/packages/${id}/finalize`, { method: 'POST', ...sent })).status
  }
  assert.deepEqual([await finalize('null'), await finalize('[]'), await finalize('"x"')], [422, 422, 422])
  assert.equal((await store.packages.get(id)).status, 'open')
  assert.deepEqual([await finalize(), await finalize('{}')], [200, 200])
})
