import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Store, StoreEvent } from '../store/interface.ts'
import { rejectsWith, repository, sealed } from './store-case.ts'

/** What the log tells of changes. */
export function eventCases(store: () => Store): void {
  test('each change of what users see is one event, in a chain that verifies', async () => {
    const name = repository()
    const before = await last(store())
    const receipt = await sealed(store(), name, { a: 'a' }, { runId: 'r', retentionClass: 'raw-evidence' })
    await store().tags.set(name, 'x', receipt.id)
    await store().tags.set(name, 'x', receipt.id)
    await store().tags.remove(name, 'x')
    const events = await store().events.list(before === undefined ? {} : { after: before.cursor })
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
    const start = await last(store())
    const stop = new AbortController()
    const seen: string[] = []
    const following = (async () => {
      for await (const event of store().events.follow({ signal: stop.signal, ...(start === undefined ? {} : { after: start.cursor }) })) {
        seen.push(event.type)
        if (event.type === 'package.finalized') stop.abort()
      }
    })()
    await sealed(store(), name, { late: 'late' })
    await following
    assert.deepEqual(seen, ['repository.created', 'package.finalized'])
  })

  test('a cursor of another log or from the future is refused', async () => {
    await rejectsWith('input_invalid', store().events.list({ after: 'nonsense' }))
    const foreign = Buffer.from(JSON.stringify(['another log', 1])).toString('base64url')
    await rejectsWith('input_invalid', store().events.list({ after: foreign }))
  })
}

async function last(store: Store): Promise<StoreEvent | undefined> {
  let newest: StoreEvent | undefined
  for (;;) {
    const page = await store.events.list({ limit: 1_000, ...(newest === undefined ? {} : { after: newest.cursor }) })
    newest = page.at(-1) ?? newest
    if (page.length < 1_000) return newest
  }
}
