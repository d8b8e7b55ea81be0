import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { InputInvalidError } from './errors.ts'
import { defaultRetentionClasses, findClass, resolvePolicy, type RetentionClass } from './retention.ts'

const cutoff = Date.parse('2026-11-24T09:00:00.250Z')
const classes = defaultRetentionClasses
const DAY_MS = 86_400_000

/** How long the class of this name keeps, with "without end" as the longest of all. */
function days(name: string): number {
  return findClass(name, classes).durationDays ?? Number.POSITIVE_INFINITY
}

describe('the classes that a store begins with', () => {
  test('are those of the interface, with their durations and what happens at the end', () => {
    assert.deepEqual(classes, [
      { name: 'transient', durationDays: 7, disposition: 'automatic' },
      { name: 'raw-evidence', durationDays: 30, disposition: 'review' },
      { name: 'summary-evidence', durationDays: 365, disposition: 'review' },
      { name: 'release-evidence', durationDays: 2_555, disposition: 'review' },
      { name: 'permanent-record', durationDays: undefined, disposition: 'keep' },
    ])
  })

  test('are found by name, and an unknown name is answered with those there are', () => {
    for (const known of classes) assert.equal(findClass(known.name, classes), known)
    assert.throws(() => findClass('raw', classes), { name: InputInvalidError.name, message: /'raw'.*transient, raw-evidence, .*permanent-record/ })
  })
})

describe('what holds for bytes under several classes', () => {
  test('nothing asked for and nothing set: no class, no mode, no expiry', () => {
    assert.deepEqual(resolvePolicy([], { classes, cutoff }), {
      retentionClass: undefined,
      durationDays: undefined,
      mode: 'none',
      expiresAt: undefined,
    })
  })

  test('one class: its duration in days of 24 hours from the cutoff on', () => {
    const facts = resolvePolicy(['raw-evidence'], { classes, cutoff })
    assert.deepEqual(facts, {
      retentionClass: 'raw-evidence',
      durationDays: 30,
      mode: 'governance',
      expiresAt: Date.parse('2026-12-24T09:00:00.250Z'),
    })
  })

  test('a class without end has a name and no expiry', () => {
    const facts = resolvePolicy(['transient', 'permanent-record'], { classes, cutoff })
    assert.deepEqual(facts, { retentionClass: 'permanent-record', durationDays: undefined, mode: 'governance', expiresAt: undefined })
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

  test('of classes of equal length the one that was asked for first gives the name', () => {
    const twins: readonly RetentionClass[] = [...classes, { name: 'month', durationDays: 30, disposition: 'automatic' }]
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
          const expected = Math.max(0, ...[...names, ...floor, ...fallback].map(days))
          if (facts.retentionClass === undefined) assert.equal(expected, 0)
          else assert.equal(days(facts.retentionClass), expected)
          const expiry = expected === 0 || expected === Number.POSITIVE_INFINITY ? undefined : at + expected * DAY_MS
          assert.equal(facts.expiresAt, expiry)
          assert.equal(facts.mode, expected === 0 ? 'none' : 'governance')
          const reversed = resolvePolicy(names.toReversed(), context)
          assert.deepEqual([reversed.durationDays, reversed.expiresAt], [facts.durationDays, facts.expiresAt])
        },
      ),
    )
  })
})
