import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parsePackageId } from '../core/name.ts'
import { uuidv7 } from '../core/uuid.ts'
import type { BoundQuery } from './dialect.ts'
import {
  forgetChecks,
  isAwaitedElsewhere,
  listDisposalDigests,
  listDisposals,
  listHeldManifests,
  listUncertified,
  listUnreleased,
  recordManifestTargets,
} from './disposals.ts'
import { holdsOn, listHolds, listReleasedHolds, listStandingSelectors } from './holds.ts'
import { createSchema } from './open.ts'
import {
  forgetSightings,
  listDueParts,
  listPackagesOfClass,
  listSightedParts,
  listWaitingParts,
  loadRetention,
  unblockParts,
} from './package-parts.ts'
import { findTombstone, listChildren, listKeptPackages } from './packages.ts'
import { listOverduePlans, listPlans, listPlansUnderway } from './plans.ts'
import { listPolicies } from './repositories.ts'
import { DatabaseFile } from './sqlite-driver.ts'
import { openSqlite, sqliteDialect } from './sqlite.ts'
import { Session } from './statement.ts'

const digest = new Uint8Array(32)
const facts = { packageId: parsePackageId(uuidv7()), repository: 'x' as never, producer: undefined, subject: undefined, runId: undefined }

const queries: Readonly<Record<string, (session: Session) => Promise<unknown>>> = {
  'parts whose time is over': (session) => listDueParts(session, 'kept', 1, 100),
  'parts that delete themselves': (session) => listDueParts(session, 'eligible', 1, 100),
  'parts whose grace is over': (session) => listDueParts(session, 'deleted', 1, 100),
  'parts that were seen once': (session) => listSightedParts(session, 1, 100),
  'parts that a hold blocks': (session) => unblockParts(session, 1, 100),
  'parts that wait for a plan': (session) => listWaitingParts(session, 0, 100),
  'packages of a class': (session) => listPackagesOfClass(session, 'x', 0, 100),
  'packages that are there': (session) => listKeptPackages(session, 0, 100),
  'the retention of a package': (session) => loadRetention(session, 1),
  'the children of a package': (session) => listChildren(session, 1),
  'the tombstone of a digest': (session) => findTombstone(session, 1, digest),
  'holds on a package': (session) => holdsOn(session, facts, []),
  'holds that select': (session) => listStandingSelectors(session),
  'holds that were released': (session) => listReleasedHolds(session),
  'all holds': (session) => listHolds(session, 0, 100),
  'the newest plans': (session) => listPlans(session, { createdAt: 1, digest }, 100),
  'plans nobody approved': (session) => listOverduePlans(session, 1, 100),
  'plans under way': (session) => listPlansUnderway(session, 100),
  'deletions of a package': (session) => listDisposals(session, 1),
  'deletions that still hold something': (session) => listUnreleased(session, 0, 100),
  'deletions without certificate': (session) => listUncertified(session, 1, 100),
  'all deletions without certificate': (session) => forgetChecks(session),
  'all parts that were seen once': (session) => forgetSightings(session),
  'what a deletion lets go of': (session) => listDisposalDigests(session, 1, digest, 100),
  'others that wait for a digest': (session) => isAwaitedElsewhere(session, 1, digest),
  'the manifests of a package': (session) => listHeldManifests(session, 1),
  'what a manifest names': (session) => recordManifestTargets(session, 1, 1, 0, 100),
  'policies of repositories': (session) => listPolicies(session, 'a', '', 100),
}

let folder = ''
let database: DatabaseFile
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'queries-'))
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

describe('retention asks by an index for', () => {
  for (const [name, query] of Object.entries(queries)) {
    test(name, async () => {
      const plan: string[] = []
      const explain = ({ sql, parameters }: BoundQuery): void => {
        for (const row of database.prepare(`explain query plan ${sql}`).all(...parameters)) plan.push(String(row['detail']))
      }
      const recording = {
        all: (bound: BoundQuery) => {
          explain(bound)
          return Promise.resolve([])
        },
        run: (bound: BoundQuery) => {
          explain(bound)
          return Promise.resolve(0)
        },
      }
      await query(new Session(sqliteDialect, recording))
      assert.ok(plan.length > 0)
      // The partial indexes hold nothing but what is due, so that all of one may be walked.
      const isFine = (line: string): boolean =>
        !/^SCAN (?!page)|TEMP B-TREE/.test(line) ||
        /USING (COVERING )?INDEX (parts_waiting|holds_selector|holds_released|plans_underway|disposals_uncertified)/.test(line)
      assert.deepEqual(
        plan.filter((line) => !isFine(line)),
        [],
        plan.join('\n'),
      )
    })
  }
})
