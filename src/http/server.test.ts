import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { request } from 'node:http'
import { describe, test } from 'node:test'
import { serveNewStore } from '../testing/served-store.ts'
import { isLoopback } from './server.ts'

describe('the probes', () => {
  test('a healthy store is alive, ready, and tells its checks', async () => {
    const { address } = await serveNewStore()
    const health = await fetch(`${address}/health`)
    assert.equal(health.status, 200)
    assert.equal(health.headers.get('content-type'), 'application/health+json')
    assert.equal(health.headers.get('cache-control'), 'no-store')
    const { status, checks } = (await health.json()) as { status: string; checks: Record<string, { status: string }> }
    assert.deepEqual([status, checks['registry']?.status, checks['backend']?.status], ['pass', 'pass', 'pass'])
    assert.equal((await fetch(`${address}/livez`)).status, 200)
    assert.equal((await fetch(`${address}/readyz`)).status, 200)
  })

  test('a failing store is alive, but neither healthy nor ready, and says nothing of its insides', async () => {
    const { address, directory } = await serveNewStore()
    await rm(directory, { recursive: true })
    const health = await fetch(`${address}/health`)
    assert.equal(health.status, 503)
    assert.ok(!(await health.text()).includes(directory))
    assert.deepEqual([(await fetch(`${address}/livez`)).status, (await fetch(`${address}/readyz`)).status], [200, 503])
  })

  test('HEAD is answered without a body, other methods and paths are problems', async () => {
    const { address } = await serveNewStore()
    const head = await fetch(`${address}/livez`, { method: 'HEAD' })
    assert.equal(head.headers.get('content-length'), '3')
    assert.equal(await head.text(), '')
    const post = await fetch(`${address}/livez`, { method: 'POST', body: 'x' })
    assert.equal(post.status, 405)
    assert.equal(post.headers.get('allow'), 'GET, HEAD')
    for (const path of ['/nothing', '/packages/x/y', '/toString', '/__proto__']) {
      const other = await fetch(`${address}${path}`)
      assert.equal(other.status, 404, path)
      assert.equal(other.headers.get('content-type'), 'application/problem+json')
      assert.equal(((await other.json()) as { code: string }).code, 'not_found')
    }
  })
})

describe('stopping', () => {
  test('lets a request under way end, is not ready meanwhile, and takes no new connections', async () => {
    const server = await serveNewStore()
    const { address, store } = server
    const { id } = await store.packages.open({ repository: 'a/b' })
    const status = Promise.withResolvers<number | undefined>()
    const slow = request(`${address}/packages/${id}/files/slow`, { method: 'PUT', headers: { 'Content-Length': '2' } }, (response) => {
      status.resolve(response.resume().statusCode)
    })
    slow.on('error', status.reject)
    await new Promise((resolve) => slow.write('1', resolve))
    // An answer to a later request tells that the server has met the earlier one.
    await (await fetch(`${address}/livez`)).text()
    const stopped = server.stop()
    await assert.rejects(fetch(`${address}/livez`))
    slow.end('2')
    assert.equal(await status.promise, 201)
    await stopped
  })

  test('an idle connection does not hold it up', async () => {
    const server = await serveNewStore()
    await (await fetch(`${server.address}/livez`)).text()
    await server.stop()
  })
})

test('only addresses of this machine are loopback', () => {
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) assert.equal(isLoopback(host), true, host)
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'example.org', '127.example.org', '']) assert.equal(isLoopback(host), false, host)
})

test('a port that is taken is an error of the operating system', async () => {
  const { address } = await serveNewStore()
  await assert.rejects(serveNewStore({ port: Number(new URL(address).port) }), { code: 'EADDRINUSE' })
})
