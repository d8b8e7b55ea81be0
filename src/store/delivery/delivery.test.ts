import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { BackendFailedError, FileNotFoundError, ServerUnreachableError } from '../../core/errors.ts'
import type { DeliveryOutcome, EventSink, OutgoingMessage } from '../../ports/event-sink.ts'
import { findDelivery, listDeadLetters, saveDelivery } from '../../registry/deliveries.ts'
import { sealed } from '../../testing/store-case.ts'
import type { StoreContext } from '../context.ts'
import { EmbeddedStore } from '../embedded-store.ts'
import { createStore } from '../open.ts'
import { openContext } from '../open-context.ts'
import { renderCloudEvent } from './cloud-event-renderer.ts'
import { Delivery } from './delivery.ts'
import type { DeliveryTarget, Renderer } from './delivery-target.ts'

/** A target that remembers what it took, in order, and answers as it is told to. */
class Listener implements EventSink {
  readonly taken: string[] = []
  answer: (message: OutgoingMessage) => Promise<DeliveryOutcome> | DeliveryOutcome = () => ({ outcome: 'accepted' })

  async deliver(message: OutgoingMessage): Promise<DeliveryOutcome> {
    const outcome = await this.answer(message)
    if (outcome.outcome === 'accepted') this.taken.push(message.id)
    return outcome
  }

  target(given: Partial<DeliveryTarget> = {}): DeliveryTarget {
    return { name: 'listener', wants: {}, render: renderCloudEvent, sink: this, ...given }
  }
}

/** What was opened of each store. */
const users = new Map<string, EmbeddedStore[]>()

async function newStore(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'delivery-'))
  t.after(async () => {
    for (const store of users.get(join(folder, 'store')) ?? []) await store.close()
    await rm(folder, { recursive: true, force: true })
  })
  const directory = join(folder, 'store')
  await (await createStore(directory)).close()
  return directory
}

interface Opened {
  readonly context: StoreContext
  readonly store: EmbeddedStore
}

async function open(directory: string): Promise<Opened> {
  const context = await openContext(directory)
  const store = new EmbeddedStore(context)
  users.set(directory, [...(users.get(directory) ?? []), store])
  return { context, store }
}

const delivery = ({ context, store }: Opened, ...targets: DeliveryTarget[]): Delivery =>
  new Delivery(context, store, targets, { firstDelayMs: 1, longestDelayMs: 20 })
const flush = async (opened: Opened, target: DeliveryTarget): Promise<string | undefined> =>
  (await delivery(opened, target).flush({ deadlineMs: 30_000 }))[0]?.state
const idsOf = async ({ store }: Opened): Promise<readonly string[]> => (await store.events.list()).events.map(({ id }) => id)

/** Resolves when a condition holds; the test's own limit ends it otherwise. */
async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('a target outside', () => {
  test('is told every event in order, and what happens while it listens', { timeout: 60_000 }, async (t) => {
    const opened = await open(await newStore(t))
    await sealed(opened.store, 'demo/a', { f: '1' })
    const listener = new Listener()
    const stop = new AbortController()
    const running = delivery(opened, listener.target()).run(stop.signal)
    await until(() => listener.taken.length === 3)
    await sealed(opened.store, 'demo/b', { f: '2' })
    await until(() => listener.taken.length === 5)
    stop.abort()
    await running
    assert.deepEqual(listener.taken, await idsOf(opened))
  })

  test('is told only what it wants and what there is to say, as a CloudEvent unless it has words of its own', async (t) => {
    const opened = await open(await newStore(t))
    for (const name of ['demo/a', 'other/b']) await sealed(opened.store, name, { f: name })
    const bodies: unknown[] = []
    const listener = new Listener()
    listener.answer = ({ body }) => {
      bodies.push(JSON.parse(Buffer.from(body).toString()))
      return { outcome: 'accepted' }
    }
    const wants = { types: ['package.*'], repository: 'demo' }
    assert.equal(await flush(opened, listener.target({ wants })), 'told')
    assert.deepEqual(
      bodies.map((body) => (body as { type: string }).type),
      ['artifact-store.package.finalized'],
    )
    const silent: Renderer = () => Promise.resolve(undefined)
    assert.equal(await flush(opened, listener.target({ name: 'silent', render: silent })), 'told')
    assert.equal(bodies.length, 1)
  })

  test('that is away is tried again until it is there, and nothing is lost or out of order', { timeout: 60_000 }, async (t) => {
    const opened = await open(await newStore(t))
    const listener = new Listener()
    let [away, attempts] = [true, 0]
    listener.answer = () => {
      attempts += 1
      if (away) throw new ServerUnreachableError('away')
      return { outcome: 'accepted' }
    }
    const stop = new AbortController()
    const running = delivery(opened, listener.target()).run(stop.signal)
    await sealed(opened.store, 'demo/a', { f: '1' })
    await until(() => attempts >= 5)
    const row = await findDelivery(opened.context.registry.reader, 'listener')
    assert.ok(row !== undefined && row.failures >= 3)
    assert.equal(row.reason, 'away')
    away = false
    await until(() => listener.taken.length === 3)
    stop.abort()
    await running
    assert.deepEqual(listener.taken, await idsOf(opened))
    const after = await findDelivery(opened.context.registry.reader, 'listener')
    assert.deepEqual([after?.failures, after?.reason], [0, undefined])
  })

  test('that refuses an event for good is told the next; what it refused is kept, with its reason', async (t) => {
    const opened = await open(await newStore(t))
    await sealed(opened.store, 'demo/a', { f: '1' })
    const [first, second = '', third] = await idsOf(opened)
    const listener = new Listener()
    listener.answer = ({ id }) => (id === second ? { outcome: 'rejected', reason: 'answered 422: no' } : { outcome: 'accepted' })
    assert.equal(await flush(opened, listener.target()), 'told')
    assert.deepEqual(listener.taken, [first, third])
    const letters = await listDeadLetters(opened.context.registry.reader, 'listener', 0, 10)
    assert.deepEqual(
      letters.map(({ seq, eventId, reason }) => [seq, eventId, reason]),
      [[2, second, 'answered 422: no']],
    )
  })

  test('is not kept from the rest by an event that nobody can put into words any more, but by trouble that passes', async (t) => {
    const opened = await open(await newStore(t))
    const [listener, patient] = [new Listener(), new Listener()]
    const lost: Renderer = () => Promise.reject(new FileNotFoundError('it is gone'))
    assert.equal(await flush(opened, listener.target({ render: lost })), 'told')
    assert.equal((await listDeadLetters(opened.context.registry.reader, 'listener', 0, 10)).length, 1)
    const troubled: Renderer = () => Promise.reject(new BackendFailedError('the disk is away'))
    assert.equal(await flush(opened, patient.target({ name: 'patient', render: troubled })), 'pending')
    assert.deepEqual(await listDeadLetters(opened.context.registry.reader, 'patient', 0, 10), [])
  })

  test('goes on where it was when the store is opened again, and is not told twice', async (t) => {
    const directory = await newStore(t)
    const listener = new Listener()
    const first = await open(directory)
    assert.equal(await flush(first, listener.target()), 'told')
    await first.store.close()
    const second = await open(directory)
    await sealed(second.store, 'demo/a', { f: '1' })
    assert.equal(await flush(second, listener.target()), 'told')
    assert.equal(await flush(second, listener.target()), 'told')
    assert.deepEqual(listener.taken, await idsOf(second))
  })

  test('that was told of another log is told of this one from its beginning, and so is one that knows more than there is', async (t) => {
    const opened = await open(await newStore(t))
    const listener = new Listener()
    const { registry, logId } = opened.context
    for (const position of [
      { logId: 'another', seq: 1 },
      { logId, seq: 77 },
    ]) {
      listener.taken.length = 0
      await registry.write('test', (session) => saveDelivery(session, 'listener', position))
      assert.equal(await flush(opened, listener.target()), 'told')
      assert.deepEqual(listener.taken, await idsOf(opened))
    }
  })

  test('is told by one process at a time', { timeout: 60_000 }, async (t) => {
    const directory = await newStore(t)
    const [one, other] = [await open(directory), await open(directory)]
    const listener = new Listener()
    const { promise: released, resolve: release } = Promise.withResolvers<DeliveryOutcome>()
    const { promise: begun, resolve: begin } = Promise.withResolvers<undefined>()
    listener.answer = () => {
      begin(undefined)
      return released
    }
    const first = flush(one, listener.target())
    await begun
    assert.equal(await flush(other, listener.target()), 'pending')
    release({ outcome: 'accepted' })
    assert.equal(await first, 'told')
    assert.deepEqual(listener.taken, await idsOf(one))
  })

  test('that never answers costs an ingest no more than its deadline, and writers nothing', { timeout: 10_000 }, async (t) => {
    const opened = await open(await newStore(t))
    const listener = new Listener()
    const sink: EventSink = {
      deliver: (_message, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new ServerUnreachableError('stopped')))),
    }
    const flushing = delivery(opened, listener.target({ sink })).flush({ deadlineMs: 200 })
    await sealed(opened.store, 'demo/a', { f: '1' })
    assert.deepEqual((await flushing)[0]?.state, 'pending')
  })

  test('takes each event once in effect, whatever it answers and whoever delivers', { timeout: 120_000 }, async (t) => {
    const directory = await newStore(t)
    const processes = [await open(directory), await open(directory)]
    const [one] = processes
    assert.ok(one !== undefined)
    for (let index = 0; index < 6; index += 1) await sealed(one.store, 'demo/a', { f: String(index) })
    const ids = await idsOf(one)
    let run = 0
    const answers = fc.array(fc.constantFrom('accept', 'fail', 'lose the answer'), { maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(answers, async (script) => {
        const listener = new Listener()
        const seen: string[] = []
        const steps = script.values()
        listener.answer = ({ id }) => {
          const { value: step = 'accept' } = steps.next()
          if (step !== 'fail') seen.push(id)
          if (step !== 'accept') throw new ServerUnreachableError(step)
          return { outcome: 'accepted' }
        }
        const target = listener.target({ name: `t${++run}` })
        for (let turn = 0; ; turn += 1) {
          const opened = processes[turn % 2]
          if (opened !== undefined && (await flush(opened, target)) === 'told') break
        }
        assert.deepEqual([...new Set(seen)], ids, 'each of them, first seen in order')
        assert.deepEqual(listener.taken, ids)
      }),
      { numRuns: 20 },
    )
  })
})
