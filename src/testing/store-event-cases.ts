import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Store } from '../store/interface.ts'
import type { EventFilter, EventPage } from '../store/event-interface.ts'
import { collect, rejectsWith, repository, sealed } from './store-case.ts'

/** What the log tells of changes. */
export function eventCases(store: () => Store): void {
  test('each change of what users see is one event, in a chain that verifies', async () => {
    const name = repository()
    const before = await end(store())
    const receipt = await sealed(store(), name, { a: 'a' }, { runId: 'r', retentionClass: 'raw-evidence' })
    await store().tags.set(name, 'x', receipt.id)
    await store().tags.set(name, 'x', receipt.id)
    await store().tags.remove(name, 'x')
    const { events } = await store().events.list({ after: before })
    assert.deepEqual(
      events.map((event) => event.type),
      ['repository.created', 'package.finalized', 'tag.set', 'tag.removed'],
    )
    const finalized = events[1]
    assert.equal(finalized?.resource, `packages/${receipt.id}`)
    assert.equal(finalized?.data['manifestDigest'], receipt.manifestDigest)
    assert.deepEqual(finalized?.data['tags'], ['r'])
    // Sound: the assertions below tell if it is otherwise.
    const { policy, finalizedAt } = (finalized?.data ?? {}) as {
      finalizedAt: string
      policy: { class: string; durationDays: number; expiresAt: string }[]
    }
    assert.deepEqual([policy[0]?.class, policy[0]?.durationDays], ['raw-evidence', 30])
    assert.equal(Date.parse(policy[0]?.expiresAt ?? '') - Date.parse(finalizedAt), 30 * 86_400_000)
    const verified = await store().events.verify()
    assert.equal(verified.head, events.at(-1)?.hash)
  })

  test('a follower sees what was and what comes, from where it left off', async () => {
    const name = repository()
    const after = await end(store())
    const stop = new AbortController()
    const seen: string[] = []
    const following = (async () => {
      for await (const event of store().events.follow({ signal: stop.signal, after })) {
        seen.push(event.type)
        if (event.type === 'package.finalized') stop.abort()
      }
    })()
    await sealed(store(), name, { late: 'late' })
    await following
    assert.deepEqual(seen, ['repository.created', 'package.finalized'])
  })

  test('pages of the log end where the cursor does not move', async () => {
    const after = await end(store())
    await sealed(store(), repository(), { a: 'a' }, { runId: 'r' })
    const first = await store().events.list({ after, limit: 1 })
    const second = await store().events.list({ after: first.cursor, limit: 1 })
    assert.deepEqual([typesOf(first), typesOf(second)], [['repository.created'], ['package.finalized']])
    assert.equal(second.cursor, second.events[0]?.cursor)
    assert.deepEqual(await store().events.list({ after: second.cursor }), { events: [], cursor: second.cursor })
  })

  test('a filter lets through a type, types that begin so, a repository and what is below it, and a resource', async () => {
    const [name, other] = [repository(), repository()]
    const after = await end(store())
    const receipt = await sealed(store(), name, { a: 'a' })
    await sealed(store(), `${name}/below`, { a: 'a' })
    await sealed(store(), `${name}-beside`, { a: 'a' })
    await sealed(store(), other, { a: 'a' })
    await store().tags.set(name, 'x', receipt.id)
    const found = async (filter: EventFilter): Promise<readonly string[]> =>
      (await store().events.list({ ...filter, after })).events.map(({ type, data }) => `${type} ${JSON.stringify(data['repository'])}`)
    assert.deepEqual(await found({ types: ['tag.set'] }), [`tag.set "${name}"`])
    assert.deepEqual(await found({ types: ['tag.*', 'nothing.of.it'], repository: other }), [])
    assert.deepEqual(await found({ types: ['package.*'], repository: name }), [`package.finalized "${name}"`, `package.finalized "${name}/below"`])
    assert.deepEqual(await found({ resource: `packages/${receipt.id}` }), [`package.finalized "${name}"`])
    assert.deepEqual(await found({ resource: `packages/${receipt.id}`, types: ['tag.set'] }), [])
  })

  test('a page that a filter leaves empty says up to where the log was looked at', async () => {
    const after = await end(store())
    await sealed(store(), repository(), { a: 'a' })
    const { events, cursor } = await store().events.list({ after, types: ['nothing.of.it'] })
    assert.deepEqual([events, cursor], [[], await end(store())])
    assert.notEqual(cursor, after)
  })

  test('waiting ends with the first event that is wanted', async () => {
    const [name, other] = [repository(), repository()]
    const after = await end(store())
    const waiting = store().events.list({ after, repository: name, waitMs: 60_000 })
    await sealed(store(), other, { a: 'a' })
    await sealed(store(), name, { a: 'a' })
    const { events } = await waiting
    assert.deepEqual([events[0]?.type, events[0]?.data['repository']], ['repository.created', name])
  })

  test('waiting for nothing ends with an empty page', async () => {
    const after = await end(store())
    assert.deepEqual(await store().events.list({ after, waitMs: 1 }), { events: [], cursor: after })
  })

  test('a page that is waited for can be given up', async () => {
    const after = await end(store())
    const stop = new AbortController()
    const waiting = store().events.list({ after, waitMs: 60_000, signal: stop.signal })
    stop.abort()
    await rejectsWith('aborted', waiting)
  })

  test('pages of a follower that nothing is let through to are a sign of life, and carry its cursor on', async () => {
    const after = await end(store())
    await sealed(store(), repository(), { a: 'a' })
    const stop = new AbortController()
    const pages = store().events.pages({ after, types: ['nothing.of.it'], heartbeatMs: 1, signal: stop.signal })
    for await (const { events, cursor } of pages) {
      assert.deepEqual(events, [])
      if (cursor === (await end(store()))) stop.abort()
    }
  })

  test('a follower that was told to stop before it began sees nothing', async () => {
    assert.deepEqual(await collect(store().events.follow({ signal: AbortSignal.abort() })), [])
  })

  test('a cursor of another log or from the future is gone, what is no cursor or no filter is refused', async () => {
    await rejectsWith('input_invalid', store().events.list({ after: 'nonsense' }))
    await rejectsWith('cursor_gone', store().events.list({ after: cursorOf('another log', 1) }))
    // Sound: cursors are opaque to users, not to this suite.
    const [log] = JSON.parse(Buffer.from(await end(store()), 'base64url').toString()) as [string, number]
    await rejectsWith('cursor_gone', store().events.list({ after: cursorOf(log, 1e9) }))
    await rejectsWith('cursor_gone', store().events.list({ after: cursorOf(log, 1e9), waitMs: 60_000 }))
    await rejectsWith('cursor_gone', collect(store().events.follow({ after: cursorOf(log, 1e9) })))
    await rejectsWith('input_invalid', store().events.list({ after: cursorOf(log, -1) }))
    await rejectsWith('input_invalid', store().events.list({ types: [] }))
    await rejectsWith('input_invalid', store().events.list({ types: ['*.set'] }))
    await rejectsWith('name_invalid', store().events.list({ repository: 'Not A Name' }))
    await rejectsWith('input_invalid', store().events.list({ limit: 0 }))
  })
}

function cursorOf(log: string, seq: number): string {
  return Buffer.from(JSON.stringify([log, seq])).toString('base64url')
}

function typesOf({ events }: EventPage): readonly string[] {
  return events.map(({ type }) => type)
}

/** The cursor behind all that has happened so far. */
async function end(store: Store): Promise<string> {
  for (let after: string | undefined; ;) {
    const { cursor } = await store.events.list({ limit: 1_000, ...(after === undefined ? {} : { after }) })
    if (cursor === after) return cursor
    after = cursor
  }
}
