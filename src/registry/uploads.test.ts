import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as composed from './composed.ts'
import type { BoundQuery } from './dialect.ts'
import { createSchema } from './open.ts'
import { DatabaseFile } from './sqlite-driver.ts'
import { openSqlite, sqliteDialect } from './sqlite.ts'
import { Session } from './statement.ts'
import * as uploads from './uploads.ts'

const digest = new Uint8Array(32)

const queries: Readonly<Record<string, (session: Session) => Promise<unknown>>> = {
  findUpload: (session) => uploads.findUpload(session, 'u', 'a'),
  getUpload: (session) => uploads.getUpload(session, 1),
  claimUpload: (session) => uploads.claimUpload(session, 1, 'w', 1),
  advanceUpload: (session) => uploads.advanceUpload(session, 1, 1, 1),
  markUploadExpired: (session) => uploads.markUploadExpired(session, 1),
  listExpiredUploads: (session) => uploads.listExpiredUploads(session, 10),
  listEndedUploads: (session) => uploads.listEndedUploads(session, 10),
  dropPartsFrom: (session) => uploads.dropPartsFrom(session, 1, 0, 10),
  listParts: (session) => uploads.listParts(session, 1, -1, 10),
  clearParts: (session) => uploads.clearParts(session, 1, 10),
  fillRecipe: (session) => composed.fillRecipe(session, 1, 1, 10),
  publishComposed: (session) => composed.publishComposed(session, 1, digest),
  findDamagedPart: (session) => composed.findDamagedPart(session, 1),
  clearRecipe: (session) => composed.clearRecipe(session, 1, 10),
  spoilComposed: (session) => composed.spoilComposed(session, 1),
  reviveComposed: (session) => composed.reviveComposed(session, 1),
}

let folder = ''
let database: DatabaseFile
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'uploads-'))
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

/** How SQLite would answer everything that a function asks. */
async function planOf(query: (session: Session) => Promise<unknown>): Promise<readonly string[]> {
  const asked: BoundQuery[] = []
  const recording = {
    all: (bound: BoundQuery) => {
      asked.push(bound)
      return Promise.resolve([])
    },
    run: (bound: BoundQuery) => {
      asked.push(bound)
      return Promise.resolve(0)
    },
  }
  await query(new Session(sqliteDialect, recording))
  assert.ok(asked.length > 0)
  return asked.flatMap(({ sql, parameters }) =>
    database
      .prepare(`explain query plan ${sql}`)
      .all(...parameters)
      .map((row) => String(row['detail'])),
  )
}

describe('what is asked about uploads', () => {
  for (const [name, query] of Object.entries(queries)) {
    test(`goes through an index: ${name}`, async () => {
      const plan = await planOf(query)
      const isBounded = (line: string): boolean =>
        !line.startsWith('SCAN ') ||
        /^SCAN (\(subquery-\d+\)|page|CONSTANT ROW)$/.test(line) ||
        / USING (COVERING )?INDEX (chunks_damaged|uploads_ended)/.test(line)
      assert.deepEqual(
        plan.filter((line) => !isBounded(line) || line.includes('TEMP B-TREE')),
        [],
        plan.join('\n'),
      )
    })
  }
})
