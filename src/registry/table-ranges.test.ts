import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { holds, listHoldingRepositories, listNewestManifests } from './blob-readers.ts'
import type { BoundQuery } from './dialect.ts'
import { listAbandoned, listDamaged, listObjectsByKey, listQuarantine } from './inspection.ts'
import { createSchema } from './open.ts'
import { hasDamage } from './quarantine.ts'
import { contradictingChunks, contradictingCounters, contradictingHolders, contradictingRecipes, unheldPackages } from './references.ts'
import { DatabaseFile } from './sqlite-driver.ts'
import { openSqlite, sqliteDialect } from './sqlite.ts'
import { Session } from './statement.ts'
import { shareByClass, shareByRepository, sumChunks, sumClasses, sumObjects, sumPackages } from './totals.ts'

const queries: Readonly<Record<string, (session: Session) => Promise<unknown>>> = {
  contradictingChunks: (session) => contradictingChunks(session, 0, 1_000),
  contradictingHolders: (session) => contradictingHolders(session, 0, 1_000),
  contradictingRecipes: (session) => contradictingRecipes(session, 0, 1_000),
  contradictingCounters: (session) => contradictingCounters(session, 0, 1_000),
  unheldPackages: (session) => unheldPackages(session, 0, 1_000),
  sumChunks: (session) => sumChunks(session, 0, 1_000),
  sumPackages: (session) => sumPackages(session, 0, 1_000),
  sumClasses: (session) => sumClasses(session, 0, 1_000),
  sumObjects: (session) => sumObjects(session, 0, 1_000),
  shareByRepository: (session) => shareByRepository(session, 0, 1_000),
  shareByClass: (session) => shareByClass(session, 0, 1_000),
  listObjectsByKey: (session) => listObjectsByKey(session, '', 1_000),
  listAbandoned: (session) => listAbandoned(session, 1_000),
  listDamaged: (session) => listDamaged(session, 0, 1_000),
  listQuarantine: (session) => listQuarantine(session, 0, 1_000),
  hasDamage: (session) => hasDamage(session, 1),
  holds: (session) => holds(session, 'manifest', 1, 1),
  listHoldingRepositories: (session) => listHoldingRepositories(session, 1, 200),
  listNewestManifests: (session) => listNewestManifests(session, 1, { packages: 4, limit: 8 }),
}

let folder = ''
let database: DatabaseFile
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ranges-'))
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

/** How SQLite would answer what a function asks. */
async function planOf(query: (session: Session) => Promise<unknown>): Promise<readonly string[]> {
  const asked: BoundQuery[] = []
  const recording = {
    all: (bound: BoundQuery) => {
      asked.push(bound)
      return Promise.resolve([])
    },
    run: () => Promise.resolve(0),
  }
  await query(new Session(sqliteDialect, recording))
  assert.equal(asked.length, 1)
  return asked.flatMap(({ sql, parameters }) =>
    database
      .prepare(`explain query plan ${sql}`)
      .all(...parameters)
      .map((row) => String(row['detail'])),
  )
}

describe('a statement over a part of a table', () => {
  for (const [name, query] of Object.entries(queries)) {
    test(`reads that part alone: ${name}`, async () => {
      const plan = await planOf(query)
      const isBounded = (line: string): boolean =>
        !line.startsWith('SCAN ') || /^SCAN (part|chunk|newest|held|CONSTANT ROW)$/.test(line) || / USING (COVERING )?INDEX chunks_damaged/.test(line)
      assert.deepEqual(
        plan.filter((line) => !isBounded(line)),
        [],
        plan.join('\n'),
      )
      // An index of one status or kind would be half of the table.
      assert.ok(!plan.some((line) => /packages_by_status|holders USING PRIMARY KEY \(kind=\?\)$/.test(line)), plan.join('\n'))
    })
  }
})
