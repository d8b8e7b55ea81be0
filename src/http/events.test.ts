import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, test, type TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { CloudEvent } from '../core/cloud-event.ts'
import { uuidv7 } from '../core/uuid.ts'
import type { StoreContext } from '../store/context.ts'
import { EmbeddedStore } from '../store/embedded-store.ts'
import { createStore } from '../store/open.ts'
import { openContext } from '../store/open-context.ts'
import { readSentEvents, type SentEvent } from '../testing/event-source.ts'
import { sealed } from '../testing/store-case.ts'
import { serveNewStore, type TestServer } from '../testing/served-store.ts'

/** How many clients follow at once; the nightly run asks for ten thousand. */
const FOLLOWERS = Number(process.env['ARTIFACT_STORE_FOLLOWERS'] ?? 2_000)
const FOLLOWING_CHILD = fileURLToPath(new URL('../testing/following-child.ts', import.meta.url))
const LONGEST_MS = 300_000

interface List {
  readonly events: readonly CloudEvent[]
  readonly cursor: string
}

interface Problem {
  readonly status: number
  readonly code: string
}

async function list({ address }: TestServer, query: Readonly<Record<string, string>> = {}): Promise<List> {
  const response = await fetch(`${address}/events?${new URLSearchParams(query).toString()}`)
  assert.equal(response.status, 200, await response.clone().text())
  // Sound: the schema of the route says so, and the cases look at what they need.
  return (await response.json()) as List
}

async function problem(
  server: TestServer,
  query: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Problem> {
  const response = await fetch(`${server.address}/events?${new URLSearchParams(query).toString()}`, { headers })
  assert.equal(response.headers.get('content-type'), 'application/problem+json')
  // Sound: as its media type says.
  const { status, code } = (await response.json()) as Problem
  assert.equal(status, response.status)
  return { status, code }
}

/** A server, and the parts of its store. */
async function serveParts(t: TestContext): Promise<{ readonly server: TestServer; readonly context: StoreContext; readonly store: EmbeddedStore }> {
  const folder = await mkdtemp(join(tmpdir(), 'events-http-'))
  await (await createStore(join(folder, 'store'))).close()
  const context = await openContext(join(folder, 'store'))
  const store = new EmbeddedStore(context)
  const server = await serveNewStore({ storeFor: () => store })
  t.after(async () => {
    await server.stop()
    await store.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { server, context, store }
}

async function tell({ registry }: StoreContext, data: string, count = 1): Promise<void> {
  await registry.write('tell', async (session) => {
    for (let number = 0; number < count; number += 1) {
      session.emit({ id: uuidv7(Date.now()), type: 'test.told', tenant: 'default', resource: 'store', actor: 'os:test', data: { data } })
    }
  })
}

/** Opens a stream of events. `next` gives the next one. */
async function follow(
  { address }: TestServer,
  query: Readonly<Record<string, string>> = {},
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly response: Response; readonly next: () => Promise<SentEvent | undefined>; readonly stop: () => void }> {
  const stop = new AbortController()
  const response = await fetch(`${address}/events?${new URLSearchParams(query).toString()}`, {
    headers: { Accept: 'text/event-stream', ...headers },
    signal: stop.signal,
  })
  const events = readSentEvents(response.body)
  const next = async (): Promise<SentEvent | undefined> => {
    const step = await events.next()
    return step.done === true ? undefined : step.value
  }
  return { response, next, stop: () => stop.abort() }
}

describe('pages of the log over HTTP', () => {
  test('hold CloudEvents, and continue at their cursor', async () => {
    const server = await serveNewStore()
    const receipt = await sealed(server.store, 'team/a', { a: 'a' }, { runId: 'r' })
    const { events, cursor } = await list(server)
    const [, , finalized] = events
    assert.ok(finalized !== undefined)
    const { data, time, hash, id, ...facts } = finalized
    assert.deepEqual(facts, {
      specversion: '1.0',
      source: `urn:uuid:${server.store.id}`,
      type: 'artifact-store.package.finalized',
      subject: `packages/${receipt.id}`,
      datacontenttype: 'application/json',
      seq: 3,
      tenant: 'team',
      actor: facts.actor,
      cursor,
    })
    assert.equal(data['manifestDigest'], receipt.manifestDigest)
    assert.match(`${time} ${hash} ${id}`, /^\d{4}-\d\d-\d\dT[\d:.]+Z [0-9a-f]{64} [0-9a-f-]{36}$/)
    // CloudEvents 1.0, section 3: names of attributes.
    assert.deepEqual(
      Object.keys(finalized).filter((name) => !/^[a-z0-9]{1,20}$/.test(name)),
      [],
    )
    assert.deepEqual(await list(server, { after: cursor }), { events: [], cursor })
    const first = await list(server, { limit: '1' })
    assert.deepEqual((await list(server, { after: first.cursor })).events, events.slice(1))
  })

  test('are filtered by types in our words or in those of CloudEvents, by repository and by resource', async () => {
    const server = await serveNewStore()
    const receipt = await sealed(server.store, 'team/a', { a: 'a' }, { tags: ['t'] })
    await server.store.tags.set('team/a', 'x', receipt.id)
    await sealed(server.store, 'team/b', { a: 'a' })
    const types = async (query: Readonly<Record<string, string>>): Promise<string> =>
      (await list(server, query)).events.map(({ type }) => type.slice(15)).join(' ')
    assert.equal(await types({ eventType: 'tag.set' }), 'tag.set')
    assert.equal(await types({ eventType: 'artifact-store.tag.*,store.created' }), 'store.created tag.set')
    assert.equal(await types({ repository: 'team/b' }), 'repository.created package.finalized')
    assert.equal(await types({ resource: `packages/${receipt.id}` }), 'package.finalized')
  })

  test('are waited for', { timeout: LONGEST_MS }, async () => {
    const server = await serveNewStore()
    const { cursor } = await list(server)
    const waiting = list(server, { after: cursor, wait: '60' })
    await sealed(server.store, 'team/a', { a: 'a' })
    assert.equal((await waiting).events[0]?.type, 'artifact-store.repository.created')
    const end = await list(server, { after: cursor, limit: '1000' })
    assert.deepEqual(await list(server, { after: end.cursor, wait: '0.001' }), { events: [], cursor: end.cursor })
  })

  test('of another log or beyond its end are gone; what is not understood is refused', async () => {
    const server = await serveNewStore()
    const foreign = Buffer.from('["another",1]').toString('base64url')
    assert.deepEqual(await problem(server, { after: foreign }), { status: 410, code: 'cursor_gone' })
    for (const query of [
      { after: 'x' },
      { limit: '0' },
      { limit: '1001' },
      { wait: '-1' },
      { wait: '301' },
      { wait: 'x' },
      { eventType: '' },
      { unknown: '1' },
    ]) {
      assert.deepEqual(await problem(server, query), { status: 422, code: 'input_invalid' }, JSON.stringify(query))
    }
    assert.deepEqual(await problem(server, { repository: 'No Name' }), { status: 422, code: 'name_invalid' })
    assert.equal((await fetch(`${server.address}/events`, { method: 'HEAD' })).status, 405)
  })
})

describe('streams of events', () => {
  test('send what was and what comes, each with its cursor', { timeout: LONGEST_MS }, async () => {
    const server = await serveNewStore()
    const { response, next, stop } = await follow(server)
    assert.equal(response.status, 200)
    assert.equal(response.headers.get('content-type'), 'text/event-stream')
    assert.equal(response.headers.get('cache-control'), 'no-store')
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
    const created = await next()
    assert.equal(created?.type, 'store.created')
    await sealed(server.store, 'team/a', { a: 'a' })
    const [first, second] = [await next(), await next()]
    assert.deepEqual([first?.type, second?.type], ['repository.created', 'package.finalized'])
    const { events } = await list(server)
    assert.deepEqual(
      [created, first, second].map((event) => [event?.id, event?.data]),
      events.map((event) => [event.cursor, JSON.stringify(event)]),
    )
    stop()
  })

  test('continue after the event that the client has seen last, wherever they began', { timeout: LONGEST_MS }, async () => {
    const server = await serveNewStore()
    await sealed(server.store, 'team/a', { a: 'a' })
    const [created, opened] = (await list(server)).events
    assert.ok(created !== undefined && opened !== undefined)
    const { next, stop } = await follow(server, { after: created.cursor }, { 'Last-Event-ID': opened.cursor })
    assert.equal((await next())?.type, 'package.finalized')
    stop()
    const again = await follow(server, { after: created.cursor }, { 'Last-Event-ID': '' })
    assert.equal((await again.next())?.id, opened.cursor)
    again.stop()
  })

  test('that a filter lets nothing through to tell at once where they are', { timeout: LONGEST_MS }, async () => {
    const server = await serveNewStore()
    await sealed(server.store, 'team/a', { a: 'a' })
    const { cursor } = await list(server)
    const { next, stop } = await follow(server, { eventType: 'nothing.of.it' })
    assert.deepEqual(await next(), { type: 'watermark', id: cursor, data: JSON.stringify({ cursor }) })
    stop()
  })

  test('that cannot begin are problems', async () => {
    const server = await serveNewStore()
    const accept = { Accept: 'text/event-stream' }
    const foreign = Buffer.from('["another",1]').toString('base64url')
    assert.deepEqual(await problem(server, {}, { ...accept, 'Last-Event-ID': foreign }), { status: 410, code: 'cursor_gone' })
    assert.deepEqual(await problem(server, { repository: 'No Name' }, accept), { status: 422, code: 'name_invalid' })
  })

  test('end properly when the server stops, and a page that is waited for can be asked for again', { timeout: LONGEST_MS }, async () => {
    const server = await serveNewStore()
    const { cursor } = await list(server)
    const { next } = await follow(server, { after: cursor })
    assert.equal((await next())?.type, 'watermark')
    const waiting = fetch(`${server.address}/events?wait=60&after=${cursor}`)
    // An answer to a later request tells that the server has met the earlier one.
    await list(server)
    await server.stop()
    // A body that is cut off would be an error here.
    assert.equal(await next(), undefined)
    const response = await waiting
    assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '1'])
  })

  test('of clients that are gone cost nothing any more', { timeout: 60_000 }, async (t) => {
    const { server, context } = await serveParts(t)
    const { cursor } = await list(server)
    const streams = await Promise.all(Array.from({ length: 50 }, () => follow(server, { after: cursor })))
    const pages = Array.from({ length: 50 }, () => {
      const stop = new AbortController()
      fetch(`${server.address}/events?wait=300&after=${cursor}`, { signal: stop.signal }).catch(() => undefined)
      return stop
    })
    await until(() => context.eventHub.waiting === 100)
    for (const { stop } of streams) stop()
    for (const stop of pages) stop.abort()
    await until(() => context.eventHub.waiting === 0)
  })

  test('to clients that read nothing wait for them in bounded memory, while others are served', { timeout: LONGEST_MS }, async (t) => {
    const { server, context } = await serveParts(t)
    const lazy = Array.from({ length: 20 }, () => {
      const socket = connect(Number(new URL(server.address).port), '127.0.0.1').pause()
      socket.write('GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n')
      return socket
    })
    const { next, stop } = await follow(server)
    await next()
    await until(() => context.eventHub.waiting === 21)
    const before = process.memoryUsage().rss
    // To be kept for twenty of them, these 64 MiB would take 1.3 GiB.
    for (let commit = 0; commit < 64; commit += 1) await tell(context, 'x'.repeat(32 * 1024), 32)
    for (let seen = 0; seen < 64 * 32; seen += 1) assert.equal((await next())?.type, 'test.told')
    const grown = process.memoryUsage().rss - before
    assert.ok(grown < 400 * 1024 * 1024, `${grown} bytes more`)
    stop()
    for (const socket of lazy) socket.destroy()
    await until(() => context.eventHub.waiting === 0)
  })
})

test(`${FOLLOWERS} clients cost no more reads of the database than one`, { timeout: LONGEST_MS }, async (t) => {
  const [one, many] = [await readsOf(t, 1), await readsOf(t, FOLLOWERS)]
  assert.ok(many <= one, `${many} reads, not ${one}`)
})

/** @returns how often the log was read while `count` clients were told of ten commits */
async function readsOf(t: TestContext, count: number): Promise<number> {
  const { server, context } = await serveParts(t)
  const { port } = new URL(server.address)
  const child = spawn(process.execPath, [FOLLOWING_CHILD, port, String(count)], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  assert.equal((await lines.next()).value, 'waiting')
  await until(() => context.eventHub.waiting === count)
  const started = performance.now()
  let reads = 0
  const { reader } = context.registry
  const query = reader.query.bind(reader)
  reader.query = <R>(bound: Parameters<typeof query>[0]): Promise<readonly R[]> => {
    if (bound.sql.includes('from "events"')) reads += 1
    return query<R>(bound)
  }
  for (let commit = 1; commit <= 10; commit += 1) {
    await tell(context, 'x')
    assert.equal((await lines.next()).value, String(commit))
  }
  // Four times a second somebody looks for what other processes commit, however many wait.
  const lasted = performance.now() - started
  const needed = reads - Math.ceil(lasted / 250)
  t.diagnostic(`${count} clients were told of ten commits in ${Math.round(lasted)} ms, with ${reads} reads`)
  await server.stop()
  assert.equal((await lines.next()).value, 'closed')
  child.kill()
  await once(child, 'close')
  return needed
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await nextTurn()
}
