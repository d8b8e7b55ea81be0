/**
 * Retention broken off between any two of its steps: every transaction of a history of deletions is, in turn, the one before or after which the process
 * is gone. Another process then finishes, and must come to the same end.
 */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { MovableClock } from '../../testing/movable-clock.ts'
import { bytes, readAll } from '../../testing/store-case.ts'
import type { EmbeddedStore } from '../embedded-store.ts'
import { createStore, openStore } from '../open.ts'
import { closeContext, openContext } from '../open-context.ts'
import { rebuildViews } from '../rebuild.ts'
import { recoverStore } from '../recover.ts'
import { Upkeep } from '../upkeep.ts'

const DAY = 86_400_000
const start = '2026-11-24T09:00:00.000Z'

/** Packages: one that deletes itself, one with a set that does, one that wants an approval, one that is held by an event. */
async function stage(t: TestContext): Promise<{ readonly directory: string; readonly ids: readonly string[] }> {
  const folder = mkdtempSync(join(tmpdir(), 'interruption-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const directory = join(folder, 'data')
  const store = await createStore(directory, { clock: new MovableClock(start), actor: 'os:me' })
  const ids: string[] = []
  for (const [name, retentionClass] of [
    ['automatic', 'transient'],
    ['sets', 'summary-evidence'],
    ['review', 'raw-evidence'],
    ['event', 'raw-evidence'],
  ] as const) {
    const draft = await store.packages.open({
      repository: `demo/${name}`,
      subject: name,
      retentionClass,
      ...(name === 'sets' ? { fileSets: [{ name: 'raw', match: ['raw/**'], class: 'transient' }] } : {}),
    })
    await draft.put('raw/shared', bytes('shared'))
    await draft.put('own', bytes(name))
    ids.push((await draft.finalize()).id)
  }
  await store.holds.place({ kind: 'event', matter: 'm', authority: 'a', reason: 'r', selector: { subject: 'event' } })
  await store.close()
  return { directory, ids }
}

/** A month passes, with a sweep on some days, an approval and the release of the hold. Written so that it can be begun again at any point. */
async function live(store: EmbeddedStore, clock: MovableClock): Promise<void> {
  const reach = async (day: number): Promise<void> => {
    clock.advance(Math.max(0, Date.parse(start) + day * DAY - clock.now()))
    await store.sweep({ grace: DAY, batch: 2 })
  }
  for (const day of [8, 9, 10, 31, 32]) await reach(day)
  for (const { id } of (await store.holds.list()).items) await store.holds.release(id, { reason: 'over' }).catch(() => undefined)
  await store.sweep({ grace: DAY, batch: 2 })
  const known = (await store.retention.plans()).items[0]
  const plan = known ?? (await store.retention.createPlan())
  await store.retention.approve(plan.digest)
  for (const day of [33, 34]) await reach(day)
}

/** What users see of it in the end; ids and times of events are left out. */
async function outcome(store: EmbeddedStore, ids: readonly string[]): Promise<unknown> {
  const packages = await Promise.all(
    ids.map(async (id) => {
      const { stage: now, expiresAt, parts } = await store.retention.show(id)
      const certificates = await store.retention.certificates(id).catch(() => [])
      return [
        now,
        expiresAt,
        parts.map(({ set, stage: part }) => [set, part]),
        certificates.map(({ sets, state, digests }) => [sets, state, digests]),
      ]
    }),
  )
  const { items } = await store.holds.list({ released: true })
  return [packages, items.map(({ state }) => state), (await store.retention.plans()).items.map(({ state, approvedItems }) => [state, approvedItems])]
}

class Gone extends Error {}

/** Transactions of retention, before they are committed: to be gone after one is to be gone before the next. */
const own = /^registry\.(sweep-|let-go|record-released|settle-hold|unblock|approve|plan|release-hold).*:before-commit$/

test('whatever step of a deletion is the last of a process, the next one finishes it, and the log says what happened', async (t) => {
  const { directory, ids } = await stage(t)
  const copy = (name: string): string => {
    const to = join(directory, '..', name)
    cpSync(directory, to, { recursive: true })
    return to
  }
  const steps: string[] = []
  const clock = new MovableClock(start)
  const whole = await openStore(copy('whole'), { clock, actor: 'os:me', observe: (step) => void (own.test(step) && steps.push(step)) })
  await live(whole, clock)
  const expected = await outcome(whole, ids)
  assert.match(JSON.stringify(expected), /"purged".*"raw","purged".*"purged".*"retained"/)
  await whole.close()
  assert.ok(steps.length >= 40, `only ${steps.length} steps`)
  for (const [index, step] of steps.entries()) {
    const place = copy(`broken-${index}`)
    const moved = new MovableClock(start)
    let at = -1
    const observe = (seen: string): void => {
      if (own.test(seen)) at += 1
      if (at >= index) throw new Gone(step)
    }
    const broken = await openStore(place, { clock: moved, actor: 'os:me', observe }).catch(() => undefined)
    if (broken !== undefined) await assert.rejects(live(broken, moved), `nothing broke at ${step}`)
    const next = await openStore(place, { clock: moved, actor: 'os:me' })
    await live(next, moved)
    assert.deepEqual(await outcome(next, ids), expected, `broken at ${step} (${index})`)
    assert.equal(await readAll(next.files.read(ids[3] ?? '', 'raw/shared')), 'shared')
    await next.close()
    const context = await openContext(place, { clock: moved })
    assert.deepEqual((await rebuildViews(context)).listed, [], `broken at ${step} (${index})`)
    await closeContext(context)
    await broken?.close().catch(() => undefined)
    rmSync(place, { recursive: true, force: true })
  }
})

test('a registry recovered from the objects has the same retention, holds, plans and tombstones', async (t) => {
  const { directory, ids } = await stage(t)
  const clock = new MovableClock(start)
  const store = await openStore(directory, { clock, actor: 'os:me' })
  await live(store, clock)
  await store.close()
  // The bytes of what was let go of are gone, too: nobody may look for them, or take the package for damaged.
  for (let round = 0; round < 4; round += 1) {
    const parts = await openContext(directory, { clock })
    await new Upkeep(parts, { graceMs: 0, drainMs: 0, eraseWithinMs: 0, auditEveryMs: 0 }).runOnce()
    await closeContext(parts)
  }
  const collected = await openStore(directory, { clock, actor: 'os:me' })
  const expected = await outcome(collected, ids)
  assert.match(JSON.stringify(expected), /certified/)
  await collected.close()
  const report = await recoverStore(directory, { clock })
  assert.deepEqual([report.lossy, report.reasons, report.damagedPackages], [false, [], []])
  const context = await openContext(directory, { clock })
  assert.deepEqual((await rebuildViews(context)).listed, [])
  await closeContext(context)
  const recovered = await openStore(directory, { clock, actor: 'os:me' })
  assert.deepEqual(await outcome(recovered, ids), expected)
  assert.equal(await readAll(recovered.files.read(ids[3] ?? '', 'raw/shared')), 'shared')
  for await (const { problem } of recovered.packages.verify('all')) assert.equal(problem, undefined)
  const plan = (await recovered.retention.plans()).items[0]
  assert.equal((await recovered.retention.planItems(plan?.digest ?? '')).items.length, 1)
  await recovered.close()
})
