import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, describe, test } from 'node:test'
import type { Health } from '../store/interface.ts'
import type { HealthSource } from './health.ts'
import type { RunningServer } from './server.ts'
import { isLoopback, startServer } from './server.ts'

const pass: Health = { status: 'pass', checks: { registry: { status: 'pass', observed: 'event 1' } } }
const fail: Health = { status: 'fail', checks: { registry: { status: 'fail', observed: 'gone' } } }

const running: RunningServer[] = []
after(() => Promise.all(running.map((server) => server.stop())))

async function serve(health: () => Promise<Health>): Promise<RunningServer> {
  const source: HealthSource = { health }
  const server = await startServer(source, '127.0.0.1', 0)
  running.push(server)
  return server
}

describe('the probes', () => {
  test('a healthy store is alive, ready, and tells its checks', async () => {
    const { address } = await serve(async () => pass)
    const health = await fetch(`${address}/health`)
    assert.equal(health.status, 200)
    assert.equal(health.headers.get('content-type'), 'application/health+json')
    assert.equal(health.headers.get('cache-control'), 'no-store')
    assert.deepEqual(await health.json(), pass)
    assert.equal((await fetch(`${address}/livez`)).status, 200)
    assert.equal((await fetch(`${address}/readyz?verbose`)).status, 200)
  })

  test('a failing store is alive, but neither healthy nor ready', async () => {
    const { address } = await serve(async () => fail)
    assert.deepEqual([(await fetch(`${address}/health`)).status, (await fetch(`${address}/readyz`)).status], [503, 503])
    assert.equal((await fetch(`${address}/livez`)).status, 200)
  })

  test('a store with a warning is ready', async () => {
    const { address } = await serve(async () => ({ status: 'warn', checks: {} }))
    assert.deepEqual([(await fetch(`${address}/health`)).status, (await fetch(`${address}/readyz`)).status], [200, 200])
  })

  test('a store that cannot tell how it is fails, and says nothing of its insides', async () => {
    const { address } = await serve(() => Promise.reject(new Error('/secret/path is gone')))
    const health = await fetch(`${address}/health`)
    assert.equal(health.status, 503)
    assert.doesNotMatch(await health.text(), /secret/)
  })

  test('HEAD is answered without a body, other methods and paths are problems', async () => {
    const { address } = await serve(async () => pass)
    const head = await fetch(`${address}/livez`, { method: 'HEAD' })
    assert.equal(head.headers.get('content-length'), '3')
    assert.equal(await head.text(), '')
    const post = await fetch(`${address}/livez`, { method: 'POST', body: 'x' })
    assert.equal(post.status, 405)
    assert.equal(post.headers.get('allow'), 'GET, HEAD')
    for (const path of ['/', '/packages', '/toString', '/__proto__']) {
      const other = await fetch(`${address}${path}`)
      assert.equal(other.status, 404, path)
      assert.equal(other.headers.get('content-type'), 'application/problem+json')
      assert.equal(((await other.json()) as { code: string }).code, 'not_found')
    }
  })
})

describe('stopping', () => {
  test('lets an answer under way end, is not ready meanwhile, and takes no new connections', async () => {
    const gate = Promise.withResolvers<Health>()
    const reached = Promise.withResolvers<undefined>()
    const server = await startServer(
      {
        health: () => {
          reached.resolve(undefined)
          return gate.promise
        },
      },
      '127.0.0.1',
      0,
    )
    const slow = new Promise<number | undefined>((resolve, reject) => {
      request(`${server.address}/health`, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end()
    })
    await reached.promise
    const stopped = server.stop()
    await assert.rejects(fetch(`${server.address}/livez`))
    gate.resolve(pass)
    assert.equal(await slow, 200)
    await stopped
  })

  test('an idle connection does not hold it up', async () => {
    const server = await startServer({ health: async () => pass }, '127.0.0.1', 0)
    await (await fetch(`${server.address}/livez`)).text()
    await server.stop()
  })
})

test('only addresses of this machine are loopback', () => {
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) assert.equal(isLoopback(host), true, host)
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'example.org', '127.example.org', '']) assert.equal(isLoopback(host), false, host)
})

test('a port that is taken is an error of the operating system', async () => {
  const { address } = await serve(async () => pass)
  await assert.rejects(startServer({ health: async () => pass }, '127.0.0.1', Number(new URL(address).port)), { code: 'EADDRINUSE' })
})
