import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { grantedAccess, parseRepositoryPattern } from '../core/access.ts'
import { uuidv7 } from '../core/uuid.ts'
import { collect, rejectsWith } from '../testing/store-case.ts'
import type { StoreContext } from './context.ts'
import { EmbeddedEvents } from './events.ts'
import type { EventFilter, EventPage, StoreEvent } from './event-interface.ts'
import { createStore } from './open.ts'
import { closeContext, openContext } from './open-context.ts'

const LONGEST_MS = 300_000

/** A new store, and the parts of it as this process and (with `openAgain`) others have them. */
async function someStore(t: TestContext): Promise<{ readonly context: StoreContext; readonly openAgain: () => Promise<StoreContext> }> {
  const folder = await mkdtemp(join(tmpdir(), 'events-'))
  const directory = join(folder, 'data')
  await (await createStore(directory)).close()
  t.after(() => rm(folder, { recursive: true, force: true }))
  const openAgain = async (): Promise<StoreContext> => {
    const context = await openContext(directory)
    // It reads the log, too, whenever its time has come.
    t.mock.method(context.mirror, 'catchUp', () => Promise.resolve(true))
    t.after(() => closeContext(context).catch(() => undefined))
    return context
  }
  return { context: await openAgain(), openAgain }
}

interface Told {
  readonly type?: string
  readonly repository?: string | undefined
  readonly data?: string
}

/** Commits events, whatever they say. */
async function tell({ registry }: StoreContext, ...told: readonly Told[]): Promise<void> {
  await registry.write('tell', async (session) => {
    for (const { type = 'test.happened', repository, data = '' } of told) {
      session.emit({
        id: uuidv7(Date.now()),
        type,
        tenant: 'default',
        resource: repository === undefined ? 'store' : `repositories/${repository}`,
        actor: 'os:test',
        data: repository === undefined ? { data } : { repository, data },
      })
    }
  })
}

async function tellMany(context: StoreContext, count: number, told: Told): Promise<void> {
  for (let rest = count; rest > 0; rest -= 5_000) await tell(context, ...Array<Told>(Math.min(rest, 5_000)).fill(told))
}

/** Counts statements that read the log, from now on. (A mock of node:test would keep what they return.) */
function countReads({ registry: { reader } }: StoreContext): () => number {
  let count = 0
  const query = reader.query.bind(reader)
  reader.query = <R>(bound: Parameters<typeof query>[0]): Promise<readonly R[]> => {
    if (bound.sql.includes('from "events"')) count += 1
    return query<R>(bound)
  }
  return () => count
}

async function end(events: EmbeddedEvents): Promise<string> {
  for (let after: string | undefined; ;) {
    const { cursor } = await events.list({ limit: 1_000, types: ['nothing.of.it'], ...(after === undefined ? {} : { after }) })
    if (cursor === after) return cursor
    after = cursor
  }
}

/** Bytes of the heap that are in use. */
const heapInUse = (() => {
  setFlagsFromString('--expose-gc')
  // Sound: the flag above makes this function.
  const collectGarbage = runInNewContext('gc') as () => void
  return (): number => {
    collectGarbage()
    return process.memoryUsage().heapUsed
  }
})()

describe('followers of the log', () => {
  /** @returns how often the log was read while `count` followers were told of ten commits */
  async function readsOf(t: TestContext, count: number): Promise<number> {
    const { context } = await someStore(t)
    const stop = new AbortController()
    const restricted = { ...context, access: grantedAccess('token:x', [{ verbs: ['read'], repositories: [parseRepositoryPattern('mine/**')] }]) }
    const kinds = [
      { context, filter: {}, sees: 10 },
      { context, filter: { repository: 'mine' }, sees: 5 },
      { context, filter: { types: ['nothing.of.it'] }, sees: 0 },
      { context: restricted, filter: {}, sees: 5 },
    ] as const
    const start = await end(new EmbeddedEvents(context))
    const seen = Array<number>(count).fill(0)
    const following = seen.map(async (_nothing, index) => {
      const { context: own, filter } = kinds[index % kinds.length] ?? kinds[0]
      for await (const page of new EmbeddedEvents(own).pages({ ...filter, after: start, signal: stop.signal }))
        seen[index] = (seen[index] ?? 0) + page.events.length
    })
    await nextTurn()
    const reads = countReads(context)
    for (let commit = 1; commit <= 10; commit += 1) {
      await tell(context, { repository: commit % 2 === 0 ? 'mine/a' : 'other' })
      while (seen[0] !== commit) await nextTurn()
    }
    await nextTurn()
    stop.abort()
    t.mock.timers.tick(1_000)
    await Promise.all(following)
    for (const [index, found] of seen.entries()) assert.equal(found, (kinds[index % kinds.length] ?? kinds[0]).sees, `follower ${index}`)
    return reads()
  }

  test('cost no more reads of the database when they are ten thousand than when it is one', { timeout: LONGEST_MS }, async (t) => {
    // Nobody looks for what other processes commit.
    t.mock.timers.enable({ apis: ['setInterval'] })
    const one = await readsOf(t, 1)
    const tenThousand = await readsOf(t, 10_000)
    assert.ok(tenThousand <= one, `${tenThousand} reads, not ${one}`)
  })

  test('who come back together share what they missed', { timeout: LONGEST_MS }, async (t) => {
    const { context } = await someStore(t)
    const events = new EmbeddedEvents(context)
    const after = await end(events)
    await tellMany(context, 3_000, { repository: 'a' })
    const reads = countReads(context)
    const stop = new AbortController()
    let complete = 0
    const following = Array.from({ length: 1_000 }, async () => {
      let seen = 0
      for await (const page of events.pages({ after, signal: stop.signal })) {
        seen += page.events.length
        if (seen === 3_000 && (complete += 1) === 1_000) stop.abort()
      }
    })
    await Promise.all(following)
    assert.ok(reads() < 50, `${reads()} reads`)
  })

  test('are told of what other processes commit', { timeout: LONGEST_MS }, async (t) => {
    const { context, openAgain } = await someStore(t)
    const other = await openAgain()
    const events = new EmbeddedEvents(context)
    const waiting = events.list({ after: await end(events), waitMs: 60_000 })
    await nextTurn()
    await tell(other, { type: 'test.elsewhere' })
    assert.equal((await waiting).events[0]?.type, 'test.elsewhere')
    // Also of what was committed while nobody waited.
    const { cursor } = await waiting
    await tell(other, { type: 'test.meanwhile' })
    assert.equal((await events.list({ after: cursor, waitMs: 60_000 })).events[0]?.type, 'test.meanwhile')
  })

  test('cost nothing while nobody waits', async (t) => {
    const { context } = await someStore(t)
    const events = new EmbeddedEvents(context)
    await events.list({ after: await end(events), waitMs: 1 })
    const reads = countReads(context)
    await tell(context, { repository: 'a' })
    await nextTurn()
    // What numbers the event reads through another connection.
    assert.equal(reads(), 0)
  })

  test('fail when the log cannot be read, and can begin again', async (t) => {
    const { context } = await someStore(t)
    const events = new EmbeddedEvents(context)
    const after = await end(events)
    const waiting = Array.from({ length: 3 }, () => events.list({ after, waitMs: 60_000 }))
    await nextTurn()
    t.mock.method(context.registry.reader, 'query', () => Promise.reject(new Error('the disk is gone')), { times: 1 })
    await tell(context, { type: 'test.told' })
    for (const page of waiting) await assert.rejects(page, /the disk is gone/)
    assert.equal((await events.list({ after, waitMs: 60_000 })).events[0]?.type, 'test.told')
  })

  test('end with the store', async (t) => {
    const { openAgain } = await someStore(t)
    const context = await openAgain()
    const following = collect(new EmbeddedEvents(context).follow())
    const waiting = rejectsWith('closed', following)
    await nextTurn()
    await closeContext(context)
    await waiting
    await rejectsWith('closed', new EmbeddedEvents(context).list({ waitMs: 60_000, types: ['nothing.of.it'] }))
  })
})

describe('a long log', () => {
  test(
    'is passed over by somebody who wants none of it, piece by piece, in bounded memory, letting others in',
    { timeout: LONGEST_MS },
    async (t) => {
      const { context } = await someStore(t)
      await tellMany(context, 100_000, { repository: 'foreign', data: 'x'.repeat(400) })
      await tell(context, { repository: 'mine' })
      const reads = countReads(context)
      const before = heapInUse()
      let [pages, turns] = [0, 0]
      let found: StoreEvent | undefined
      let watching = true
      const others = (async () => {
        for (; watching; turns += 1) await nextTurn()
      })()
      const cursors = new Set<string>()
      for await (const page of new EmbeddedEvents(context).pages({ repository: 'mine' })) {
        pages += 1
        cursors.add(page.cursor)
        found = page.events[0]
        if (found !== undefined) break
      }
      watching = false
      await others
      assert.equal(found?.seq, 100_002)
      assert.ok(pages >= 10 && cursors.size === pages, `${pages} pages, ${cursors.size} positions`)
      assert.ok(reads() <= 400, `${reads()} reads`)
      assert.ok(turns > 100, `others had ${turns} turns`)
      const grown = heapInUse() - before
      assert.ok(grown < 32 * 1024 * 1024, `${grown} bytes more`)
    },
  )

  test('shows the history of one resource without reading the rest', { timeout: LONGEST_MS }, async (t) => {
    const { context } = await someStore(t)
    await tell(context, { repository: 'mine', type: 'test.first' })
    await tellMany(context, 20_000, { repository: 'foreign' })
    await tell(context, { repository: 'mine', type: 'test.last' })
    await tellMany(context, 20_000, { repository: 'foreign' })
    const reads = countReads(context)
    const events = new EmbeddedEvents(context)
    const page = await events.list({ resource: 'repositories/mine' })
    assert.deepEqual(
      page.events.map(({ type }) => type),
      ['test.first', 'test.last'],
    )
    assert.equal(page.cursor, await end(events))
    assert.ok(reads() < 20 + 200, `${reads()} reads`)
  })

  test('of large events is kept in bounded memory', { timeout: LONGEST_MS }, async (t) => {
    const { context } = await someStore(t)
    for (let batch = 0; batch < 6; batch += 1) await tellMany(context, 256, { repository: 'a', data: `${batch}`.padEnd(60_000, 'x') })
    const before = heapInUse()
    const events = new EmbeddedEvents(context)
    for (let after: string | undefined; ;) {
      const { cursor } = await events.list({ limit: 10, ...(after === undefined ? {} : { after }) })
      if (cursor === after) break
      after = cursor
    }
    const grown = heapInUse() - before
    assert.ok(grown < 48 * 1024 * 1024, `${grown} bytes more`)
  })
})

describe('access to events', () => {
  const reader = grantedAccess('token:x', [{ verbs: ['read'], repositories: ['mine', 'team/**'].map(parseRepositoryPattern) }])

  test('is that to their repositories; what concerns the whole store is for those who may read all', async (t) => {
    const { context } = await someStore(t)
    await tellMany(context, 600, { repository: 'other' })
    for (const repository of ['mine', 'team/a', 'team', 'mine/below', undefined, 'No Name']) await tell(context, { repository })
    const { events } = await new EmbeddedEvents({ ...context, access: reader }).list()
    assert.deepEqual(
      events.map(({ data }) => data['repository']),
      ['mine', 'team/a'],
    )
    assert.equal((await new EmbeddedEvents(context).list({ limit: 1_000 })).events.length, 607)
  })

  test('is decided for those who wait, too', async (t) => {
    const { context } = await someStore(t)
    const events = new EmbeddedEvents({ ...context, access: reader })
    const waiting = events.list({ after: await end(events), waitMs: 60_000 })
    await nextTurn()
    for (const repository of ['other', undefined, 'mine']) await tell(context, { repository })
    assert.deepEqual(
      (await waiting).events.map(({ data }) => data['repository']),
      ['mine'],
    )
    await rejectsWith('forbidden', events.verify())
  })
})

test('whatever is committed when, each follower sees what it wants once, in order', { timeout: LONGEST_MS }, async (t) => {
  const told = fc.record({ type: fc.constantFrom('a.x', 'a.y', 'b.x'), repository: fc.constantFrom('r', 'r/s', 'q') })
  const filter: fc.Arbitrary<EventFilter> = fc.record(
    { types: fc.constantFrom(['a.*'], ['b.x', 'a.y']), repository: fc.constantFrom('r', 'q'), resource: fc.constantFrom('repositories/r/s') },
    { requiredKeys: [] },
  )
  const commits = fc.array(fc.record({ events: fc.array(told, { minLength: 1, maxLength: 20 }), times: fc.constantFrom(1, 1, 1, 40) }), {
    maxLength: 12,
  })
  await fc.assert(
    fc.asyncProperty(commits, fc.array(filter, { minLength: 1, maxLength: 4 }), async (batches, filters) => {
      const { context } = await someStore(t)
      // Others have their turn while it is found out what is public.
      t.mock.method(context.eventHub.publicRepositories, 'has', () => nextTurn(true))
      const events = new EmbeddedEvents(context)
      const stop = new AbortController()
      const seen = filters.map((): StoreEvent[] => [])
      const following = filters.map(async (wanted, index) => {
        for await (const page of events.pages({ ...wanted, signal: stop.signal })) {
          assertWithin(page)
          seen[index]?.push(...page.events)
          if (page.events.some(({ type }) => type === 'test.end')) return
          await nextTurn()
        }
      })
      for (const { events: batch, times } of batches) {
        await tell(context, ...Array.from({ length: times }, () => batch).flat())
        await nextTurn()
      }
      const all: StoreEvent[] = []
      for await (const page of events.pages({ signal: stop.signal })) {
        all.push(...page.events)
        if (page.cursor === (await end(events))) break
      }
      const wanted = await Promise.all(filters.map(async (one) => (await events.list({ ...one, limit: 1_000 })).events.length))
      while (seen.some((found, index) => found.length < Math.min(wanted[index] ?? 0, 1_000))) await nextTurn()
      stop.abort()
      await Promise.all(following)
      for (const [index, found] of seen.entries()) {
        const test = filters[index] ?? {}
        const expected = all.filter((event) => isWanted(test, event))
        assert.deepEqual(
          found.map(({ seq }) => seq),
          expected.map(({ seq }) => seq),
        )
      }
    }),
    { numRuns: 25 },
  )
})

/** A second, simpler reading of what a filter says. */
function isWanted({ types, repository, resource }: EventFilter, event: StoreEvent): boolean {
  const own = event.resource.replace('repositories/', '')
  return (
    (types === undefined || types.some((type) => (type.endsWith('*') ? event.type[0] === type[0] : event.type === type))) &&
    (repository === undefined || own.split('/')[0] === repository) &&
    (resource === undefined || event.resource === resource)
  )
}

function assertWithin({ events, cursor }: EventPage): void {
  const last = events.at(-1)
  // Sound: cursors are opaque to users, not to this test.
  const [, seq] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as [string, number]
  assert.ok(last === undefined || last.seq <= seq)
}
