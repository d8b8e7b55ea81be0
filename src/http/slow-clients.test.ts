import assert from 'node:assert/strict'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { type TestContext, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { dial, exchangeRaw, listen, parseAnswers, type RawAnswer, readToEnd } from '../testing/raw-http.ts'
import { createGuardedServer, type GuardedServer } from './guarded-server.ts'
import { bodyOf } from './request-body.ts'
import { defaultLimits, type ServerLimits } from './server-limits.ts'

const KIB = 1024
const MIB = 1024 * KIB
const paced = { idleMs: 1_000, windowMs: 1_000, bytesPerSecond: 1_000 }
const defaults = defaultLimits()
const limits: ServerLimits = {
  ...defaults,
  headersMs: 500,
  keepAliveMs: 100,
  body: paced,
  answer: paced,
  lingerMs: 500,
  sweepMs: 50,
}

interface Rig {
  readonly guarded: GuardedServer
  readonly port: number
}

async function serve(t: TestContext, handler: RequestListener, changes: Partial<ServerLimits> = {}): Promise<Rig> {
  const guarded = createGuardedServer(handler, { ...limits, ...changes })
  const port = await listen(guarded.server)
  t.after(() => guarded.drain(0))
  return { guarded, port }
}

/** Reads the body and answers with its length; a body that breaks off is put down. */
function counting(broken: string[] = []): RequestListener {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let size = 0
    try {
      for await (const piece of bodyOf(request)) size += piece.length
      response.end(String(size))
    } catch (error) {
      broken.push(String(error))
    }
  }
  return (request, response) => void answer(request, response)
}

/** Sends a piece every so often until the connection is closed, or has been sent so many. */
async function drip(socket: Socket, piece: string, everyMs: number, times = Infinity): Promise<void> {
  for (let sent = 0; sent < times && socket.writable; sent += 1) {
    socket.write(piece)
    await wait(everyMs)
  }
}

async function answersOf(socket: Socket): Promise<readonly RawAnswer[]> {
  return parseAnswers(await readToEnd(socket))
}

const put = (size: number, ...fields: readonly string[]): string =>
  `${['PUT / HTTP/1.1', 'Host: a', `Content-Length: ${size}`, ...fields].join('\r\n')}\r\n\r\n`
const statuses = (answers: readonly RawAnswer[]): readonly number[] => answers.map(({ status }) => status)

describe('header fields', { timeout: 30_000 }, () => {
  test('that trickle in are cut with 408', async (t) => {
    const { port } = await serve(t, counting())
    const socket = await dial(port)
    const answers = answersOf(socket)
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n')
    await drip(socket, 'X: y\r\n', 20)
    const [answer] = await answers
    assert.equal(answer?.status, 408)
    assert.equal(answer.fields.get('content-type'), 'application/problem+json')
  })

  test('that never come end the connection without a word', async (t) => {
    const { port } = await serve(t, counting())
    assert.deepEqual(await answersOf(await dial(port)), [])
  })

  test('an idle connection is closed after a while', async (t) => {
    const { port } = await serve(t, counting())
    assert.deepEqual(statuses(await exchangeRaw(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')), [200])
  })
})

describe('a body', { timeout: 60_000 }, () => {
  test('that trickles in is cut, and whoever reads it hears of that', async (t) => {
    const broken: string[] = []
    const { port, guarded } = await serve(t, counting(broken))
    const socket = await dial(port)
    const answers = answersOf(socket)
    answers.catch(() => undefined)
    // More than is gathered before anybody reads.
    socket.write(put(MIB) + 'x'.repeat(100 * KIB))
    await drip(socket, 'x', 20)
    // The client still sends: a reset may overtake the answer. That it is 408 is seen where nothing more comes.
    const seen = await answers.then(statuses, () => [])
    assert.deepEqual(
      seen.filter((status) => status !== 408),
      [],
    )
    while (broken.length === 0) await wait(10)
    assert.equal(guarded.counts().cut, 1)
    assert.equal(guarded.counts().inFlight, 0)
  })

  test('of which nothing more comes is cut with 408', async (t) => {
    const { port } = await serve(t, counting())
    assert.deepEqual(statuses(await exchangeRaw(port, `${put(100)}x`)), [408])
  })

  test('that never comes after 100 Continue is cut with 408', async (t) => {
    const { port } = await serve(t, counting())
    assert.deepEqual(statuses(await exchangeRaw(port, put(100, 'Expect: 100-continue'))), [408])
  })

  test('that is slow but steady arrives', async (t) => {
    const { port } = await serve(t, counting())
    const socket = await dial(port)
    const answers = answersOf(socket)
    // 20 times the least rate, for three windows.
    socket.write(put(60_000, 'Connection: close'))
    await drip(socket, 'x'.repeat(1_000), 50, 60)
    const [answer] = await answers
    assert.equal(answer?.body, '60000')
  })

  test('waits as long as the server likes when the server is the slow one', async (t) => {
    const { port } = await serve(t, (request, response) => {
      void wait(3 * paced.idleMs).then(() => counting()(request, response))
    })
    const [answer] = await exchangeRaw(port, put(MIB, 'Connection: close') + 'x'.repeat(MIB))
    assert.equal(answer?.body, String(MIB))
  })

  test('that is refused while it is sent does not cost the client the answer', async (t) => {
    const { port } = await serve(t, (_request, response) => response.writeHead(403).end('no'))
    for (let turn = 0; turn < 20; turn += 1) {
      const [answer] = await exchangeRaw(port, put(8 * MIB) + 'x'.repeat(4 * MIB))
      assert.deepEqual([answer?.status, answer?.body, answer?.fields.get('connection')], [403, 'no', 'close'])
    }
  })

  test('that goes on for ever after it was refused is cut', async (t) => {
    const { port, guarded } = await serve(t, (_request, response) => response.writeHead(403).end('no'))
    const socket = await dial(port)
    socket.write(put(1_000 * MIB) + 'x'.repeat(100 * KIB))
    await drip(socket, 'x'.repeat(KIB), 10)
    assert.equal(guarded.counts().connections, 0)
  })
})

describe('slow bodies', { timeout: 60_000 }, () => {
  test('take no place from others before they have arrived', async (t) => {
    const { port, guarded } = await serve(t, counting(), { maxInFlight: 2 })
    const slow = await Promise.all(Array.from({ length: 20 }, () => dial(port)))
    for (const socket of slow) socket.write(`${put(1_000)}x`)
    while (guarded.counts().connections < slow.length) await wait(5)
    const [answer] = await exchangeRaw(port, put(1_000, 'Connection: close') + 'x'.repeat(1_000))
    assert.equal(answer?.body, '1000')
    for (const socket of slow) socket.destroy()
  })

  test('that have room must hurry when others wait for it', async (t) => {
    const uploads = { ...defaults.uploads, roomBytes: 2 * MIB, contended: { idleMs: 200, windowMs: 200, bytesPerSecond: 100_000 } }
    const { port, guarded } = await serve(t, counting(), { uploads })
    const slow = await dial(port)
    const cut = answersOf(slow)
    slow.write(put(2 * MIB) + 'x'.repeat(200 * KIB))
    while (guarded.counts().inFlight === 0) await wait(5)
    // Fast enough as long as nobody waits.
    const dripping = drip(slow, 'x'.repeat(200), 50)
    await wait(600)
    assert.equal(guarded.counts().cut, 0)
    const [answer] = await exchangeRaw(port, put(MIB, 'Connection: close') + 'x'.repeat(MIB))
    assert.equal(answer?.body, String(MIB))
    assert.deepEqual(statuses(await cut), [408])
    await dripping
  })
})

describe('an answer', { timeout: 60_000 }, () => {
  /** Sends more than the buffers between two sockets hold, as fast as it is taken. */
  const large: RequestListener = (_request, response) => {
    Readable.from(Array.from({ length: 16 }, () => Buffer.alloc(MIB))).pipe(response)
  }
  const get = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

  test('that nobody takes is cut', async (t) => {
    const { port, guarded } = await serve(t, large)
    const socket = await dial(port)
    socket.pause().write(get)
    while (guarded.counts().inFlight === 0) await wait(5)
    while (guarded.counts().inFlight > 0) await wait(20)
    assert.equal(guarded.counts().cut, 1)
    socket.destroy()
  })

  test('that is taken slowly but steadily comes whole', async (t) => {
    const { port } = await serve(t, large)
    const socket = await dial(port)
    let received = 0
    socket.write(get)
    for await (const piece of socket) {
      // Sound: no encoding is set, so that pieces are bytes.
      received += (piece as Buffer).length
      await wait(5)
    }
    assert.ok(received > 16 * MIB)
  })

  test('that waits for the handler is not the client’s fault', async (t) => {
    const { port } = await serve(t, (_request, response) => {
      response.write('a')
      void wait(3 * paced.idleMs).then(() => response.end('b'))
    })
    const [answer] = await exchangeRaw(port, get)
    assert.equal(answer?.body, 'ab')
  })
})
