import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ApprovalRequiredError, ForbiddenError, HeldError, InputInvalidError, RetainedError, StateConflictError } from './errors.ts'
import type { Hold } from './hold.ts'
import { parsePackageId } from './name.ts'
import { defaultRetentionClasses, parseRetentionClass, resolvePolicy } from './retention.ts'
import { explainRetention } from './retention-explanation.ts'
import {
  approvable,
  assertAnother,
  assertHoldable,
  assertSomebody,
  dueStep,
  extend,
  isBlockedByHolds,
  requestDeletion,
  reschedule,
  restartClock,
  setMode,
  shorten,
  undelete,
} from './retention-rules.ts'
import { applyChange, expiryOf, type RetentionChange, retentionOf, type RetentionState, stageOf } from './retention-state.ts'
import { uuidv7 } from './uuid.ts'

const DAY = 86_400_000
const start = Date.parse('2026-11-24T09:00:00.000Z')
const day = (count: number): number => start + count * DAY
const classes = [
  ...defaultRetentionClasses,
  parseRetentionClass({ name: 'ci', duration: 2, disposition: 'automatic' }),
  parseRetentionClass({ name: 'floored', duration: 100, minimum: 50, disposition: 'review' }),
  parseRetentionClass({ name: 'strict', duration: 100, mode: 'compliance', disposition: 'review' }),
]

const facts = (set: string, name: string | undefined, at = start): { readonly set: string } & ReturnType<typeof resolvePolicy> => ({
  set,
  ...resolvePolicy(name === undefined ? [] : [name], { classes, cutoff: at }),
})
const sealed = (sets: Readonly<Record<string, string | undefined>>): RetentionState =>
  retentionOf([{ kind: 'sealed', at: start, parts: Object.entries(sets).map(([set, name]) => facts(set, name)) }])
const one = (name: string | undefined): RetentionState => sealed({ '': name })
const after = (state: RetentionState, ...changes: readonly (RetentionChange | undefined)[]): RetentionState =>
  changes.reduce<RetentionState>((next, change) => (change === undefined ? next : applyChange(next, change)), state)
const moved = (kind: 'found-eligible' | 'approved' | 'deleted' | 'purging' | 'purged', at: number, sets = ['']): RetentionChange => ({
  kind,
  at,
  sets,
})
const ends = (state: RetentionState): readonly (number | undefined)[] =>
  state.parts.map(({ expiresAt }) => (expiresAt === undefined ? undefined : (expiresAt - start) / DAY))
const hold: Hold = {
  id: uuidv7(),
  kind: 'legal',
  matter: 'Case 7',
  authority: 'Counsel',
  reason: 'litigation',
  target: { packageId: parsePackageId(uuidv7()) },
  placedAt: day(1),
  placedBy: 'os:counsel',
}

describe('a package', () => {
  test('goes from finalized or retained over eligible, approved and soft-deleted to purged', () => {
    assert.equal(stageOf(one(undefined)), 'finalized')
    let state = one('raw-evidence')
    assert.equal(stageOf(state), 'retained')
    for (const [kind, stage] of [
      ['found-eligible', 'eligible'],
      ['approved', 'approved'],
      ['deleted', 'soft-deleted'],
      ['purging', 'purging'],
      ['purged', 'purged'],
    ] as const) {
      state = after(state, moved(kind, day(40)))
      assert.equal(stageOf(state), stage)
    }
  })

  test('is as far as the part that is least far, and ends with the last of them', () => {
    const both = sealed({ '': 'summary-evidence', raw: 'raw-evidence' })
    assert.equal(expiryOf(both), day(365))
    const half = after(
      both,
      moved('found-eligible', day(40), ['raw']),
      moved('deleted', day(40), ['raw']),
      moved('purging', day(41), ['raw']),
      moved('purged', day(41), ['raw']),
    )
    assert.equal(stageOf(half), 'retained')
    assert.equal(expiryOf(half), day(365))
    assert.deepEqual(
      half.parts.map(({ stage }) => stage),
      ['kept', 'purged'],
    )
    assert.equal(expiryOf(sealed({ '': 'permanent-record', raw: 'raw-evidence' })), undefined)
  })

  test('takes a change that skips a step for nothing', () => {
    const state = one('raw-evidence')
    for (const kind of ['approved', 'purging', 'purged'] as const) assert.deepEqual(after(state, moved(kind, day(40))), state)
  })
})

describe('an extension', () => {
  test('covers all parts unless it names some, and moves none backwards', () => {
    const state = sealed({ '': 'summary-evidence', logs: 'transient', raw: 'raw-evidence' })
    assert.deepEqual(ends(after(state, extend(state, { expiresAt: day(90) }, day(1)))), [365, 90, 90])
    assert.deepEqual(ends(after(state, extend(state, { expiresAt: day(90), sets: ['raw'] }, day(1)))), [365, 7, 90])
  })

  test('ends strictly later, in the future, and for a set that is there', () => {
    const state = one('raw-evidence')
    assert.throws(() => extend(state, { expiresAt: day(30) }, day(1)), StateConflictError)
    assert.throws(() => extend(state, { expiresAt: day(29) }, day(1)), StateConflictError)
    assert.throws(() => extend(state, { expiresAt: day(40) }, day(40)), InputInvalidError)
    assert.throws(() => extend(state, { expiresAt: day(90), sets: ['raw'] }, day(1)), InputInvalidError)
    assert.throws(() => extend(one('permanent-record'), { expiresAt: day(90_000) }, day(1)), StateConflictError)
  })

  test('takes back what is eligible or approved, but what is deleted only after an undelete', () => {
    const eligible = after(one('raw-evidence'), moved('found-eligible', day(40)))
    const approved = after(eligible, moved('approved', day(41)))
    for (const state of [eligible, approved]) assert.equal(stageOf(after(state, extend(state, { expiresAt: day(90) }, day(42)))), 'retained')
    assert.throws(() => extend(after(approved, moved('deleted', day(42))), { expiresAt: day(90) }, day(42)), StateConflictError)
  })

  test('of what had no retention binds it, and then wants an approval', () => {
    const state = after(one(undefined), extend(one(undefined), { expiresAt: day(10) }, day(1)))
    assert.deepEqual([state.mode, stageOf(state), state.parts[0]?.ending], ['governance', 'retained', 'review'])
    assert.throws(() => requestDeletion(state, [], day(2)), RetainedError)
  })
})

describe('shortening', () => {
  const request = { bypass: true, actor: 'os:me' }

  test('is for governance, with an explicit bypass, and not for anonymous', () => {
    const state = one('raw-evidence')
    assert.deepEqual(ends(after(state, shorten(state, { ...request, expiresAt: day(10) }, day(1)))), [10])
    assert.throws(() => shorten(state, { ...request, bypass: false, expiresAt: day(10) }, day(1)), ForbiddenError)
    assert.throws(() => shorten(state, { ...request, actor: 'anonymous', expiresAt: day(10) }, day(1)), ForbiddenError)
    assert.throws(() => shorten(one('strict'), { ...request, expiresAt: day(10) }, day(1)), RetainedError)
    assert.throws(() => shorten(one(undefined), { ...request, expiresAt: day(10) }, day(1)), StateConflictError)
    assert.throws(() => shorten(one('permanent-record'), { ...request, expiresAt: day(10) }, day(1)), RetainedError)
  })

  test('never goes below the minimum, nor to what has passed, nor later', () => {
    const state = one('floored')
    assert.deepEqual(ends(after(state, shorten(state, { ...request, expiresAt: day(50) }, day(1)))), [50])
    assert.throws(() => shorten(state, { ...request, expiresAt: day(50) - 1 }, day(1)), RetainedError)
    assert.throws(() => shorten(one('raw-evidence'), { ...request, expiresAt: day(1) }, day(2)), RetainedError)
    assert.throws(() => shorten(state, { ...request, expiresAt: day(101) }, day(1)), StateConflictError)
  })

  test("respects a minimum that a repository's floor set", () => {
    const floor = resolvePolicy(['summary-evidence'], { classes, cutoff: start, minimumClass: 'raw-evidence' })
    const state = retentionOf([{ kind: 'sealed', at: start, parts: [{ set: '', ...floor }] }])
    assert.throws(() => shorten(state, { ...request, expiresAt: day(29) }, day(1)), RetainedError)
    assert.deepEqual(ends(after(state, shorten(state, { ...request, expiresAt: day(30) }, day(1)))), [30])
  })

  test('of all parts leaves those alone that end earlier, of one part the others', () => {
    const state = sealed({ '': 'summary-evidence', logs: 'transient' })
    assert.deepEqual(ends(after(state, shorten(state, { ...request, expiresAt: day(90) }, day(1)))), [90, 7])
    assert.deepEqual(ends(after(state, shorten(state, { ...request, expiresAt: day(3), sets: ['logs'] }, day(1)))), [365, 3])
  })
})

describe('the mode', () => {
  test('goes one way', () => {
    const state = one('raw-evidence')
    const strict = after(state, setMode(state, 'compliance', day(1)))
    assert.equal(strict.mode, 'compliance')
    assert.throws(() => setMode(strict, 'governance', day(1)), StateConflictError)
    assert.throws(() => setMode(strict, 'none', day(1)), StateConflictError)
    assert.equal(setMode(strict, 'compliance', day(1)), undefined)
    assert.throws(() => setMode(one(undefined), 'governance', day(1)), StateConflictError)
  })
})

describe('storing it again', () => {
  const push = (state: RetentionState, at: number, sets: Readonly<Record<string, string | undefined>>): RetentionState =>
    after(state, { kind: 'taken-in', at, parts: Object.entries(sets).map(([set, name]) => facts(set, name, at)) })

  test('keeps it for the longer of what it was promised and what is asked for', () => {
    assert.deepEqual(ends(push(one('raw-evidence'), day(10), { '': 'transient' })), [30])
    assert.deepEqual(ends(push(one('raw-evidence'), day(25), { '': 'transient' })), [32])
    assert.deepEqual(ends(push(one('permanent-record'), day(25), { '': 'transient' })), [undefined])
  })

  test('takes it back from eligible, approved and soft-deleted', () => {
    const eligible = after(one('ci'), moved('found-eligible', day(4)))
    const deleted = after(eligible, moved('deleted', day(4)))
    for (const state of [eligible, deleted, after(one('raw-evidence'), moved('found-eligible', day(40)), moved('approved', day(40)))]) {
      const again = push(state, day(50), { '': 'ci' })
      assert.deepEqual([stageOf(again), ends(again)], ['retained', [52]])
    }
  })

  test('re-attaches a part that has gone, as if it had never been there', () => {
    const half = after(
      sealed({ '': 'summary-evidence', raw: 'ci' }),
      ...(['found-eligible', 'deleted', 'purging', 'purged'] as const).map((kind) => moved(kind, day(9), ['raw'])),
    )
    const again = push(half, day(20), { '': 'transient', raw: 'transient' })
    assert.deepEqual(
      [again.parts.map(({ stage }) => stage), ends(again)],
      [
        ['kept', 'kept'],
        [365, 27],
      ],
    )
  })

  test('without a class does not let it delete itself', () => {
    const expired = after(one('ci'), moved('found-eligible', day(4)))
    const again = push(expired, day(5), { '': undefined })
    assert.equal(again.parts[0]?.ending, 'request')
    const seen = after(again, moved('found-eligible', day(7)))
    assert.equal(dueStep(seen.parts[0] ?? assert.fail(), undefined, { now: day(900), grace: DAY }), undefined)
    assert.equal(requestDeletion(seen, [], day(9)).kind, 'deleted')
  })
})

describe('rescheduling', () => {
  test('goes forward only, counted from where the clock started, for the parts of that class', () => {
    const state = sealed({ '': 'summary-evidence', raw: 'raw-evidence' })
    const longer = parseRetentionClass({ name: 'raw-evidence', duration: 60, disposition: 'automatic' })
    const next = after(state, reschedule(state, longer, day(10)))
    assert.deepEqual([ends(next), next.parts[1]?.ending], [[365, 60], 'review'])
    assert.equal(reschedule(state, parseRetentionClass({ name: 'raw-evidence', duration: 10, disposition: 'review' }), day(10)), undefined)
    assert.equal(reschedule(next, longer, day(11)), undefined)
  })

  test('takes back what is retained again', () => {
    const state = after(one('raw-evidence'), moved('found-eligible', day(40)), moved('approved', day(40)), moved('deleted', day(40)))
    const longer = parseRetentionClass({ name: 'raw-evidence', duration: 90, disposition: 'review' })
    assert.equal(stageOf(after(state, reschedule(state, longer, day(40)))), 'retained')
  })
})

describe('a hold', () => {
  test('blocks what somebody asks for, and what would happen by itself', () => {
    assert.throws(() => requestDeletion(one(undefined), [hold], day(2)), HeldError)
    assert.throws(() => requestDeletion(after(one('ci'), moved('found-eligible', day(9))), [hold], day(9)), HeldError)
  })

  test('comes too late once destruction has begun', () => {
    const deleted = after(one(undefined), moved('deleted', day(1)))
    assertHoldable(deleted)
    assert.throws(() => assertHoldable(after(deleted, moved('purging', day(3)))), HeldError)
    const half = after(sealed({ '': 'summary-evidence', raw: undefined }), moved('deleted', day(1), ['raw']), moved('purging', day(3), ['raw']))
    assertHoldable(half)
  })

  test('for an event starts the clock of what it held when it is released, and never shortens', () => {
    const state = sealed({ '': 'summary-evidence', raw: 'raw-evidence' })
    assert.deepEqual(ends(after(state, restartClock(state, day(20), day(20)))), [385, 50])
    const expired = after(one('raw-evidence'), moved('found-eligible', day(40)))
    const restarted = after(expired, restartClock(expired, day(100), day(100)))
    assert.deepEqual([stageOf(restarted), ends(restarted)], ['retained', [130]])
    const extended = after(one('raw-evidence'), extend(one('raw-evidence'), { expiresAt: day(300) }, day(1)))
    assert.equal(restartClock(extended, day(100), day(100)), undefined)
    assert.equal(restartClock(one(undefined), day(100), day(100)), undefined)
  })
})

describe('asking for deletion', () => {
  test('is answered with the rule that keeps it', () => {
    const kept = (): unknown => requestDeletion(sealed({ '': 'transient', raw: 'raw-evidence' }), [], day(8))
    assert.throws(
      kept,
      (error: unknown) => error instanceof RetainedError && error.detail['set'] === 'raw' && error.detail['expiresAt'] === '2026-12-24T09:00:00.000Z',
    )
    assert.throws(() => requestDeletion(one('permanent-record'), [], day(90_000)), RetainedError)
    assert.throws(() => requestDeletion(one('ci'), [], day(3)), RetainedError, 'nobody has confirmed that its time is over')
    assert.throws(() => requestDeletion(after(one('raw-evidence'), moved('found-eligible', day(40))), [], day(40)), ApprovalRequiredError)
  })

  test('is granted where nothing keeps it', () => {
    assert.deepEqual(requestDeletion(one(undefined), [], day(1)), moved('deleted', day(1)))
    assert.deepEqual(requestDeletion(after(one('ci'), moved('found-eligible', day(9))), [], day(9)), moved('deleted', day(9)))
    assert.throws(() => requestDeletion(after(one(undefined), moved('deleted', day(1))), [], day(1)), StateConflictError)
  })

  test('can be taken back until destruction begins, and then nothing deletes it of itself', () => {
    const deleted = after(one('ci'), moved('found-eligible', day(9)), moved('deleted', day(9)))
    const back = after(deleted, undelete(deleted, day(9)))
    assert.deepEqual([stageOf(back), back.parts[0]?.ending], ['retained', 'request'])
    assert.throws(() => undelete(back, day(9)), StateConflictError)
    assert.throws(() => undelete(after(deleted, moved('purging', day(11))), day(11)), StateConflictError)
  })
})

describe('approval', () => {
  test('is for what is eligible and still over', () => {
    const state = after(sealed({ '': 'raw-evidence', raw: 'ci', more: 'summary-evidence' }), moved('found-eligible', day(40), ['', 'raw']))
    assert.deepEqual(
      approvable(state, ['', 'raw', 'more'], day(40)).map(({ set }) => set),
      ['', 'raw'],
    )
    const extended = after(state, extend(state, { expiresAt: day(90), sets: [''] }, day(41)))
    assert.deepEqual(
      approvable(extended, ['', 'raw'], day(41)).map(({ set }) => set),
      ['raw'],
    )
  })

  test('needs somebody, and where duties are separated somebody else', () => {
    assert.throws(() => assertSomebody('anonymous', 'approve deletions'), ForbiddenError)
    assertSomebody('token:auditor', 'approve deletions')
    assert.throws(() => assertAnother('os:me', 'os:me', 'approve it'), ForbiddenError)
    assertAnother('os:you', 'os:me', 'approve it')
  })
})

describe('the rules do not rely on each other', () => {
  const retainedAt = (stage: 'eligible' | 'deleted'): RetentionState => ({
    mode: 'governance',
    parts: one('raw-evidence').parts.map((part) => ({ ...part, stage, stageAt: start })),
  })

  test('what is retained is neither approved nor destroyed, however it came so far', () => {
    assert.deepEqual(approvable(retainedAt('eligible'), [''], day(10)), [])
    assert.equal(dueStep(retainedAt('deleted').parts[0] ?? assert.fail(), undefined, { now: day(10), grace: DAY }), undefined)
    assert.equal(dueStep(retainedAt('deleted').parts[0] ?? assert.fail(), undefined, { now: day(30), grace: DAY }), 'purge')
  })

  test('an event that would move an end the wrong way moves nothing', () => {
    const state = one('raw-evidence')
    assert.deepEqual(after(state, { kind: 'extended', at: day(1), sets: [''], expiresAt: day(3) }).parts, state.parts)
    assert.deepEqual(after(state, { kind: 'shortened', at: day(1), sets: [''], expiresAt: day(31) }).parts, state.parts)
  })

  test('holds block deletion and destruction, and nothing else', () => {
    assert.deepEqual((['sight', 'confirm', 'delete', 'purge', 'release'] as const).filter(isBlockedByHolds), ['delete', 'purge'])
  })
})

describe('an explanation', () => {
  const explain = (state: RetentionState, at: number, holds: readonly Hold[] = []): readonly string[] =>
    explainRetention(state, holds, at).map(({ rule, set, effect, text, time }) => [rule, set ?? '*', effect, text, time ?? ''].join('|'))

  test('says of each part which rule keeps it, then what holds across them, then what follows', () => {
    assert.deepEqual(explain(sealed({ '': 'summary-evidence', raw: 'ci' }), day(4), [hold]), [
      'class||notes|class summary-evidence: P365D, counted from|2026-11-24T09:00:00.000Z',
      'expiry||keeps|is kept until|2027-11-24T09:00:00.000Z',
      'class|raw|notes|class ci: P2D, counted from|2026-11-24T09:00:00.000Z',
      'expiry|raw|releases|its time is over since|2026-11-26T09:00:00.000Z',
      'confirmation|raw|keeps|two sweeps, a grace period apart, have not both seen it yet|',
      'mode|*|notes|governance: only an explicit bypass, with a reason, can shorten it|',
      `hold|*|keeps|legal hold ${hold.id} of os:counsel (Case 7), since|2026-11-25T09:00:00.000Z`,
      'hold|*|keeps|so it is retained, and nothing of it is deleted while it is held|',
    ])
  })

  test('of what is eligible says that it waits for an approval', () => {
    const lines = explain(after(one('raw-evidence'), moved('found-eligible', day(40))), day(41))
    assert.deepEqual(lines.slice(-4), [
      'confirmation||releases|that its time is over was seen twice|2027-01-03T09:00:00.000Z',
      'approval||keeps|its class wants the deletion approved|',
      'mode|*|notes|governance: only an explicit bypass, with a reason, can shorten it|',
      'disposition|*|notes|so it is eligible|',
    ])
  })

  test('of what nothing keeps says so', () => {
    assert.deepEqual(explain(one(undefined), day(1)), [
      'no-class||notes|has no retention class|',
      'disposition||releases|may be deleted when somebody asks for it|',
      'disposition|*|releases|so it is finalized|',
    ])
  })

  test('of what is gone says since when', () => {
    const purged = after(one(undefined), moved('deleted', day(1)), moved('purging', day(3)), moved('purged', day(3)))
    assert.deepEqual(explain(purged, day(9)), ['destroyed||notes|was let go|2026-11-27T09:00:00.000Z', 'destroyed|*|releases|so it is purged|'])
  })
})
