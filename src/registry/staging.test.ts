import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { BoundQuery } from './dialect.ts'
import { createSchema } from './open.ts'
import { DatabaseFile } from './sqlite-driver.ts'
import { openSqlite, sqliteDialect } from './sqlite.ts'
import { endAbandonedStaging, listAbandonedStaging, moveEntries, touchStaging } from './staging.ts'
import { Session } from './statement.ts'

let folder = ''
let database: DatabaseFile
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'staging-'))
  const file = join(folder, 'registry.db')
  const made = await openSqlite(file)
  await createSchema(made)
  await made.close()
  database = new DatabaseFile(file)
})
after(() => {
  database.close()
  rmSync(folder, { recursive: true, force: true })
})

/** How SQLite would answer everything that a call asks, a line a step. */
async function planOf(call: (session: Session) => Promise<unknown>): Promise<readonly string[]> {
  const asked: BoundQuery[] = []
  const recording = {
    all: (query: BoundQuery) => {
      asked.push(query)
      return Promise.resolve([{ last: 'x', count: 5 }])
    },
    run: (query: BoundQuery) => {
      asked.push(query)
      return Promise.resolve(5)
    },
  }
  await call(new Session(sqliteDialect, recording))
  return asked.flatMap(({ sql, parameters }) =>
    database
      .prepare(`explain query plan ${sql}`)
      .all(...parameters)
      .map((row) => String(row['detail'])),
  )
}

test('moving entries reads and deletes only what is moved', async () => {
  const plan = await planOf((session) => moveEntries(session, 1, 2, 1_000))
  assert.ok(plan.length >= 5, plan.join('\n'))
  assert.deepEqual(
    plan.filter((line) => /^SCAN (?!page$|\(subquery)/.test(line) || line.includes('TEMP B-TREE')),
    [],
    plan.join('\n'),
  )
})

test('abandoned archives are found by their age, and touched and ended by their id', async () => {
  assert.deepEqual(await planOf((session) => listAbandonedStaging(session, 10)), ['SEARCH drafts USING INDEX drafts_staging (touched_at<?)'])
  for (const call of [(session: Session) => touchStaging(session, 1), (session: Session) => endAbandonedStaging(session, 1)]) {
    assert.deepEqual(await planOf(call), ['SEARCH drafts USING INTEGER PRIMARY KEY (rowid=?)'])
  }
})
