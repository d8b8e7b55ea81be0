/**
 * Random histories of one package: pushes, extensions, shortenings, modes, holds, approvals, deletions, sweeps and the passing of time, each through
 * the rules that decide about them. After every step what must always hold is checked.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { StoreError } from './errors.ts'
import type { Hold } from './hold.ts'
import { parsePackageId } from './name.ts'
import { defaultRetentionClasses, isStricter, parseRetentionClass, resolvePolicy, type RetentionClass, type RetentionMode } from './retention.ts'
import { explainRetention } from './retention-explanation.ts'
import {
  approvable,
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
import {
  applyChange,
  endOf,
  expiryOf,
  isRetained,
  type PartFacts,
  retentionOf,
  type RetentionChange,
  type RetentionState,
  stageOf,
} from './retention-state.ts'
import { uuidv7 } from './uuid.ts'

const DAY = 86_400_000
const start = Date.parse('2026-11-24T09:00:00.000Z')
const grace = DAY
const packageId = parsePackageId(uuidv7())

const classes: readonly RetentionClass[] = [
  ...defaultRetentionClasses,
  parseRetentionClass({ name: 'half-year', duration: 'P6M', minimum: 'P1M', disposition: 'review' }),
  parseRetentionClass({ name: 'ci', duration: 2, disposition: 'automatic' }),
  parseRetentionClass({ name: 'strict', duration: 'P1Y', mode: 'compliance', disposition: 'review' }),
]

type Command =
  | { readonly kind: 'wait'; readonly days: number }
  | { readonly kind: 'push'; readonly classes: readonly (string | undefined)[] }
  | { readonly kind: 'extend' | 'shorten'; readonly days: number; readonly set: number | undefined }
  | { readonly kind: 'mode'; readonly mode: RetentionMode }
  | { readonly kind: 'hold' | 'release'; readonly event: boolean }
  | { readonly kind: 'sweep' | 'approve' | 'delete' | 'undelete' | 'reschedule' }

const className = fc.option(fc.constantFrom(...classes.map(({ name }) => name)), { nil: undefined })
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('wait' as const), days: fc.constantFrom(0.5, 1, 2, 10, 40, 200, 800) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('push' as const), classes: fc.tuple(className, className) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('extend' as const, 'shorten' as const),
      days: fc.integer({ min: -20, max: 400 }),
      set: fc.option(fc.nat(1), { nil: undefined }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('mode' as const), mode: fc.constantFrom<RetentionMode>('none', 'governance', 'compliance') }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('hold' as const, 'release' as const), event: fc.boolean() }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'sweep' as const,
        'sweep' as const,
        'sweep' as const,
        'approve' as const,
        'delete' as const,
        'undelete' as const,
        'reschedule' as const,
      ),
    }),
  },
)

/** One package and those who act on it. */
class World {
  now = start
  readonly changes: RetentionChange[] = []
  readonly holds: Hold[] = []
  readonly sighted = new Map<string, number>()
  state: RetentionState
  readonly #sets: readonly string[]

  constructor(asked: readonly (string | undefined)[]) {
    this.#sets = asked.map((_name, index) => (index === 0 ? '' : 'raw'))
    const sealed: RetentionChange = { kind: 'sealed', at: start, parts: this.#facts(asked) }
    this.changes.push(sealed)
    this.state = applyChange({ mode: 'none', parts: [] }, sealed)
  }

  #facts(asked: readonly (string | undefined)[]): readonly PartFacts[] {
    return this.#sets.map((set, index) => {
      const name = asked[index]
      return { set, ...resolvePolicy(name === undefined ? [] : [name], { classes, cutoff: this.now }) }
    })
  }

  apply(change: RetentionChange | undefined): void {
    if (change === undefined) return
    this.changes.push(change)
    this.state = applyChange(this.state, change)
  }

  do(step: Command): void {
    switch (step.kind) {
      case 'wait':
        this.now += step.days * DAY
        return
      case 'push':
        if (stageOf(this.state) === 'purged' || stageOf(this.state) === 'purging') return
        this.apply({ kind: 'taken-in', at: this.now, parts: this.#facts(step.classes) })
        this.sighted.clear()
        return
      case 'extend':
        return this.apply(extend(this.state, { expiresAt: this.now + step.days * DAY, sets: this.#named(step.set) }, this.now))
      case 'shorten':
        return this.apply(
          shorten(this.state, { expiresAt: this.now + step.days * DAY, sets: this.#named(step.set), bypass: true, actor: 'os:me' }, this.now),
        )
      case 'mode':
        return this.apply(setMode(this.state, step.mode, this.now))
      case 'hold':
        this.holds.push({
          id: uuidv7(),
          kind: step.event ? 'event' : 'legal',
          matter: 'm',
          authority: 'a',
          reason: 'r',
          target: { packageId },
          placedAt: this.now,
          placedBy: 'os:me',
        })
        return
      case 'release': {
        const released = this.holds.pop()
        if (released?.kind === 'event') this.apply(restartClock(this.state, this.now, this.now))
        return
      }
      case 'approve': {
        const sets = approvable(this.state, this.#sets, this.now).map(({ set }) => set)
        if (this.holds.length === 0 && sets.length > 0) this.apply({ kind: 'approved', at: this.now, sets })
        return
      }
      case 'delete':
        return this.apply(requestDeletion(this.state, this.holds, this.now))
      case 'undelete':
        return this.apply(undelete(this.state, this.now))
      case 'reschedule':
        return this.apply(reschedule(this.state, parseRetentionClass({ name: 'half-year', duration: 'P2Y', disposition: 'review' }), this.now))
      case 'sweep':
        return this.#sweep()
    }
  }

  #named(set: number | undefined): readonly string[] | undefined {
    return set === undefined ? undefined : [this.#sets[set % this.#sets.length] ?? '']
  }

  #sweep(): void {
    for (const { set } of this.state.parts) {
      const part = this.state.parts.find((candidate) => candidate.set === set)
      if (part === undefined) continue
      const step = dueStep(part, this.sighted.get(set), { now: this.now, grace })
      if (step === undefined || (isBlockedByHolds(step) && this.holds.length > 0)) continue
      if (step === 'sight') this.sighted.set(set, this.now)
      if (step === 'confirm') this.apply({ kind: 'found-eligible', at: this.now, sets: [set] })
      if (step === 'delete') this.apply({ kind: 'deleted', at: this.now, sets: [set] })
      if (step === 'purge') this.apply({ kind: 'purging', at: this.now, sets: [set] })
      if (step === 'release') this.apply({ kind: 'purged', at: this.now, sets: [set] })
    }
  }
}

const gone = ['deleted', 'purging', 'purged']

/** What must hold between a state and the one after it. */
function checkStep(world: World, before: RetentionState, step: Command, earlier: number): void {
  const after = world.state
  assert.ok(!isStricter(before.mode, after.mode), 'the mode became less strict')
  for (const part of after.parts) {
    const old = before.parts.find(({ set }) => set === part.set)
    assert.ok(old !== undefined)
    const wasGone = old.stage === 'purging' || old.stage === 'purged'
    if (!gone.includes(old.stage) && gone.includes(part.stage)) {
      assert.ok(!isRetained(old, world.now), 'something retained was deleted')
      assert.ok(world.holds.length === 0, 'something held was deleted')
    }
    if (part.stage !== old.stage && part.stage === 'purging') {
      assert.equal(old.stage, 'deleted')
      assert.ok(world.holds.length === 0, 'something held was destroyed')
      assert.ok(!isRetained(old, world.now), 'something retained was destroyed')
      assert.ok(world.now >= old.stageAt + grace, 'it was destroyed before its grace ended')
    }
    if (step.kind !== 'shorten' && !wasGone) assert.ok(endOf(part) >= endOf(old), `${step.kind} made an end earlier`)
    if (step.kind === 'shorten' && endOf(part) < endOf(old)) {
      assert.equal(before.mode, 'governance')
      assert.ok(endOf(part) >= (old.minimumAt ?? earlier), 'shortened below the minimum')
    }
    if (step.kind === 'push' && !wasGone) assert.equal(part.stage, 'kept')
    if (old.ending === 'keep' && !wasGone) assert.equal(endOf(part), Number.POSITIVE_INFINITY)
  }
}

const runs = { numRuns: 2_000 }

describe('in any history of a package', () => {
  test('nothing retained or held is deleted, ends move forward, minimum and mode bind', () => {
    fc.assert(
      fc.property(fc.tuple(className, className), fc.array(command, { maxLength: 40 }), (asked, steps) => {
        const world = new World(asked)
        for (const step of steps) {
          const [before, earlier] = [world.state, world.now]
          try {
            world.do(step)
          } catch (error) {
            if (!(error instanceof StoreError)) throw error
            assert.equal(world.state, before, 'what was refused changed something')
          }
          checkStep(world, before, step, earlier)
          const explained = explainRetention(world.state, world.holds, world.now)
          assert.ok(explained.at(-1)?.text.includes(stageOf(world.state)))
          if (world.holds.length > 0)
            assert.ok(explained.filter(({ rule, effect }) => rule === 'hold' && effect === 'keeps').length >= world.holds.length)
        }
        assert.deepEqual(retentionOf(world.changes), world.state, 'the events do not say what happened')
        assert.deepEqual(
          retentionOf(JSON.parse(JSON.stringify(world.changes)) as RetentionChange[]).parts.map(({ stage }) => stage),
          world.state.parts.map(({ stage }) => stage),
        )
      }),
      runs,
    )
  })

  test('what deletes itself goes at the earliest two graces after its end, and goes', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(0.25, 0.5, 1, 3), { minLength: 60, maxLength: 60 }), (pauses) => {
        const world = new World(['ci'])
        const ends = expiryOf(world.state) ?? 0
        for (const days of pauses) {
          world.do({ kind: 'wait', days })
          world.do({ kind: 'sweep' })
          if (stageOf(world.state) === 'purged') {
            assert.ok(world.now >= ends + 2 * grace)
            return
          }
        }
        assert.fail(`after ${(world.now - ends) / DAY} days it is ${stageOf(world.state)}`)
      }),
    )
  })

  test('what somebody must approve is never deleted by sweeps alone', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('raw-evidence', 'half-year', 'permanent-record', undefined),
        fc.array(fc.constantFrom(1, 100, 4_000), { maxLength: 30 }),
        (name, pauses) => {
          const world = new World([name])
          for (const days of pauses) {
            world.do({ kind: 'wait', days })
            world.do({ kind: 'sweep' })
          }
          assert.ok(['retained', 'eligible', 'finalized'].includes(stageOf(world.state)))
        },
      ),
    )
  })

  test('a push of what is on its way out is a promise like any other', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 25 }), className, (steps, name) => {
        const world = new World(['ci', 'raw-evidence'])
        for (const step of steps) {
          try {
            world.do(step)
          } catch (error) {
            if (!(error instanceof StoreError)) throw error
          }
        }
        const before = stageOf(world.state)
        if (before === 'purging' || before === 'purged') return
        world.do({ kind: 'push', classes: [name, name] })
        const promised = resolvePolicy(name === undefined ? [] : [name], { classes, cutoff: world.now })
        for (const part of world.state.parts) {
          assert.equal(part.stage, 'kept')
          assert.ok(endOf(part) >= endOf(promised))
          if (promised.ending !== 'automatic') assert.notEqual(part.ending, 'automatic')
        }
      }),
      runs,
    )
  })
})
