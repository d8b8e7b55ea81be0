import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, test, type TestContext } from 'node:test'
import { InputInvalidError, ServerUnreachableError } from '../../core/errors.ts'
import type { DeliveryOutcome } from '../../ports/event-sink.ts'
import { isPrivateAddress } from './private-address.ts'
import { createWebhookSink, type WebhookSettings } from './sink-webhook.ts'
import { parseWebhookSecret, signMessage } from './webhook-signature.ts'

const secret = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
const message = { id: 'e1', contentType: 'application/json', body: Buffer.from('{"a":1}') }

async function listen(t: TestContext, answer: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<string> {
  const server = createServer((request, response) => void answer(request, response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`
}

function deliver(url: string, settings: Partial<WebhookSettings> = {}, signal: AbortSignal = AbortSignal.timeout(30_000)): Promise<DeliveryOutcome> {
  return createWebhookSink({ url, allowPrivate: true, ...settings }).deliver(message, { signal })
}

async function failure(promise: Promise<unknown>): Promise<ServerUnreachableError> {
  const error = await promise.then(
    () => assert.fail('it was delivered'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof ServerUnreachableError, String(error))
  return error
}

describe('a webhook', () => {
  test('posts the message with its id, and signs it so that the receiver can tell who sent it, and when', async (t) => {
    const seen: { headers?: IncomingMessage['headers']; body?: string; method?: string | undefined } = {}
    const url = await listen(t, async (request, response) => {
      Object.assign(seen, { headers: request.headers, method: request.method, body: await text(request) })
      response.writeHead(204).end()
    })
    const clock = { now: () => 1_700_000_000_999 }
    assert.deepEqual(await deliver(url, { secret: () => secret, clock }), { outcome: 'accepted' })
    assert.deepEqual([seen.method, seen.body, seen.headers?.['content-type']], ['POST', '{"a":1}', 'application/json'])
    const mac = createHmac('sha256', Buffer.alloc(24, 7)).update('e1.1700000000.{"a":1}').digest('base64')
    assert.deepEqual(
      ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => seen.headers?.[name]),
      ['e1', '1700000000', `v1,${mac}`],
    )
  })

  test('signs as the example of Standard Webhooks does', () => {
    const key = parseWebhookSecret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
    const signed = signMessage(key, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, Buffer.from('{"test": 2432232314}'))
    assert.equal(signed['webhook-signature'], 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
  })

  test('says who refused a message for good, and why, on one line', async (t) => {
    const url = await listen(t, (_request, response) => response.writeHead(422).end(`no\r\n\u0007such ${'field '.repeat(2_000)}`))
    const outcome = await deliver(url)
    assert.ok(outcome.outcome === 'rejected')
    assert.match(outcome.reason, /^127\.0\.0\.1:\d+ answered 422: no such field field/)
    assert.ok(outcome.reason.length < 300)
  })

  for (const status of [301, 307, 408, 425, 429, 500, 503]) {
    test(`that answers ${status} is asked again later`, async (t) => {
      let requests = 0
      const url = await listen(t, (_request, response) => {
        requests += 1
        response.writeHead(status, { 'retry-after': '7', location: '/elsewhere' }).end()
      })
      const error = await failure(deliver(url))
      assert.deepEqual([error.detail['status'], error.detail['retryAfterMs'], requests], [status, 7_000, 1])
    })
  }

  test('that is not there, never answers, or hangs up is asked again later', async (t) => {
    const gone = await failure(deliver('http://127.0.0.1:1/'))
    assert.match(gone.message, /cannot reach 127\.0\.0\.1:1: /)
    const silent = await listen(t, () => undefined)
    assert.match((await failure(deliver(silent, { timeoutMs: 50 }))).message, /no answer in time/)
    const rude = await listen(t, (request) => request.socket.destroy())
    await failure(deliver(rude))
    const stopped = new AbortController()
    const waiting = failure(deliver(silent, {}, stopped.signal))
    stopped.abort()
    await waiting
  })

  test('whose secret cannot be read is told nothing', async (t) => {
    let requests = 0
    const url = await listen(t, () => (requests += 1))
    await failure(deliver(url, { secret: () => undefined }))
    assert.equal(requests, 0)
  })

  test('has an address with http or https, without a password, and a secret of the right form', () => {
    for (const url of ['ftp://a', 'nonsense', 'http://u:p@a/', 'file:///etc/passwd']) {
      assert.throws(() => createWebhookSink({ url, allowPrivate: true }), InputInvalidError, url)
    }
    for (const text of ['', 'whsec_', 'whsec_c2hvcnQ=', secret.slice(6), `${secret}!`, `whsec_${Buffer.alloc(65).toString('base64')}`]) {
      assert.throws(() => parseWebhookSecret(text), InputInvalidError, text)
    }
  })
})

describe('an address that is not public', () => {
  const hidden = [
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '127.9.9.9',
    '169.254.169.254',
    '172.31.255.255',
    '192.168.0.1',
    '224.0.0.1',
    '255.255.255.255',
  ]
  const hidden6 = [
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    'fc00::1',
    'fe80::1',
    'ff02::1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '2001:db8::1',
  ]

  test('is recognised, in both versions of IP', () => {
    for (const address of [...hidden, ...hidden6]) assert.ok(isPrivateAddress(address), address)
    for (const address of ['1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::8a']) assert.ok(!isPrivateAddress(address), address)
  })

  test('is not connected to unless the operator named it, however it is written', async (t) => {
    let requests = 0
    const url = new URL(
      await listen(t, (_request, response) => {
        requests += 1
        response.writeHead(204).end()
      }),
    )
    for (const host of ['127.0.0.1', 'localhost', '2130706433', '0x7f.1', '[::ffff:127.0.0.1]', '[::1]', '0']) {
      const error = await failure(deliver(`http://${host}:${url.port}/hook`, { allowPrivate: false }))
      assert.match(error.message, /not public; nothing is sent there/, host)
    }
    assert.equal(requests, 0)
    assert.deepEqual(await deliver(url.href), { outcome: 'accepted' })
  })
})
