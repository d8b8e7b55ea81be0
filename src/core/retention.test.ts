import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { addDuration, parseDuration } from './duration.ts'
import { InputInvalidError } from './errors.ts'
import {
  defaultRetentionClasses,
  findClass,
  isShorter,
  parseRetentionClass,
  resolvePolicy,
  type RetentionClass,
  type RetentionClassInput,
} from './retention.ts'

const cutoff = Date.parse('2026-11-24T09:00:00.250Z')
const classes = defaultRetentionClasses

/** When what is under the class of this name ends. */
function end(name: string, from: number, known: readonly RetentionClass[] = classes): number {
  const { duration } = findClass(name, known)
  return duration === undefined ? Number.POSITIVE_INFINITY : addDuration(from, duration)
}

const made = (input: RetentionClassInput): RetentionClass => parseRetentionClass(input)

describe('the classes that a store begins with', () => {
  test('are those of the interface, with their durations and what happens at the end', () => {
    assert.deepEqual(
      classes.map(({ name, duration, disposition, mode, minimum }) => [name, duration, disposition, mode, minimum]),
      [
        ['transient', 'P7D', 'automatic', 'governance', undefined],
        ['raw-evidence', 'P30D', 'review', 'governance', undefined],
        ['summary-evidence', 'P365D', 'review', 'governance', undefined],
        ['release-evidence', 'P2555D', 'review', 'governance', undefined],
        ['permanent-record', undefined, 'keep', 'governance', undefined],
      ],
    )
  })

  test('are found by name, and an unknown name is answered with those there are', () => {
    for (const known of classes) assert.equal(findClass(known.name, classes), known)
    assert.throws(() => findClass('raw', classes), { name: InputInvalidError.name, message: /'raw'.*transient, raw-evidence, .*permanent-record/ })
  })
})

describe('a class of the operator', () => {
  test('has a duration in days or of the calendar, a minimum, a mode and a disposition', () => {
    assert.deepEqual(made({ name: 'tax', duration: 'P10Y', minimum: 'P18M', mode: 'compliance', disposition: 'review' }), {
      name: 'tax',
      duration: 'P10Y',
      minimum: 'P1Y6M',
      mode: 'compliance',
      disposition: 'review',
    })
    assert.deepEqual(made({ name: 'ci', duration: 14, disposition: 'automatic' }), {
      name: 'ci',
      duration: 'P14D',
      minimum: undefined,
      mode: 'governance',
      disposition: 'automatic',
    })
  })

  test('that contradicts itself is refused', () => {
    const bad: readonly RetentionClassInput[] = [
      { name: 'A', duration: 1, disposition: 'review' },
      { name: '', duration: 1, disposition: 'review' },
      { name: 'x', disposition: 'review' },
      { name: 'x', disposition: 'automatic' },
      { name: 'x', duration: 1, disposition: 'keep' },
      { name: 'x', disposition: 'keep', minimum: 3 },
      { name: 'x', duration: 1, minimum: 2, disposition: 'review' },
      { name: 'x', duration: 1, mode: 'none', disposition: 'review' },
      { name: 'x', duration: 'ten years', disposition: 'review' },
    ]
    for (const input of bad) assert.throws(() => made(input), InputInvalidError, JSON.stringify(input))
  })

  test('is compared by when it ends, not by how it is written', () => {
    const [days, months, years] = [
      made({ name: 'days', duration: 365, disposition: 'review' }),
      made({ name: 'months', duration: 'P11M', disposition: 'review' }),
      made({ name: 'years', duration: 'P2Y', disposition: 'review' }),
    ]
    assert.ok(isShorter(months, days))
    assert.ok(isShorter(days, years))
    assert.ok(!isShorter(findClass('permanent-record', classes), years))
    assert.ok(!isShorter(days, days))
  })
})

describe('what holds for bytes under several classes', () => {
  test('nothing asked for and nothing set: no class, no mode, no expiry, and deletion on request', () => {
    assert.deepEqual(resolvePolicy([], { classes, cutoff }), {
      retentionClass: undefined,
      duration: undefined,
      durationDays: undefined,
      mode: 'none',
      ending: 'request',
      cutoffAt: cutoff,
      minimumAt: undefined,
      expiresAt: undefined,
    })
  })

  test('one class: its duration in days of 24 hours from the cutoff on', () => {
    const facts = resolvePolicy(['raw-evidence'], { classes, cutoff })
    assert.deepEqual(facts, {
      retentionClass: 'raw-evidence',
      duration: 'P30D',
      durationDays: 30,
      mode: 'governance',
      ending: 'review',
      cutoffAt: cutoff,
      minimumAt: undefined,
      expiresAt: Date.parse('2026-12-24T09:00:00.250Z'),
    })
  })

  test('a class of calendar months ends on the last day of a shorter month', () => {
    const known = [...classes, made({ name: 'quarter', duration: 'P3M', disposition: 'review' })]
    const facts = resolvePolicy(['quarter'], { classes: known, cutoff: Date.parse('2026-11-30T09:00:00.250Z') })
    assert.deepEqual([facts.durationDays, facts.expiresAt], [undefined, Date.parse('2027-02-28T09:00:00.250Z')])
  })

  test('a class without end has a name and no expiry', () => {
    const facts = resolvePolicy(['transient', 'permanent-record'], { classes, cutoff })
    assert.deepEqual(
      [facts.retentionClass, facts.duration, facts.mode, facts.ending, facts.expiresAt],
      ['permanent-record', undefined, 'governance', 'keep', undefined],
    )
  })

  test("the repository's default stands in only where nothing was asked for", () => {
    const context = { classes, cutoff, defaultClass: 'release-evidence' }
    assert.equal(resolvePolicy([], context).retentionClass, 'release-evidence')
    assert.equal(resolvePolicy(['transient'], context).retentionClass, 'transient')
  })

  test("the repository's minimum cannot be undercut, and holds also where nothing was asked for", () => {
    const context = { classes, cutoff, minimumClass: 'summary-evidence' }
    assert.equal(resolvePolicy(['raw-evidence'], context).retentionClass, 'summary-evidence')
    assert.equal(resolvePolicy(['release-evidence'], context).retentionClass, 'release-evidence')
    assert.equal(resolvePolicy([], context).retentionClass, 'summary-evidence')
    assert.equal(resolvePolicy([], { ...context, defaultClass: 'transient' }).retentionClass, 'summary-evidence')
  })

  test("the repository's minimum is also what shortening cannot undercut, and its mode binds", () => {
    const strict = made({ name: 'strict', duration: 'P1Y', mode: 'compliance', disposition: 'review' })
    const facts = resolvePolicy(['release-evidence'], { classes: [...classes, strict], cutoff, minimumClass: 'strict' })
    assert.deepEqual(
      [facts.retentionClass, facts.mode, facts.minimumAt],
      ['release-evidence', 'compliance', addDuration(cutoff, parseDuration('P1Y'))],
    )
  })

  test('of several minimums the longest counts', () => {
    const known = [
      made({ name: 'short', duration: 10, minimum: 5, disposition: 'review' }),
      made({ name: 'long', duration: 20, minimum: 2, disposition: 'review' }),
    ]
    const facts = resolvePolicy(['short', 'long'], { classes: known, cutoff })
    assert.deepEqual([facts.retentionClass, facts.minimumAt], ['long', addDuration(cutoff, parseDuration(5))])
  })

  test('of classes of equal length the one that was asked for first gives the name', () => {
    const twins: readonly RetentionClass[] = [...classes, made({ name: 'month', duration: 30, disposition: 'automatic' })]
    assert.equal(resolvePolicy(['raw-evidence', 'month'], { classes: twins, cutoff }).retentionClass, 'raw-evidence')
    assert.equal(resolvePolicy(['month', 'raw-evidence'], { classes: twins, cutoff }).retentionClass, 'month')
    assert.equal(resolvePolicy(['month'], { classes: twins, cutoff, minimumClass: 'raw-evidence' }).retentionClass, 'month')
  })

  test('an unknown class is refused wherever it stands', () => {
    assert.throws(() => resolvePolicy(['transient', 'nowhere'], { classes, cutoff }), InputInvalidError)
    assert.throws(() => resolvePolicy([], { classes, cutoff, defaultClass: 'nowhere' }), InputInvalidError)
    assert.throws(() => resolvePolicy(['permanent-record'], { classes, cutoff, minimumClass: 'nowhere' }), InputInvalidError)
  })

  test('the longest wins in any order, and never less than the minimum', () => {
    const name = fc.constantFrom(...classes.map((known) => known.name))
    const optional = fc.option(name, { nil: undefined })
    fc.assert(
      fc.property(
        fc.array(name, { maxLength: 5 }),
        optional,
        optional,
        fc.integer({ min: 0, max: 4_102_444_800_000 }),
        (names, minimumClass, defaultClass, at) => {
          const context = { classes, cutoff: at, minimumClass, defaultClass }
          const facts = resolvePolicy(names, context)
          const floor = minimumClass === undefined ? [] : [minimumClass]
          const fallback = names.length === 0 && defaultClass !== undefined ? [defaultClass] : []
          const ends = [...names, ...floor, ...fallback].map((known) => end(known, at))
          const expected = ends.length === 0 ? undefined : Math.max(...ends)
          assert.equal(facts.expiresAt, expected === Number.POSITIVE_INFINITY ? undefined : expected)
          assert.equal(facts.mode, expected === undefined ? 'none' : 'governance')
          if (facts.retentionClass !== undefined) assert.equal(end(facts.retentionClass, at), expected)
          const reversed = resolvePolicy(names.toReversed(), context)
          assert.deepEqual([reversed.duration, reversed.expiresAt], [facts.duration, facts.expiresAt])
        },
      ),
    )
  })
})
