import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClosedError, DocumentInvalidError, OverloadedError, ServerUnreachableError, StoreReadOnlyError } from '../core/errors.ts'
import { problemOf } from '../http/problem.ts'
import { type Call, Connection, type ConnectOptions, type Fetch } from './connection.ts'

const GET: Call = { method: 'GET', path: 'x' }
const POST: Call = { method: 'POST', path: 'x', body: '{}' }

type Answer = Response | Error | (() => Promise<Response>)

/** A `fetch` that gives these answers, one after the other; waits take no time. */
function connection(answers: readonly Answer[], options: ConnectOptions = {}): { readonly to: Connection; readonly requests: RequestInit[] } {
  const requests: RequestInit[] = []
  const fetch: Fetch = async (_url, init) => {
    requests.push(init)
    const answer = answers[requests.length - 1]
    if (answer === undefined) throw new Error('one request too many')
    if (answer instanceof Error) throw answer
    return answer instanceof Response ? answer : answer()
  }
  return { to: new Connection('http://h/', { fetch, ...options }), requests }
}

const json = (value: object, status = 200, headers: Record<string, string> = {}): Response => Response.json(value, { status, headers })
const lost = (): Error => Object.assign(new TypeError('fetch failed'), { cause: Object.assign(new Error('reset'), { code: 'ECONNRESET' }) })
const refused = (): Error => Object.assign(new TypeError('fetch failed'), { cause: Object.assign(new Error('no'), { code: 'ECONNREFUSED' }) })
const overloaded = (): Response => new Response('', { status: 503, headers: { 'retry-after': '0' } })
const value = (found: unknown): unknown => found

test('a request that may be repeated is, when the connection broke off or a server between lost the one behind it', async () => {
  const { to, requests } = connection([lost(), new Response('', { status: 502 }), overloaded(), json({ a: 1 })])
  assert.deepEqual(await to.json(GET, value), { a: 1 })
  assert.equal(requests.length, 4)
})

test('one that may not be repeated is sent again only when nothing was done for sure', async () => {
  const { to, requests } = connection([refused(), overloaded(), json({ a: 1 })])
  assert.deepEqual(await to.json(POST, value), { a: 1 })
  assert.equal(requests.length, 3)
  for (const answer of [lost(), new Response('', { status: 504 })]) {
    const once = connection([answer])
    await assert.rejects(once.to.json(POST, value), ServerUnreachableError)
    assert.equal(once.requests.length, 1)
  }
})

test('an answer that breaks off while it is read is asked for again', async () => {
  const broken = (): Promise<Response> =>
    Promise.resolve(
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(Buffer.from('{"a"')),
          pull: () => Promise.reject(lost()),
        }),
      ),
    )
  const { to } = connection([broken, json({ a: 1 })])
  assert.deepEqual(await to.json(GET, value), { a: 1 })
})

test('what is given up says which server it was and why', async () => {
  const { to, requests } = connection([refused(), refused()], { retries: 1 })
  await assert.rejects(to.json(GET, value), (error: unknown) => {
    assert.ok(error instanceof ServerUnreachableError)
    assert.equal(error.message, 'cannot reach the server http://h/: nothing listens there')
    assert.deepEqual([error.retryable, error.detail], [true, { url: 'http://h/' }])
    assert.ok(error.cause instanceof TypeError)
    return true
  })
  assert.equal(requests.length, 2)
})

test('a refusal that will be the same next time is not tried again, whatever its status', async () => {
  const problem = problemOf(new StoreReadOnlyError('a flush failed'))
  const { to, requests } = connection([json(problem, 503)])
  await assert.rejects(to.json(GET, value), StoreReadOnlyError)
  assert.equal(requests.length, 1)
})

test('an answer that was lost is waited for, as long as the server is still at work on it', async () => {
  const running = (): Response => json({ code: 'idempotency_running', detail: 'still running' }, 409)
  const { to, requests } = connection([lost(), running(), json({ a: 1 })])
  assert.deepEqual(await to.json({ ...POST, repeatable: true }, value), { a: 1 })
  assert.equal(requests.length, 3)
})

test('a server that asks for an hour is told on at once', async () => {
  const { to, requests } = connection([new Response('', { status: 503, headers: { 'retry-after': '3600' } })])
  await assert.rejects(to.json(GET, value), OverloadedError)
  assert.equal(requests.length, 1)
})

test('a stream that began to be read cannot be sent again; one that did not can', async () => {
  const stream = (async function* () {
    yield Buffer.from('once')
  })()
  const readIt = (init: RequestInit): Promise<string> => new Response(init.body ?? null).text()
  const seen: string[] = []
  const fetch: Fetch = async (_url, init) => {
    if (seen.push('asked') === 1) throw refused()
    seen.push(await readIt(init))
    throw refused()
  }
  const to = new Connection('http://h/', { fetch })
  await assert.rejects(to.json({ method: 'PUT', path: 'x', body: { once: stream } }, value), ServerUnreachableError)
  assert.deepEqual(seen, ['asked', 'asked', 'once'])
})

test('what goes wrong with the source of a body is told as it is', async () => {
  const trouble = new Error('the disk is on fire')
  const fetch: Fetch = async (_url, init) => {
    await new Response(init.body ?? null).text()
    return json({})
  }
  const to = new Connection('http://h/', { fetch })
  const open = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    yield Buffer.from('x')
    throw trouble
  }
  await assert.rejects(to.json({ method: 'PUT', path: 'x', body: { size: 2, open } }, value), (error: unknown) => error === trouble)
})

test('an abort ends a request and the waiting between two', async () => {
  const stop = new AbortController()
  const reason = new Error('enough')
  const { to } = connection([overloaded(), json({})], {
    fetch: async () => {
      queueMicrotask(() => stop.abort(reason))
      return overloaded()
    },
  })
  await assert.rejects(to.json({ ...GET, signal: stop.signal }, value), (error: unknown) => {
    assert.ok(error instanceof Error)
    assert.deepEqual(['code' in error ? error.code : '', error.cause], ['aborted', reason])
    return true
  })
})

test('a closed connection ends what is under way and refuses what comes', async () => {
  const { to } = connection([() => new Promise(() => undefined)], {
    fetch: (_url, { signal }) => new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(new Error('gone')))),
  })
  const waiting = to.json(GET, value)
  to.close()
  await assert.rejects(waiting, ClosedError)
  await assert.rejects(to.json(GET, value), ClosedError)
})

test('the token goes with every request, and in no message', async () => {
  const { to, requests } = connection([json({ code: 'forbidden', detail: 'no' }, 403)], { token: 'very-secret' })
  await assert.rejects(to.json(GET, value), (error: unknown) => !JSON.stringify([String(error), error]).includes('very-secret'))
  assert.equal(new Headers(requests[0]?.headers).get('authorization'), 'Bearer very-secret')
})

test('an answer that is no JSON is not understood', async () => {
  await assert.rejects(connection([new Response('<html>')]).to.json(GET, value), DocumentInvalidError)
})

test('bytes are counted as they go and come', async () => {
  const seen: object[] = []
  const { to } = connection([json({ a: 1 })], { onProgress: (progress) => seen.push(progress) })
  await to.json({ ...POST, body: 'é' }, value)
  assert.deepEqual(seen.at(-1), { sent: 2, received: 7 })
})
