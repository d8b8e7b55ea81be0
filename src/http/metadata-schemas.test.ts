import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { serveNewStore } from '../testing/served-store.ts'

const schema = { type: 'object', required: ['run'], properties: { run: { type: 'integer' } } }

describe('metadata schemas over HTTP', () => {
  test('are registered once, listed, and hold metadata to what they say', async () => {
    const { address } = await serveNewStore()
    const post = (path: string, body: unknown): Promise<Response> =>
      fetch(`${address}${path}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })
    const made = await post('/metadata-schemas', { name: 'report.v1', schema })
    assert.deepEqual([made.status, made.headers.get('location')], [201, '/metadata-schemas/report.v1'])
    const registered: unknown = await made.json()
    const again = await post('/metadata-schemas', { name: 'report.v1', schema })
    assert.deepEqual([again.status, await again.json()], [200, registered])
    assert.equal((await post('/metadata-schemas', { name: 'report.v1', schema: {} })).status, 409)
    assert.equal((await post('/metadata-schemas', { name: 'report.v2', schema: { type: 'nonsense' } })).status, 422)
    assert.equal((await post('/metadata-schemas', { name: 'report', schema })).status, 422)
    assert.equal((await post('/metadata-schemas', { name: 'report.v2', schema, title: 'x' })).status, 422)
    assert.deepEqual(await (await fetch(`${address}/metadata-schemas/report.v1`)).json(), registered)
    assert.deepEqual(await (await fetch(`${address}/metadata-schemas`)).json(), { items: [registered] })
    assert.equal((await fetch(`${address}/metadata-schemas/report.v9`)).status, 404)
    const refused = await post('/packages', { repository: 'a/b', metadataSchema: 'report.v1', metadata: { run: 'x' } })
    const problem = (await refused.json()) as { code: string; facts: { problems: unknown } }
    assert.deepEqual([refused.status, problem.code], [422, 'metadata_invalid'])
    assert.deepEqual(problem.facts.problems, [{ path: '/run', message: 'must be integer' }])
    assert.equal((await post('/packages', { repository: 'a/b', metadataSchema: 'report.v1', metadata: { run: 1 } })).status, 201)
  })
})
