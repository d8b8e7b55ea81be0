import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as deliveries from './deliveries.ts'
import type { BoundQuery } from './dialect.ts'
import { createSchema } from './open.ts'
import { DatabaseFile } from './sqlite-driver.ts'
import { openSqlite, sqliteDialect } from './sqlite.ts'
import { Session } from './statement.ts'

const position = { logId: 'l', seq: 1 }
const queries: Readonly<Record<string, (session: Session) => Promise<unknown>>> = {
  findDelivery: (session) => deliveries.findDelivery(session, 'a'),
  saveDelivery: (session) => deliveries.saveDelivery(session, 'a', position),
  noteDeliveryFailure: (session) => deliveries.noteDeliveryFailure(session, 'a', position, 'r'),
  listDeadLetters: (session) => deliveries.listDeadLetters(session, 'a', 0, 10),
  listDeliveries: (session) => deliveries.listDeliveries(session, '', 10),
}

let folder = ''
let database: DatabaseFile
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'deliveries-'))
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

describe('what is asked about deliveries', () => {
  for (const [name, query] of Object.entries(queries)) {
    test(`goes through an index: ${name}`, async () => {
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
      assert.equal(asked.length, 1)
      for (const { sql, parameters } of asked) {
        const plan = database
          .prepare(`explain query plan ${sql}`)
          .all(...parameters)
          .map((row) => String(row['detail']))
        assert.deepEqual(
          plan.filter((line) => line.startsWith('SCAN ') || line.includes('TEMP B-TREE')),
          [],
        )
      }
    })
  }
})
