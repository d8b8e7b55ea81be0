import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { LogCorruptError } from '../core/errors.ts'
import { chainHash, eventLeafHash, GENESIS_HASH, type LoggedEvent } from '../core/event.ts'
import { listEvents } from '../registry/events.ts'
import { DatabaseFile } from '../registry/sqlite-driver.ts'
import { openSqliteReader } from '../registry/sqlite-reader.ts'
import { Session } from '../registry/statement.ts'
import { openFileSystemBackend } from '../adapters/backend-fs/backend-fs.ts'
import { readIdentity } from './identity.ts'
import { type VerifiedLog, verifyLog } from './log-verification.ts'
import { createStore, openStore } from './open.ts'
import { storeFiles } from './store-files.ts'

let folder = ''
let origin = ''
let copies = 0

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'log-'))
  origin = join(folder, 'origin')
  await (await createStore(origin)).close()
  // Each opening mirrors a segment of its own.
  for (const name of ['a', 'b', 'c']) {
    await using store = await openStore(origin)
    const draft = await store.packages.open({ repository: name, tags: ['latest'] })
    await draft.put('f', Buffer.from(name))
    const { id } = await draft.finalize()
    await store.tags.set(name, 'other', id)
  }
})
after(() => rmSync(folder, { recursive: true, force: true }))

function copy(): string {
  copies += 1
  const directory = join(folder, `copy-${copies}`)
  cpSync(origin, directory, { recursive: true })
  return directory
}

async function verify(directory: string): Promise<VerifiedLog> {
  const files = storeFiles(directory)
  const database = openSqliteReader(files.registry)
  const backend = await openFileSystemBackend(files.objects)
  try {
    const reader = new Session(database.dialect, database.reader)
    return await verifyLog({ reader, backend, ...(await readIdentity(reader)) })
  } finally {
    database.close()
    await backend.close()
  }
}

async function events(directory: string): Promise<readonly LoggedEvent[]> {
  const database = openSqliteReader(storeFiles(directory).registry)
  const all = await listEvents(new Session(database.dialect, database.reader), 0, 1_000)
  database.close()
  return all
}

function change(directory: string, sql: string, ...parameters: readonly (string | number | Uint8Array)[]): void {
  const database = new DatabaseFile(storeFiles(directory).registry)
  assert.ok(Number(database.prepare(sql).run(...parameters).changes) > 0, sql)
  database.close()
}

/** Gives all events from one on the hashes that follow from what they say now, as somebody would who knows the format. */
async function rehash(directory: string): Promise<void> {
  let previous = GENESIS_HASH
  for (const event of await events(directory)) {
    previous = chainHash(previous, eventLeafHash(event))
    change(directory, 'update events set hash = ? where seq = ?', previous, event.seq)
  }
}

async function refusal(directory: string): Promise<LogCorruptError> {
  const error = await verify(directory).then(
    () => assert.fail('the log was taken for what was written'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof LogCorruptError, String(error))
  return error
}

function segments(directory: string): readonly string[] {
  const { objects } = storeFiles(directory)
  return readdirSync(objects, { recursive: true, encoding: 'utf8' })
    .filter((key) => /\/log\/.*\/\d{12}-/.test(key))
    .toSorted()
    .map((key) => join(objects, key))
}

describe('verifying the log', () => {
  test('finds nothing in one that is what was written', async () => {
    const all = await events(origin)
    assert.ok(all.length >= 10 && segments(origin).length >= 4)
    assert.deepEqual(await verify(origin), { events: all.length, mirrored: all.length, head: Buffer.from(all.at(-1)?.hash ?? []).toString('hex') })
  })

  for (const column of ['actor', 'type', 'tenant', 'resource', 'id']) {
    test(`names an event whose ${column} was edited`, async () => {
      const directory = copy()
      change(directory, `update events set ${column} = ${column} || 'x' where seq = 5`)
      assert.match((await refusal(directory)).message, /^event 5 \(/)
    })
  }

  test('names an event whose data were edited, and says so', async () => {
    const directory = copy()
    change(
      directory,
      "update events set data = replace(data, 'latest', 'newest') where seq = (select min(seq) from events where data like '%latest%')",
    )
    assert.match(
      (await refusal(directory)).message,
      /^event 3 \(.*package\.finalized of packages\/.*\) was changed: registry and mirror differ in its data$/,
    )
  })

  test('names an event that was edited by somebody who computed all hashes anew', async () => {
    const directory = copy()
    change(directory, "update events set actor = 'os:somebody-else' where seq = 4")
    await rehash(directory)
    assert.match((await refusal(directory)).message, /^event 4 \(.*\) was changed: registry and mirror differ in its actor, hash$/)
  })

  test('names an event that was removed, whether or not the others were numbered and hashed anew', async () => {
    const [, , , , , sixth] = await events(origin)
    const directory = copy()
    change(directory, 'delete from events where seq = 6')
    const { message, detail } = await refusal(directory)
    assert.match(message, /^event 6 \(.*\) is missing in the registry/)
    assert.equal(detail['id'], sixth?.id)
    const tidied = copy()
    change(tidied, 'delete from events where seq = 6')
    change(tidied, 'update events set seq = -seq where seq > 6')
    change(tidied, 'update events set seq = -seq - 1 where seq < 0')
    await rehash(tidied)
    const second = await refusal(tidied)
    assert.match(second.message, /^event 6 \(.*\) stands in the mirror, but in the registry event .* has its place$/)
    assert.equal(second.detail['id'], sixth?.id)
  })

  test('names an event that was inserted', async () => {
    const directory = copy()
    change(directory, 'update events set seq = -seq where seq >= 5')
    change(directory, 'update events set seq = -seq + 1 where seq < 0')
    change(directory, "insert into events select 5, 'inserted', type, time, tenant, resource, actor, data, salt, hash from events where seq = 4")
    await rehash(directory)
    const { message, detail } = await refusal(directory)
    assert.match(message, /^event 5 \(.*in the registry event inserted/)
    assert.equal(detail['found'], 'inserted')
  })

  test('names events that changed places', async () => {
    const directory = copy()
    change(directory, 'update events set seq = -7 where seq = 6')
    change(directory, 'update events set seq = 6 where seq = 7')
    change(directory, 'update events set seq = 7 where seq = -7')
    assert.match((await refusal(directory)).message, /^event 6 \(.*has its place$/)
  })

  test('names an event that is not mirrored yet by its chain alone', async () => {
    const directory = copy()
    for (const segment of segments(directory)) rmSync(segment)
    change(directory, "update events set actor = 'x' where seq = 4")
    assert.match((await refusal(directory)).message, /^event 4 \(.*\) or one before it was changed/)
  })

  test('names the event where a log ends that is older than its mirror', async () => {
    const directory = copy()
    change(directory, 'delete from events where seq > 8')
    assert.match((await refusal(directory)).message, /^event 9 \(.*\) is missing in the registry, .* older copy$/)
  })

  test('names a mirrored segment that was edited, cut short or exchanged', async () => {
    const edited = copy()
    const [, second = ''] = segments(edited)
    writeFileSync(second, readFileSync(second, 'utf8').replace('"actor":"os:', '"actor":"no:'))
    assert.match((await refusal(edited)).message, /^the mirrored copy of events \d+ to \d+ \(object .*\) is damaged: event \d+ /)
    const cut = copy()
    const [, segment = ''] = segments(cut)
    writeFileSync(segment, readFileSync(segment).subarray(0, -30))
    assert.match((await refusal(cut)).message, /is damaged: an event segment ends in the middle of a line/)
    const exchanged = copy()
    const [first = '', other = ''] = segments(exchanged)
    writeFileSync(other, readFileSync(first))
    assert.match((await refusal(exchanged)).message, /says that it is another one/)
  })

  test('names the events of a segment that was removed, unless another one has them', async () => {
    const directory = copy()
    const [, second = '', third = ''] = segments(directory)
    rmSync(second)
    assert.match((await refusal(directory)).message, /^the mirror lacks events \d+ to \d+: a segment in front of .* was removed$/)
    writeFileSync(second, readFileSync(join(origin, second.slice(directory.length))))
    writeFileSync(`${third.slice(0, -1)}z`, readFileSync(third))
    assert.equal((await verify(directory)).mirrored, (await events(directory)).length)
  })
})
