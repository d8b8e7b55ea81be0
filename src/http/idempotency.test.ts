import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fullAccess, grantedAccess, parseRepositoryPattern } from '../core/access.ts'
import { RegistryBusyError } from '../core/errors.ts'
import { serveNewStore } from '../testing/served-store.ts'

const post = (address: string, path: string, key: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
  fetch(`${address}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'Idempotency-Key': key, ...headers },
    body: JSON.stringify(body),
  })

describe('a POST with an idempotency key', () => {
  test('is done once and answered alike, byte for byte', async () => {
    const { address, store } = await serveNewStore()
    const first = await post(address, '/packages', 'k1', { repository: 'a/b' })
    const again = await post(address, '/packages', 'k1', { repository: 'a/b' })
    assert.deepEqual([first.status, again.status], [201, 201])
    assert.equal(await again.text(), await first.text())
    for (const name of ['location', 'content-type', 'cache-control', 'x-content-type-options']) {
      assert.equal(again.headers.get(name), first.headers.get(name), name)
    }
    const other = await post(address, '/packages', 'k2', { repository: 'a/b' })
    assert.notEqual(other.headers.get('location'), first.headers.get('location'))
    assert.equal((await store.repositories.list()).items.length, 1)
  })

  test('with the same members in another order is the same request; with another body, or of another package, it is refused', async () => {
    const { address } = await serveNewStore()
    const first = await post(address, '/packages', 'k', { repository: 'a/b', type: 'report' })
    const same = await post(address, '/packages', 'k', { type: 'report', repository: 'a/b' })
    assert.equal(same.headers.get('location'), first.headers.get('location'))
    const other = await post(address, '/packages', 'k', { repository: 'a/c', type: 'report' })
    assert.equal(other.status, 422)
    assert.equal(((await other.json()) as { code: string }).code, 'idempotency_mismatch')
    const [one, two] = [await post(address, '/packages', 'p1', { repository: 'a/b' }), await post(address, '/packages', 'p2', { repository: 'a/b' })]
    assert.equal((await post(address, `${one.headers.get('location') ?? ''}/finalize`, 'f', {})).status, 200)
    assert.equal((await post(address, `${two.headers.get('location') ?? ''}/finalize`, 'f', {})).status, 422)
  })

  test('answers of the kind "no" are kept, requests that were never valid are not', async () => {
    const { address, store } = await serveNewStore()
    const { id } = await store.packages.open({ repository: 'a/b' })
    const missing = '/packages/01998e9e-0000-7000-8000-000000000000/finalize'
    assert.equal((await post(address, missing, 'k', {})).status, 404)
    assert.equal((await post(address, missing, 'k', {})).status, 404)
    assert.equal((await post(address, '/packages', 'v', { repositoryy: 'a/b' })).status, 422)
    assert.equal((await post(address, '/packages', 'v', { repository: 'a/b' })).status, 201)
    assert.equal((await post(address, `/packages/${id}/finalize`, 'f', {})).status, 200)
  })

  test('that is still under way is told so, and can be asked again', async () => {
    const gate = Promise.withResolvers<undefined>()
    const served = await serveNewStore({
      storeFor: () => {
        const store = served.store.actingAs(fullAccess('os:test'))
        const open = store.packages.open.bind(store.packages)
        store.packages.open = (request) => gate.promise.then(() => open(request))
        return store
      },
    })
    const both = [1, 2].map(() => post(served.address, '/packages', 'k', { repository: 'a/b' }))
    // Whichever came first waits.
    const refused = await Promise.race(both)
    assert.equal(refused.status, 409)
    assert.equal(((await refused.json()) as { code: string }).code, 'idempotency_running')
    gate.resolve(undefined)
    const done = (await Promise.all(both)).find((answer) => answer !== refused)
    const again = await post(served.address, '/packages', 'k', { repository: 'a/b' })
    assert.deepEqual([done?.status, again.status, await again.text()], [201, 201, await done?.text()])
  })

  test('of many at once, one is done', async () => {
    const { address } = await serveNewStore()
    const done = Promise.all(Array.from({ length: 8 }, () => post(address, '/packages', 'race', { repository: 'a/b' })))
    const statuses = (await done).map(({ status }) => status)
    assert.ok(statuses.every((status) => status === 201 || status === 409))
    const locations = new Set((await done).filter(({ status }) => status === 201).map(({ headers }) => headers.get('location')))
    assert.equal(locations.size, 1)
    assert.equal((await post(address, '/packages', 'race', { repository: 'a/b' })).headers.get('location'), [...locations][0])
  })

  test('that failed in the server is done again', async () => {
    let failing = true
    const served = await serveNewStore({
      storeFor: () => {
        const store = served.store.actingAs(fullAccess('os:test'))
        if (failing) store.packages.open = () => Promise.reject(new RegistryBusyError('not now'))
        return store
      },
    })
    assert.equal((await post(served.address, '/packages', 'k', { repository: 'a/b' })).status, 503)
    failing = false
    assert.equal((await post(served.address, '/packages', 'k', { repository: 'a/b' })).status, 201)
  })

  test('belongs to its actor', async () => {
    let actor = 'token:one'
    const served = await serveNewStore({
      storeFor: () => served.store.actingAs(grantedAccess(actor, [{ verbs: ['write'], repositories: [parseRepositoryPattern('**')] }])),
    })
    const first = await post(served.address, '/packages', 'k', { repository: 'a/b' })
    actor = 'token:two'
    const second = await post(served.address, '/packages', 'k', { repository: 'a/b', type: 'other' })
    assert.deepEqual([first.status, second.status], [201, 201])
  })

  test('needs a key that can be one, and other requests need none', async () => {
    const { address } = await serveNewStore()
    assert.equal((await post(address, '/packages', 'not one', { repository: 'a/b' })).status, 422)
    assert.equal((await post(address, '/packages', 'k'.repeat(256), { repository: 'a/b' })).status, 422)
    assert.equal((await fetch(`${address}/packages`, { headers: { 'Idempotency-Key': 'not one' } })).status, 200)
  })
})
