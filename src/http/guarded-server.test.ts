import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request as httpRequest, type RequestListener, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type TestContext, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { dial, exchangeRaw, listen, parseAnswers, type RawAnswer, readToEnd } from '../testing/raw-http.ts'
import { createGuardedServer, type GuardedServer } from './guarded-server.ts'
import { bodyOf } from './request-body.ts'
import { defaultLimits, type ServerLimits } from './server-limits.ts'

const limits: ServerLimits = { ...defaultLimits(), lingerMs: 300, sweepMs: 20 }

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

/** A handler that keeps its answers until it is told to give them. */
class Holder {
  readonly held: { readonly request: IncomingMessage; readonly response: ServerResponse }[] = []
  readonly listener: RequestListener = (request, response) => {
    this.held.push({ request, response })
  }

  async reached(count: number): Promise<void> {
    while (this.held.length < count) await wait(2)
  }

  release(): void {
    for (const { response } of this.held.splice(0)) response.end('done')
  }
}

const get = (target: string, ...fields: readonly string[]): string => `${[`GET ${target} HTTP/1.1`, 'Host: a', ...fields].join('\r\n')}\r\n\r\n`
const closing = 'Connection: close'
const statuses = (answers: readonly RawAnswer[]): readonly number[] => answers.map(({ status }) => status)

async function ask(port: number, text: string): Promise<Socket> {
  const socket = await dial(port)
  socket.write(text)
  return socket
}

/** What has arrived once there is a whole answer without a body of its own framing. */
async function nextAnswer(socket: Socket): Promise<RawAnswer | undefined> {
  const [piece] = (await once(socket, 'data')) as [Buffer]
  return parseAnswers(piece.toString('latin1'))[0]
}

function assertOverloaded(answer: RawAnswer | undefined): void {
  assert.equal(answer?.status, 503)
  assert.equal(answer.fields.get('retry-after'), '1')
  assert.equal(answer.fields.get('content-type'), 'application/problem+json')
  const problem = JSON.parse(answer.body) as { code: string; retryable: boolean }
  assert.deepEqual([problem.code, problem.retryable], ['overloaded', true])
}

describe('too much', { timeout: 10_000 }, () => {
  test('requests under way: more are turned away, probes are not, and the connection goes on', async (t) => {
    const holder = new Holder()
    const { port, guarded } = await serve(
      t,
      (request, response) => (request.url === '/livez' ? response.end('ok') : holder.listener(request, response)),
      {
        maxInFlight: 2,
      },
    )
    const busy = await Promise.all([ask(port, get('/1')), ask(port, get('/2'))])
    await holder.reached(2)
    const socket = await ask(port, get('/3'))
    assertOverloaded(await nextAnswer(socket))
    socket.write(get('/livez'))
    assert.equal((await nextAnswer(socket))?.status, 200)
    holder.release()
    await Promise.all(busy.map(nextAnswer))
    socket.write(get('/4'))
    await holder.reached(1)
    holder.release()
    assert.equal((await nextAnswer(socket))?.status, 200)
    assert.deepEqual([guarded.counts().shed, guarded.counts().inFlight], [1, 0])
    for (const each of [socket, ...busy]) each.destroy()
  })

  test('requests that only wait for news do not count', async (t) => {
    const holder = new Holder()
    const { port, guarded } = await serve(t, holder.listener, { maxInFlight: 2 })
    const waiting = await Promise.all(Array.from({ length: 10 }, () => dial(port)))
    for (const [index, socket] of waiting.entries()) {
      socket.write(get('/events'))
      await holder.reached(index + 1)
      const { request } = holder.held.at(-1) ?? assert.fail()
      guarded.park(request)
      guarded.park(request)
    }
    assert.equal(guarded.counts().inFlight, 0)
    holder.release()
    await Promise.all(waiting.map(nextAnswer))
    assert.equal(guarded.counts().inFlight, 0)
    for (const each of waiting) each.destroy()
  })

  test('load: nothing is taken on, and no body is read', async (t) => {
    const { port } = await serve(t, () => assert.fail(), { load: { delayMs: 1_000_000, heapPart: 1, liveBytes: 1 } })
    await wait(5 * limits.sweepMs)
    const size = 1024 * 1024 * 1024
    const head = ['PUT / HTTP/1.1', 'Host: a', `Content-Length: ${size}`, 'Expect: 100-continue'].join('\r\n')
    const answers = await exchangeRaw(port, `${head}\r\n\r\n`)
    assertOverloaded(answers[0])
    assert.equal(answers[0]?.fields.get('connection'), 'close')
    assert.equal(answers.length, 1)
  })

  test('connections: on those above the limit only probes are answered', async (t) => {
    const { port } = await serve(t, (_request, response) => response.end('done'), { maxConnections: 2 })
    const open = await Promise.all([dial(port), dial(port)])
    await wait(50)
    assertOverloaded((await exchangeRaw(port, get('/')))[0])
    assert.deepEqual(statuses(await exchangeRaw(port, get('/livez', closing))), [200])
    open[0]?.destroy()
    while (statuses(await exchangeRaw(port, get('/', closing)))[0] !== 200) await wait(10)
    open[1]?.destroy()
  })

  test('requests sent ahead on one connection: they are not run, and the connection ends', async (t) => {
    const holder = new Holder()
    const { port } = await serve(t, holder.listener)
    const socket = await ask(port, get('/').repeat(100))
    await holder.reached(1)
    const received = readToEnd(socket)
    holder.release()
    assert.deepEqual(statuses(parseAnswers(await received)), [200])
    assert.equal(holder.held.length, 0)
  })

  test('uploads: those for which there is no room wait unread, and those that wait too long are turned away', async (t) => {
    const holder = new Holder()
    const MIB = 1024 * 1024
    const { port, guarded } = await serve(t, holder.listener, { uploads: { ...limits.uploads, roomBytes: 4 * MIB, waitMs: 200 } })
    const bytes = `PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${2 * MIB}\r\n\r\n${'x'.repeat(2 * MIB)}`
    const inside = await Promise.all([ask(port, bytes), ask(port, bytes)])
    await holder.reached(2)
    const turnedAway = ask(port, bytes).then(readToEnd)
    while (guarded.counts().uploadsWaiting === 0) await wait(2)
    assert.equal(holder.held.length, 2)
    assertOverloaded(parseAnswers(await turnedAway)[0])
    const waiting = await ask(port, bytes)
    while (guarded.counts().uploadsWaiting === 0) await wait(2)
    holder.release()
    await holder.reached(1)
    holder.release()
    assert.equal((await nextAnswer(waiting))?.status, 200)
    for (const each of [waiting, ...inside]) each.destroy()
    while (guarded.counts().connections > 0) await wait(5)
    assert.deepEqual([guarded.counts().inFlight, guarded.counts().uploadsWaiting], [0, 0])
  })

  test('an upload whose client goes away while it waits leaves nothing behind', async (t) => {
    const gate = Promise.withResolvers<undefined>()
    const MIB = 1024 * 1024
    const uploads = { ...limits.uploads, roomBytes: 2 * MIB }
    const read = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      await gate.promise
      for await (const piece of bodyOf(request)) void piece
      response.end()
    }
    const { port, guarded } = await serve(t, (request, response) => void read(request, response).catch(() => undefined), { uploads })
    const bytes = `PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${2 * MIB}\r\n\r\n${'x'.repeat(2 * MIB)}`
    const inside = exchangeRaw(port, bytes)
    while (guarded.counts().inFlight === 0) await wait(2)
    const waiting = await ask(port, bytes)
    while (guarded.counts().uploadsWaiting === 0) await wait(2)
    // The server does not read from it, so that it sees this only when its turn comes.
    waiting.destroy()
    gate.resolve(undefined)
    assert.deepEqual(statuses(await inside), [200])
    assert.deepEqual(statuses(await exchangeRaw(port, bytes)), [200])
    assert.deepEqual([guarded.counts().inFlight, guarded.counts().uploadsWaiting], [0, 0])
  })
})

describe('stopping', { timeout: 60_000 }, () => {
  test('lets requests under way end, and answers those that still come on their connections as the last ones', async (t) => {
    const holder = new Holder()
    const { port, guarded } = await serve(t, (request, response) =>
      request.url === '/now' ? response.end('now') : holder.listener(request, response),
    )
    const socket = await ask(port, get('/later'))
    const kept = await ask(port, get('/now'))
    assert.equal((await nextAnswer(kept))?.fields.get('connection'), 'keep-alive')
    await holder.reached(1)
    const drained = guarded.drain(30_000)
    assert.equal(guarded.stopping.aborted, true)
    await assert.rejects(dial(port), { code: 'ECONNREFUSED' })
    kept.write(get('/now'))
    const [last] = parseAnswers(await readToEnd(kept))
    assert.deepEqual([last?.status, last?.fields.get('connection')], [200, 'close'])
    const received = readToEnd(socket)
    holder.release()
    const [later] = parseAnswers(await received)
    assert.deepEqual([later?.body, later?.fields.get('connection')], ['done', 'close'])
    await drained
  })

  test('ends idle connections, and streams that wait for news', async (t) => {
    const { port, guarded } = await serve(t, (_request, response) => {
      response.write('news')
      guarded.stopping.addEventListener('abort', () => response.end('.'))
    })
    const idle = await dial(port)
    const idleEnded = readToEnd(idle)
    const stream = await ask(port, get('/events'))
    assert.equal((await nextAnswer(stream))?.body, 'news')
    const ended = readToEnd(stream)
    await guarded.drain(30_000)
    assert.equal(await idleEnded, '')
    assert.equal(await ended, '1\r\n.\r\n0\r\n\r\n')
  })

  test('cuts what is not done at the deadline', async (t) => {
    const holder = new Holder()
    const { port, guarded } = await serve(t, holder.listener)
    const socket = await ask(port, get('/'))
    await holder.reached(1)
    const received = readToEnd(socket)
    await guarded.drain(50)
    assert.equal(await received, '')
  })

  test('loses nothing that was acknowledged, and does nothing that was not begun', async (t) => {
    const kept = new Set<string>()
    const { port, guarded } = await serve(t, (request, response) => {
      const answer = async (): Promise<void> => {
        let text = ''
        for await (const piece of bodyOf(request)) text += Buffer.from(piece).toString()
        await wait(Math.random() * 5)
        kept.add(text)
        response.end()
      }
      answer().catch(() => undefined)
    })
    const agent = new Agent({ keepAlive: true, maxSockets: 16 })
    const acknowledged = new Set<string>()
    let failed = 0
    const client = async (name: string): Promise<void> => {
      for (let turn = 0; failed < 200; turn += 1) {
        const text = `${name}-${turn}`
        const done = await new Promise<boolean>((resolve) => {
          const request = httpRequest({ port, agent, method: 'PUT', host: '127.0.0.1' }, (response) => {
            response.resume().on('end', () => resolve(response.statusCode === 200))
          })
          request.on('error', () => resolve(false)).end(text)
        })
        if (done) acknowledged.add(text)
        else failed += 1
      }
    }
    const clients = Promise.all(Array.from({ length: 16 }, (_, index) => client(String(index))))
    while (acknowledged.size < 500) await wait(1)
    await guarded.drain(10_000)
    await clients
    agent.destroy()
    assert.ok(acknowledged.size >= 500)
    assert.deepEqual(acknowledged.difference(kept), new Set())
    // What was kept without being acknowledged would mean that an answer was cut although there was time to give it.
    assert.deepEqual(kept.difference(acknowledged), new Set())
  })
})
