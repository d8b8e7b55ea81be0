import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { anonymousAccess, fullAccess } from '../../core/access.ts'
import { MovableClock } from '../../testing/movable-clock.ts'
import { bytes, collect, readAll, rejectsWith, sealed } from '../../testing/store-case.ts'
import type { EmbeddedStore } from '../embedded-store.ts'
import { createStore, openStore } from '../open.ts'
import { closeContext, openContext } from '../open-context.ts'
import { rebuildViews } from '../rebuild.ts'

const DAY = 86_400_000
const GRACE = { grace: DAY }

interface World {
  readonly store: EmbeddedStore
  readonly clock: MovableClock
  readonly directory: string
  /** A store for somebody else. */
  readonly as: (actor: string) => EmbeddedStore
}

async function world(t: TestContext): Promise<World> {
  const directory = mkdtempSync(join(tmpdir(), 'retention-'))
  const clock = new MovableClock('2026-11-24T09:00:00.000Z')
  const store = await createStore(join(directory, 'data'), { clock, actor: 'os:me' })
  t.after(async () => {
    await store.close()
    rmSync(directory, { recursive: true, force: true })
  })
  return { store, clock, directory: join(directory, 'data'), as: (actor) => store.actingAs(fullAccess(actor)) }
}

/** Days pass; at the end of each a sweep does what is due. */
async function pass({ store, clock }: World, days: number): Promise<void> {
  for (let day = 0; day < days; day += 1) {
    clock.advance(DAY)
    await store.sweep(GRACE)
  }
}

async function assertReplays(world: World): Promise<void> {
  const context = await openContext(world.directory, { clock: world.clock })
  try {
    assert.deepEqual((await rebuildViews(context)).listed, [])
  } finally {
    await closeContext(context)
  }
}

const stageOf = async ({ store }: World, ref: string): Promise<string> => (await store.retention.show(ref)).stage

test('what deletes itself goes two sweeps, a grace and a certificate after its end, and leaves a tombstone', async (t) => {
  const w = await world(t)
  const { id } = await sealed(
    w.store,
    'demo',
    { a: 'canary' },
    { retentionClass: 'transient', tags: ['latest'], metadata: { k: 'v' }, producer: 'rig' },
  )
  await pass(w, 7)
  assert.equal(await stageOf(w, id), 'retained')
  await pass(w, 1)
  assert.equal(await stageOf(w, id), 'soft-deleted')
  await rejectsWith('purged', readAll(w.store.files.read(id, 'a')))
  await rejectsWith('not_found', w.store.packages.get('demo:latest'))
  assert.equal((await w.store.packages.get(id)).status, 'deleted')
  await pass(w, 1)
  assert.equal(await stageOf(w, id), 'purged')
  const tombstone = await w.store.packages.get(id)
  assert.deepEqual([tombstone.status, tombstone.producer, tombstone.fileCount, tombstone.tags], ['purged', undefined, 1, []])
  const error = await rejectsWith('purged', w.store.packages.document(id))
  assert.equal(error.detail['packageId'], id)
  const [certificate] = await w.store.retention.certificates(id)
  assert.deepEqual([certificate?.state, certificate?.authority, certificate?.digests], ['released', 'automatic', 3])
  assert.deepEqual(
    (await w.store.packages.search({ status: 'purged' })).items.map((item) => item.id),
    [id],
  )
  await assertReplays(w)
})

test('what somebody must approve waits for a plan, and goes when exactly that is approved', async (t) => {
  const w = await world(t)
  const one = await sealed(w.store, 'demo', { a: '1' }, { retentionClass: 'raw-evidence' })
  const two = await sealed(w.store, 'demo/deep', { a: '2' }, { retentionClass: 'raw-evidence' })
  const other = await sealed(w.store, 'other', { a: '3' }, { retentionClass: 'raw-evidence' })
  await rejectsWith('not_found', w.store.retention.createPlan())
  await rejectsWith('retained', w.store.retention.delete(one.id))
  await pass(w, 32)
  assert.equal(await stageOf(w, one.id), 'eligible')
  await rejectsWith('approval_required', w.store.retention.delete(one.id))
  const plan = await w.store.retention.createPlan({ repository: 'demo' })
  assert.deepEqual([plan.state, plan.items, plan.size, plan.more], ['open', 2, 2, false])
  const first = await w.store.retention.planItems(plan.digest, { limit: 1 })
  const second = await w.store.retention.planItems(plan.digest, { limit: 1, ...(first.next === undefined ? {} : { after: first.next }) })
  assert.deepEqual(
    [...first.items, ...second.items].map(({ packageId, files, size, classes }) => [packageId, files, size, classes]),
    [
      [one.id, 1, 1, ['raw-evidence']],
      [two.id, 1, 1, ['raw-evidence']],
    ],
  )
  assert.equal(second.next, undefined)
  const done = await w.as('os:auditor').retention.approve(plan.digest, { reason: 'yearly clean-up' })
  assert.deepEqual([done.state, done.approvedItems, done.approvedBy], ['completed', 2, 'os:auditor'])
  assert.deepEqual([await stageOf(w, one.id), await stageOf(w, other.id)], ['soft-deleted', 'eligible'])
  assert.deepEqual(await w.store.retention.approve(plan.digest), done)
  await pass(w, 1)
  assert.deepEqual([await stageOf(w, one.id), await stageOf(w, two.id)], ['purged', 'purged'])
  const [certificate] = await w.store.retention.certificates(one.id)
  assert.deepEqual([certificate?.plan, certificate?.deletedBy, certificate?.reason], [plan.digest, 'os:auditor', 'yearly clean-up'])
  assert.deepEqual(
    (await w.store.retention.plans()).items.map(({ digest }) => digest),
    [plan.digest],
  )
  await assertReplays(w)
})

test('what changed between plan and approval is left out', async (t) => {
  const w = await world(t)
  const [gone, extended, held, pushed] = await Promise.all(
    ['gone', 'extended', 'held', 'pushed'].map((name) => sealed(w.store, `demo/${name}`, { name }, { retentionClass: 'raw-evidence' })),
  )
  assert.ok(gone !== undefined && extended !== undefined && held !== undefined && pushed !== undefined)
  await pass(w, 32)
  const plan = await w.store.retention.createPlan()
  assert.equal(plan.items, 4)
  await w.store.retention.extend(extended.id, { expiresAt: '2027-06-01', reason: 'still needed' })
  await w.store.holds.place({ kind: 'legal', matter: 'Case 7', authority: 'Counsel', reason: 'litigation', packageId: held.id })
  const again = await sealed(w.store, 'demo/pushed', { name: 'pushed' }, { retentionClass: 'raw-evidence' })
  assert.deepEqual([again.id, again.reusedExisting], [pushed.id, true])
  const done = await w.store.retention.approve(plan.digest)
  assert.equal(done.approvedItems, 1)
  assert.deepEqual(await Promise.all([gone, extended, held, pushed].map(({ id }) => stageOf(w, id))), [
    'soft-deleted',
    'retained',
    'eligible',
    'retained',
  ])
  await assertReplays(w)
})

test('a plan that nobody approves in time expires, and cannot be approved', async (t) => {
  const w = await world(t)
  await sealed(w.store, 'demo', { a: '1' }, { retentionClass: 'raw-evidence' })
  await pass(w, 32)
  const plan = await w.store.retention.createPlan()
  w.clock.advance(7 * DAY)
  await rejectsWith('state_conflict', w.store.retention.approve(plan.digest))
  await pass(w, 1)
  assert.equal((await w.store.retention.plan(plan.digest)).state, 'expired')
  await rejectsWith('state_conflict', w.store.retention.planItems(plan.digest))
  await rejectsWith('not_found', w.store.retention.plan(`sha256:${'0'.repeat(64)}`))
  await assertReplays(w)
})

test('a file set that expires leaves the package and its other sets readable', async (t) => {
  const w = await world(t)
  const draft = await w.store.packages.open({
    repository: 'demo',
    retentionClass: 'summary-evidence',
    fileSets: [{ name: 'raw', match: ['raw/**'], class: 'transient' }],
    tags: ['latest'],
  })
  for (const path of ['raw/a', 'raw/b', 'summary.md']) await draft.put(path, bytes(path))
  const { id } = await draft.finalize()
  await pass(w, 8)
  assert.equal(await stageOf(w, id), 'retained')
  assert.equal(await readAll(w.store.files.read('demo:latest', 'summary.md')), 'summary.md')
  const error = await rejectsWith('purged', w.store.files.stat(id, 'raw/a'))
  assert.deepEqual(error.detail['expired'], [{ fileSets: ['raw'], count: 2, size: 10 }])
  await rejectsWith('purged', w.store.files.stat(id, 'never-there'))
  await pass(w, 1)
  const state = await w.store.retention.show(id)
  assert.deepEqual(
    state.parts.map(({ set, stage }) => [set, stage]),
    [
      ['', 'kept'],
      ['raw', 'purged'],
    ],
  )
  assert.deepEqual(
    (await collect(w.store.files.list(id))).map((file) => file.path),
    ['summary.md'],
  )
  assert.deepEqual(
    (await w.store.files.expired(id)).map(({ fileSets, count, size }) => [fileSets, count, size]),
    [[['raw'], 2, 10]],
  )
  for await (const { problem } of w.store.packages.verify(id)) assert.equal(problem, undefined)
  const [certificate] = await w.store.retention.certificates(id)
  // The child and its two files. The child with the document, and what is empty, stay.
  assert.deepEqual([certificate?.sets, certificate?.digests, certificate?.state], [['raw'], 4, 'released'])
  await assertReplays(w)

  const again = await w.store.packages.open({
    repository: 'demo',
    retentionClass: 'transient',
    fileSets: [{ name: 'raw', match: ['raw/**'], class: 'transient' }],
  })
  for (const path of ['raw/a', 'raw/b', 'summary.md']) await again.put(path, bytes(path))
  assert.deepEqual(await again.finalize(), { ...(await again.finalize()), id, reusedExisting: true })
  assert.equal(await readAll(w.store.files.read(id, 'raw/a')), 'raw/a')
  assert.deepEqual(await w.store.files.expired(id), [])
  await assertReplays(w)
})

test('a hold stops deletion wherever it is, and ends when it is released', async (t) => {
  const w = await world(t)
  const { id } = await sealed(w.store, 'demo', { a: '1' }, { retentionClass: 'transient' })
  const place = (): ReturnType<EmbeddedStore['holds']['place']> =>
    w.store.holds.place({ kind: 'legal', matter: 'Case 7', authority: 'Counsel', reason: 'litigation', packageId: id })
  const hold = await place()
  await pass(w, 20)
  assert.deepEqual([await stageOf(w, id), (await w.store.retention.show(id)).holds], ['eligible', [hold.id]])
  await rejectsWith('held', w.store.retention.delete(id))
  await w.store.holds.release(hold.id, { reason: 'settled' })
  await rejectsWith('state_conflict', w.store.holds.release(hold.id, { reason: 'again' }))
  await pass(w, 1)
  assert.equal(await stageOf(w, id), 'soft-deleted')
  const second = await place()
  await pass(w, 20)
  assert.equal(await stageOf(w, id), 'soft-deleted')
  await w.store.retention.undelete(id)
  assert.equal(await readAll(w.store.files.read(id, 'a')), '1')
  await w.store.holds.release(second.id, { reason: 'settled' })
  // What somebody took back does not go by itself.
  await pass(w, 20)
  assert.equal(await stageOf(w, id), 'eligible')
  await w.store.retention.delete(id)
  await pass(w, 1)
  assert.equal(await stageOf(w, id), 'purged')
  await rejectsWith('held', place())
  assert.deepEqual(
    (await w.store.holds.list({ released: true })).items.map(({ state }) => state),
    ['released', 'released'],
  )
  assert.deepEqual((await w.store.holds.list()).items, [])
  await assertReplays(w)
})

test('a hold by selector catches what comes later, by whole components of the repository', async (t) => {
  const w = await world(t)
  const said = { kind: 'legal', matter: 'Case 7', authority: 'Counsel', reason: 'litigation' }
  const hold = await w.store.holds.place({ ...said, selector: { repository: 'acme/board', producer: 'rig' } })
  const held = await sealed(w.store, 'acme/board/rev-a', { a: '1' }, { producer: 'rig' })
  const free = await sealed(w.store, 'acme/board-2', { a: '1' }, { producer: 'rig' })
  const other = await sealed(w.store, 'acme/board', { a: '1' }, { producer: 'other' })
  await rejectsWith('held', w.store.retention.delete(held.id))
  for (const { id } of [free, other]) assert.equal((await w.store.retention.delete(id)).stage, 'soft-deleted')
  await w.store.holds.release(hold.id, { reason: 'settled' })
  assert.equal((await w.store.retention.delete(held.id)).stage, 'soft-deleted')
  await assertReplays(w)
})

test('an event hold starts the clock of what it held when it is released', async (t) => {
  const w = await world(t)
  const one = await sealed(w.store, 'demo', { a: '1' }, { retentionClass: 'raw-evidence', subject: 'contract' })
  const two = await sealed(w.store, 'demo', { a: '2' }, { retentionClass: 'raw-evidence', subject: 'contract' })
  const said = { kind: 'event', matter: 'contract runs', authority: 'Legal', reason: 'ends later' }
  const single = await w.store.holds.place({ ...said, packageId: one.id })
  const selected = await w.store.holds.place({ ...said, selector: { subject: 'contract' } })
  await pass(w, 40)
  assert.deepEqual([await stageOf(w, one.id), await stageOf(w, two.id)], ['eligible', 'eligible'])
  await w.store.holds.release(single.id, { reason: 'it ended' })
  assert.equal((await w.store.retention.show(one.id)).expiresAt, '2027-02-02T09:00:00.000Z')
  await pass(w, 10)
  const released = await w.store.holds.release(selected.id, { reason: 'it ended' })
  assert.equal(released.state, 'settling')
  assert.deepEqual((await w.store.retention.show(two.id)).holds, [selected.id])
  await w.store.sweep(GRACE)
  assert.equal((await w.store.holds.get(selected.id)).state, 'released')
  for (const { id } of [one, two]) {
    const state = await w.store.retention.show(id)
    assert.deepEqual([state.stage, state.expiresAt, state.holds], ['retained', '2027-02-12T09:00:00.000Z', []])
  }
  await assertReplays(w)
})

test('pushing again takes back what is eligible, deleted or partly gone, and what is destroyed gets a new id', async (t) => {
  const w = await world(t)
  const push = (): ReturnType<typeof sealed> => sealed(w.store, 'demo', { a: '1' }, { retentionClass: 'transient', tags: ['latest'] })
  const { id } = await push()
  await pass(w, 8)
  assert.equal(await stageOf(w, id), 'soft-deleted')
  assert.deepEqual([(await push()).id, await stageOf(w, id)], [id, 'retained'])
  assert.equal(await readAll(w.store.files.read('demo:latest', 'a')), '1')
  assert.equal((await w.store.retention.show(id)).expiresAt, '2026-12-09T09:00:00.000Z')
  await pass(w, 9)
  assert.equal(await stageOf(w, id), 'purged')
  const anew = await push()
  assert.notEqual(anew.id, id)
  assert.equal(anew.reusedExisting, false)
  assert.equal((await w.store.packages.get(`demo@${anew.manifestDigest}`)).id, anew.id)
  await assertReplays(w)
})

test('a run whose package was disposed of is answered so for ever; one that is only deleted comes back', async (t) => {
  const w = await world(t)
  const open = (): ReturnType<EmbeddedStore['packages']['open']> =>
    w.store.packages.open({ repository: 'demo', runId: 'r1', retentionClass: 'transient' })
  const draft = await open()
  await draft.put('a', bytes('1'))
  const { id } = await draft.finalize()
  assert.equal((await open()).status, 'finalized')
  await w.store.retention.shorten(id, { expiresAt: '2026-11-25T09:00:00Z', reason: 'wrong run', bypass: true })
  await pass(w, 2)
  assert.equal(await stageOf(w, id), 'soft-deleted')
  const again = await open()
  assert.equal(again.status, 'open')
  await again.put('a', bytes('1'))
  assert.equal((await again.finalize()).id, id)
  await pass(w, 9)
  await rejectsWith('run_disposed', open())
  // One that was opened in time and sealed too late.
  const late = await sealed(w.store, 'late', { a: '1' }, { runId: 'r1', retentionClass: 'transient' })
  await pass(w, 8)
  const tooLate = await w.store.packages.open({ repository: 'late', runId: 'r1', retentionClass: 'transient' })
  await tooLate.put('a', bytes('1'))
  await pass(w, 1)
  assert.equal(await stageOf(w, late.id), 'purged')
  await rejectsWith('run_disposed', tooLate.finalize())
  await rejectsWith('purged', w.store.packages.resume(id))
  const other = await w.store.packages.open({ repository: 'demo', runId: 'r2' })
  assert.equal(other.status, 'open')
  await assertReplays(w)
})

test("the operator's classes are durations of the calendar, and changing one changes nothing that was promised", async (t) => {
  const w = await world(t)
  await w.store.retention.setClass({ name: 'tax', duration: 'P3M', minimum: 'P1M', disposition: 'review' })
  const { id } = await sealed(w.store, 'demo', { a: '1' }, { retentionClass: 'tax' })
  assert.equal((await w.store.retention.show(id)).expiresAt, '2027-02-24T09:00:00.000Z')
  await w.store.retention.setClass({ name: 'tax', duration: 'P1Y', minimum: 'P1M', disposition: 'review' })
  assert.equal((await w.store.retention.show(id)).expiresAt, '2027-02-24T09:00:00.000Z')
  assert.deepEqual(await w.store.retention.reschedule('tax', { reason: 'new law' }), { packages: 1 })
  assert.equal((await w.store.retention.show(id)).expiresAt, '2027-11-24T09:00:00.000Z')
  assert.deepEqual(await w.store.retention.reschedule('tax', { reason: 'new law' }), { packages: 0 })
  await rejectsWith('retained', w.store.retention.shorten(id, { expiresAt: '2026-12-23', reason: 'x', bypass: true }))
  assert.equal((await w.store.retention.shorten(id, { expiresAt: '2026-12-25', reason: 'x', bypass: true })).expiresAt, '2026-12-25T00:00:00.000Z')
  assert.deepEqual((await w.store.retention.classes()).map(({ name }) => name).slice(-2), ['permanent-record', 'tax'])
  await w.store.repositories.set('strict', { defaultClass: 'tax', minimumClass: 'tax' })
  assert.equal((await w.store.retention.show((await sealed(w.store, 'strict', { a: '1' })).id)).parts[0]?.class, 'tax')
  await assertReplays(w)
})

test('duties are separated where the repository wants it, and anonymous may nothing of the kind', async (t) => {
  const w = await world(t)
  await w.store.repositories.set('demo', { separationOfDuties: true })
  const { id } = await sealed(w.store, 'demo', { a: '1' }, { retentionClass: 'raw-evidence' })
  await pass(w, 32)
  const plan = await w.store.retention.createPlan()
  await rejectsWith('forbidden', w.store.retention.approve(plan.digest))
  const hold = await w.store.holds.place({ kind: 'legal', matter: 'm', authority: 'a', reason: 'r', selector: { producer: 'rig' } })
  await rejectsWith('forbidden', w.store.holds.release(hold.id, { reason: 'r' }))
  await w.as('os:other').holds.release(hold.id, { reason: 'r' })
  const nobody = w.store.actingAs({ ...fullAccess('anonymous') })
  await rejectsWith('forbidden', nobody.retention.approve(plan.digest))
  await rejectsWith('forbidden', nobody.retention.shorten(id, { expiresAt: '2027-01-01', reason: 'r', bypass: true }))
  const second = await w.store.holds.place({ kind: 'legal', matter: 'm', authority: 'a', reason: 'r', packageId: id })
  await rejectsWith('forbidden', nobody.holds.release(second.id, { reason: 'r' }))
  const stranger = w.store.actingAs(anonymousAccess)
  await rejectsWith('not_found', stranger.retention.show(id))
  await rejectsWith('not_found', stranger.holds.get(second.id))
  await rejectsWith('unauthenticated', stranger.retention.createPlan())
  await w.as('os:other').holds.release(second.id, { reason: 'r' })
  assert.equal((await w.as('os:other').retention.approve(plan.digest)).approvedItems, 1)
})

test('a clock that jumps stops deletion, and only an operator starts it again', async (t) => {
  const w = await world(t)
  const { id } = await sealed(w.store, 'demo', { a: '1' }, { retentionClass: 'transient' })
  const free = await sealed(w.store, 'demo', { a: '2' })
  for (const jump of [400 * DAY, -400 * DAY + 3 * 3_600_000, -6 * 3_600_000, 3 * 3_600_000]) {
    w.clock.jump(jump)
    assert.notEqual((await w.store.sweep(GRACE)).doubt, undefined)
  }
  assert.equal((await w.store.retention.clock()).state, 'suspect')
  await rejectsWith('clock_suspect', w.store.retention.delete(free.id))
  // Reading and writing go on, on trusted time.
  assert.equal(await readAll(w.store.files.read(id, 'a')), '1')
  w.clock.advance(DAY)
  const pushed = await sealed(w.store, 'demo', { a: '3' }, { retentionClass: 'transient' })
  assert.equal((await w.store.packages.get(pushed.id)).finalizedAt, '2026-11-25T09:00:00.000Z')
  assert.equal((await w.store.health()).checks['clock']?.status, 'warn')
  await rejectsWith('forbidden', w.store.actingAs(fullAccess('anonymous')).retention.acceptClock({ reason: 'r' }))
  assert.equal((await w.store.retention.acceptClock({ reason: 'it is right again' })).state, 'trusted')
  assert.equal((await w.store.sweep(GRACE)).doubt, undefined)
  await pass(w, 9)
  assert.equal(await stageOf(w, id), 'purged')
  await assertReplays(w)
})

test('a clock that was far ahead is set right by accepting it, and the log goes on from there', async (t) => {
  const w = await world(t)
  const late = new MovableClock('2027-12-29T09:00:00.000Z')
  await w.store.close()
  const ahead = await openStore(w.directory, { clock: late, actor: 'os:me' })
  assert.equal((await ahead.retention.clock()).state, 'trusted', 'a start long after the last event is no jump')
  const { id } = await sealed(ahead, 'demo', { a: '1' }, { retentionClass: 'transient' })
  await ahead.close()
  const right = await openStore(w.directory, { clock: w.clock, actor: 'os:me' })
  assert.equal((await right.retention.clock()).state, 'suspect')
  assert.notEqual((await right.sweep(GRACE)).doubt, undefined)
  await right.close()
  const again = await openStore(w.directory, { clock: w.clock, actor: 'os:me' })
  assert.equal((await again.retention.clock()).state, 'suspect', 'a restart does not make it sound')
  await again.retention.acceptClock({ reason: 'that one was wrong' })
  const next = await sealed(again, 'demo', { a: '2' }, { retentionClass: 'transient' })
  assert.equal((await again.packages.get(next.id)).finalizedAt, '2026-11-24T09:00:00.000Z')
  assert.equal((await again.packages.get(id)).expiresAt, '2028-01-05T09:00:00.000Z')
  const times = (await again.events.list({ limit: 100 })).events.map(({ type, time }) => [type, time.slice(0, 7)])
  assert.deepEqual(times.slice(-4), [
    ['package.finalized', '2027-12'],
    ['clock.suspected', '2027-12'],
    ['clock.accepted', '2026-11'],
    ['package.finalized', '2026-11'],
  ])
  await again.events.verify()
  await again.close()
})
