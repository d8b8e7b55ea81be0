import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { IdempotencyMismatchError, IdempotencyRunningError } from '../core/errors.ts'
import { fullAccess } from '../core/access.ts'
import { DatabaseFile } from '../registry/sqlite-driver.ts'
import type { EmbeddedStore } from './embedded-store.ts'
import type { Attempt, RepeatableRequest } from './idempotency.ts'
import { createStore } from './open.ts'
import { storeFiles } from './store-files.ts'

const HOUR_MS = 3_600_000

let directory = ''
let store: EmbeddedStore
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'idempotency-'))
  store = await createStore(join(directory, 'store'))
})
after(async () => {
  await store.close()
  await rm(directory, { recursive: true })
})

/** Lets time pass for what was begun, as the database counts it. */
function change(sql: string): number {
  const database = new DatabaseFile(storeFiles(join(directory, 'store')).registry)
  const { changes } = database.prepare(sql).run()
  database.close()
  return Number(changes)
}

function age(milliseconds: number, key: string): void {
  assert.equal(change(`update idempotency set began_at = began_at - ${milliseconds} where key = '${key}'`), 1)
}

const request = (key: string, content = 1): RepeatableRequest => ({ route: 'POST /x', key, fingerprint: Buffer.alloc(32, content) })
const answer = { status: 201, headers: { location: '/x/1' }, body: '{"id":1}' }

async function begin(key: string): Promise<Attempt> {
  const begun = await store.idempotency.begin(request(key))
  assert.ok('attempt' in begun)
  return begun.attempt
}

describe('the ledger of repeatable requests', () => {
  test('gives back the answer that was kept, to its actor and route alone', async () => {
    await (await begin('answer')).finish(answer)
    assert.deepEqual(await store.idempotency.begin(request('answer')), { replay: answer })
    assert.ok('attempt' in (await store.idempotency.begin({ ...request('answer'), route: 'POST /y' })))
    assert.ok('attempt' in (await store.actingAs(fullAccess('token:other')).idempotency.begin(request('answer'))))
  })

  test('refuses another request with the same key, whether the first one ended or not', async () => {
    const attempt = await begin('mismatch')
    await assert.rejects(store.idempotency.begin(request('mismatch', 2)), IdempotencyMismatchError)
    await attempt.finish(answer)
    await assert.rejects(store.idempotency.begin(request('mismatch', 2)), IdempotencyMismatchError)
  })

  test('says that a request is under way until it ends; forgotten, it is a new one', async () => {
    const attempt = await begin('running')
    const error = await store.idempotency.begin(request('running')).catch((reason: unknown) => reason)
    assert.ok(error instanceof IdempotencyRunningError && error.retryable)
    await attempt.forget()
    await (await begin('running')).finish(answer)
  })

  test('keeps an answer for 24 hours', async () => {
    await (await begin('day')).finish(answer)
    age(24 * HOUR_MS - 60_000, 'day')
    assert.deepEqual(await store.idempotency.begin(request('day')), { replay: answer })
    age(60_001, 'day')
    await (await begin('day')).finish({ ...answer, status: 200 })
    assert.deepEqual(await store.idempotency.begin(request('day')), { replay: { ...answer, status: 200 } })
  })

  test('takes over from an attempt that does not end, which then can keep and forget nothing', async () => {
    const dead = await begin('dead')
    age(299_000, 'dead')
    await assert.rejects(store.idempotency.begin(request('dead')), IdempotencyRunningError)
    age(1_001, 'dead')
    const next = await begin('dead')
    await dead.finish({ ...answer, body: 'late' })
    await dead.forget()
    await assert.rejects(store.idempotency.begin(request('dead')), IdempotencyRunningError)
    await next.finish(answer)
    assert.deepEqual(await store.idempotency.begin(request('dead')), { replay: answer })
  })

  test('takes over at once when the lease of the process is gone', async () => {
    const draft = await store.packages.open({ repository: 'a/b' })
    await draft.put('a', Buffer.from('a writer has a lease'))
    await begin('lease')
    await assert.rejects(store.idempotency.begin(request('lease')), IdempotencyRunningError)
    assert.equal(change(`update idempotency set lease_id = lease_id + 1000 where key = 'lease' and lease_id is not null`), 1)
    await (await begin('lease')).finish(answer)
  })

  test('keeps no answer that is too long to be kept', async () => {
    await (await begin('long')).finish({ ...answer, body: 'x'.repeat(65_537) })
    await (await begin('long')).forget()
  })

  test('clears away what is old, a few entries with each new one, by an index', async () => {
    for (let entry = 0; entry < 10; entry += 1) await (await begin(`old-${entry}`)).finish(answer)
    change(`update idempotency set began_at = began_at - ${25 * HOUR_MS} where key like 'old-%'`)
    const database = new DatabaseFile(storeFiles(join(directory, 'store')).registry)
    const count = (): number => Number(database.prepare("select count(*) as n from idempotency where key like 'old-%'").get()?.['n'])
    await begin('new-1')
    assert.equal(count(), 6)
    await begin('new-2')
    await begin('new-3')
    assert.equal(count(), 0)
    const plan = (sql: string): string =>
      database
        .prepare(`explain query plan ${sql}`)
        .all()
        .map((row) => String(row['detail']))
        .join('\n')
    assert.match(plan('select id from idempotency where began_at < 5 order by began_at limit 4'), /USING COVERING INDEX idempotency_began/)
    assert.match(
      plan("select id from idempotency where actor = 'a' and route = 'r' and key = 'k'"),
      /idempotency_key \(actor=\? AND route=\? AND key=\?\)/,
    )
    database.close()
  })
})
