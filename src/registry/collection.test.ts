import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { leaseBlob } from './blob-leases.ts'
import { findNamedFirst } from './chunks.ts'
import {
  isObjectKnown,
  isRecipeNeeded,
  leavePack,
  listNamedPlaces,
  listOverduePacks,
  listQuarantinedPlaces,
  listSmallPacks,
  listUnsettledPacks,
  listWornPacks,
  moveChunk,
  settlePack,
} from './compaction.ts'
import { condemnUnfinished, hasRemains, listDrainedObjects, removeObjectRows, sumWaitingObjects } from './condemned-objects.ts'
import { Condemnation, eraseDateOf, insertCondemnedCopy } from './condemned.ts'
import { destructionOf, forgetDestruction } from './destructions.ts'
import type { BoundQuery, Connection } from './dialect.ts'
import { dissolveSome } from './dissolving.ts'
import { endExpiredDraft, listExpiredDrafts } from './drafts.ts'
import { letGo, letGoOfCondemned, nextHoldingLease } from './holders.ts'
import { listExpiredLeases, listExpiredNamedLeases } from './leases.ts'
import { parseObjectKey } from '../ports/backend.ts'
import { hasAgedPack } from './objects.ts'
import { createSchema, openRegistry } from './open.ts'
import { findReachable, listDueReviews, listHolders, listTargets } from './reachability.ts'
import type { Registry } from './registry.ts'
import { endReview, findUnknownEdges, isHeld, rememberRelease, takeDueReviews } from './reviews.ts'
import { DatabaseFile } from './sqlite-driver.ts'
import { openSqlite } from './sqlite.ts'
import { Session } from './statement.ts'
import { forgetStray, isNamedObject, sightStray } from './strays.ts'

const DIGEST = Buffer.alloc(32, 1)
const KEY = parseObjectKey('store/writer/object')
const PLACE = { objectId: 1, kind: 'pack', offset: 64, storedLength: 10, codec: 'raw' } as const

/** What the collector asks, with a row of everything in place, so that each branch is taken. */
const questions: Readonly<Record<string, (session: Session) => Promise<unknown>>> = {
  'reviews that are due': (session) => takeDueReviews(session, 0, 10),
  'whether something is held': (session) => isHeld(session, 1),
  'the end of a review': async (session) => {
    await rememberRelease(session, 1)
    await endReview(session, 1)
  },
  'manifests of which nobody knows what they hold': findUnknownEdges,
  'condemning chunks': async (session) => {
    const condemnation = new Condemnation(session, 0)
    for (const id of [1, 2, 3]) await condemnation.add(id, true)
    await condemnation.finish()
  },
  'letting go of what condemned things held': (session) => dissolveSome(session, 10, 0),
  'dropping what is held': async (session) => {
    await letGo(session, 'package', 1, 10)
    await letGoOfCondemned(session, { kind: 'blob', holder: 1, limit: 10 }, { grace: 0, released: true })
  },
  'leases that hold something': (session) => nextHoldingLease(session, 0),
  'leases that ran out': async (session) => [await listExpiredLeases(session, 10), await listExpiredNamedLeases(session, 10)],
  'holding a blob for a day': (session) => leaseBlob(session, DIGEST),
  'packs to look through': (session) => listUnsettledPacks(session, 0, 10),
  'places in a pack': async (session) => [
    await listNamedPlaces(session, 1, 0, 10),
    await listQuarantinedPlaces(session, 1),
    await hasRemains(session, 1),
  ],
  'a pack that was looked through': (session) => settlePack(session, 1, { size: 1, entries: 1 }),
  'packs that are worn': (session) => listWornPacks(session, 0, 10),
  'packs that are overdue': (session) => listOverduePacks(session, 10),
  'packs that are small': (session) => listSmallPacks(session, 10),
  'moving a chunk': (session) => moveChunk(session, 2, { digest: DIGEST, from: 64, placement: PLACE }),
  'leaving a pack': (session) => leavePack(session, 1),
  'records that are needed': async (session) => [await isObjectKnown(session, KEY), await isRecipeNeeded(session, DIGEST)],
  'a second copy': async (session) => {
    await findNamedFirst(session, DIGEST, 10, PLACE)
    await insertCondemnedCopy(session, { digest: DIGEST, size: 1, object: 9, offset: 9, stored: 1, codec: 0 }, 0)
    await eraseDateOf(session, DIGEST)
  },
  'objects that nobody finished': (session) => condemnUnfinished(session, 10),
  'objects to delete': async (session) => [await listDrainedObjects(session, 0, { condemnedAt: 0, id: 0 }, 10), await sumWaitingObjects(session)],
  'the rows of a deleted object': (session) => removeObjectRows(session, { id: 3, key: KEY }, 10),
  'what became of a digest': async (session) => {
    await destructionOf(session, DIGEST)
    await destructionOf(session, Buffer.alloc(32, 7))
    await forgetDestruction(session, DIGEST)
  },
  'open packages that expired': async (session) => {
    await listExpiredDrafts(session, 0, 10)
    await endExpiredDraft(session, 1, 0)
  },
  'a writer with an old pack': (session) => hasAgedPack(session, 1, 0),
  'objects that no row names': async (session) => {
    await isNamedObject(session, KEY)
    await sightStray(session, KEY, 0)
    await forgetStray(session, KEY)
  },
  'what hangs on what': async (session) => {
    await listDueReviews(session, 0, { queuedAt: 0, target: 0 }, 10)
    await listHolders(session, 1, { kind: 0, holder: 0 }, 10)
    await listTargets(session, { kind: 4, holder: 1 }, 0, 10)
    await findReachable(session, 2)
  },
}

/** What is read whole: indexes that hold only what there is to do, and tables as large as the number of processes, or of hours in a day. */
const QUEUES =
  /^SCAN (page|CONSTANT ROW|\d+ CONSTANT ROW|leases|chunks USING (COVERING )?INDEX chunks_(damaged|dissolving)|manifests USING INDEX manifests_dissolving|objects USING (COVERING )?INDEX objects_(unsettled|worn|small|erase_by|condemned))\b/

/** A connection that remembers what it was asked. */
class Recorder implements Connection {
  readonly asked: BoundQuery[] = []
  readonly #probe: DatabaseFile

  constructor(probe: DatabaseFile) {
    this.#probe = probe
  }

  async all(query: BoundQuery): Promise<readonly unknown[]> {
    this.asked.push(query)
    return this.#probe.prepare(query.sql).all(...query.parameters)
  }

  async run(query: BoundQuery): Promise<number> {
    this.asked.push(query)
    return Number(this.#probe.prepare(query.sql).run(...query.parameters).changes)
  }

  /** Tables that are read whole, or sorted, in what was asked. */
  scans(): readonly string[] {
    return this.asked.flatMap(({ sql, parameters }) =>
      this.#probe
        .prepare(`explain query plan ${sql}`)
        .all(...parameters)
        .map((row) => String(row['detail']))
        .filter((line) => line.startsWith('SCAN ') && !QUEUES.test(line))
        .map((line) => `${line} in: ${sql}`),
    )
  }
}

describe('what the collector asks', () => {
  let folder = ''
  let registry: Registry
  let probe: DatabaseFile
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'collection-'))
    const file = join(folder, 'registry.db')
    const database = await openSqlite(file)
    await createSchema(database)
    registry = await openRegistry(database)
    probe = new DatabaseFile(file)
    probe.exec(`
      insert into objects (id, domain, key, kind, state, created_at, changed_at, settled_at) values
        (1, 1, 'store/writer/pack', 1, 2, 0, 0, 0), (2, 1, 'store/writer/other', 1, 2, 0, 0, null), (3, 1, 'store/writer/whole', 0, 3, 0, 0, null);
      insert into chunks (id, domain, digest, size, object_id, offset, stored_length, codec, state, erase_by, created_at) values (4, 1, zeroblob(32), 10, 3, 0, 10, 0, 2, 1, 0);
      insert into chunks (id, domain, digest, size, object_id, offset, stored_length, codec, state, created_at) values
        (1, 1, x'${DIGEST.toString('hex')}', 10, 1, 64, 10, 0, 0, 0), (2, 1, zeroblob(32), 10, 2, 64, 10, 0, 1, 0),
        (3, 1, x'${Buffer.alloc(32, 3).toString('hex')}', 10, null, 0, 0, 0, 0, 0);
      insert into reviews (target_id, queued_at) values (1, 0);
      insert into manifests (id, chunk_id, state, created_at) values (1, 1, 1, 0), (2, 2, 2, 0);
      insert into holders (kind, holder_id, target_id) values (1, 1, 1), (3, 1, 1), (4, 1, 2), (5, 3, 1)`)
  })
  after(async () => {
    probe.close()
    await registry.close()
    await rm(folder, { recursive: true, force: true })
  })

  for (const [what, ask] of Object.entries(questions)) {
    test(`is found by an index: ${what}`, async () => {
      const recorder = new Recorder(probe)
      probe.exec('begin')
      try {
        await ask(new Session(registry.reader.dialect, recorder))
      } finally {
        probe.exec('rollback')
      }
      assert.ok(recorder.asked.length > 0)
      assert.deepEqual(recorder.scans(), [])
    })
  }

  test('and a question without an index is noticed', async () => {
    const recorder = new Recorder(probe)
    await recorder.all({ sql: 'select id from chunks where stored_length = ?', parameters: [1] })
    assert.equal(recorder.scans().length, 1)
  })
})
