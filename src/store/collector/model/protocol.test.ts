import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { BUILT, type Rules } from './actors.ts'
import { nextSteps, wrongIn } from './protocol.ts'
import { searchAll, type SearchReport } from './search.ts'
import { collector, compactor, remover, uploader, type World, world } from './world.ts'

/** More than any search here needs; a search that would need more fails. */
const LIMIT = 400_000

const scenarios = {
  'two uploaders of one digest, its last package deleted, two collectors, a delete that lands late': world(
    [uploader('a', 'D'), uploader('b', 'D'), remover('p'), collector(), collector()],
    { stored: { p: 'D' }, unknownDeletes: 1 },
  ),
  'two uploaders of one digest, and one process that crashes anywhere and starts over': world(
    [uploader('a', 'D'), uploader('b', 'D'), remover('p'), collector()],
    { stored: { p: 'D' }, crashes: 1 },
  ),
  'two uploaders of one digest, one of them stopped for so long that its lease is taken away': world(
    [uploader('a', 'D'), uploader('b', 'D'), remover('p'), collector()],
    { stored: { p: 'D' }, stops: 1 },
  ),
  'two uploaders of one digest, whose open packages expire': world([uploader('a', 'D'), uploader('b', 'D'), remover('p'), collector()], {
    stored: { p: 'D' },
    expiries: 2,
  }),
  'an uploader, a crash, a stop and a late delete': world([uploader('a', 'D'), remover('p'), collector()], {
    stored: { p: 'D' },
    unknownDeletes: 1,
    crashes: 1,
    stops: 1,
  }),
  'two removers of the last two holders, and an uploader of the same digest': world(
    [remover('p'), remover('q'), collector(), collector(), uploader('a', 'D')],
    { stored: { p: 'D', q: 'D' }, unknownDeletes: 1 },
  ),
  'a stopped owner of a pack with an entry that is flushed but not named, while the pack is frozen and compacted': world(
    [uploader('a', 'E', true), remover('p'), compactor(), collector()],
    { stored: { p: 'D', q: 'F' }, pack: true, stops: 1, crashes: 1 },
  ),
  'a pack compacted while what is in it is deleted and uploaded again': world([uploader('a', 'D', true), remover('p'), compactor(), collector()], {
    stored: { p: 'D', q: 'F' },
    pack: true,
    stops: 1,
    crashes: 1,
  }),
  'two compactors of the same pack': world([compactor(), compactor(), remover('p'), collector()], {
    stored: { p: 'D', q: 'F' },
    pack: true,
    stops: 1,
  }),
}

function search(start: World, rules: Rules): SearchReport {
  return searchAll({ start, next: (now) => nextSteps(rules, now), wrong: wrongIn }, LIMIT)
}

describe('the protocol of collection, in every order of its steps,', () => {
  for (const [name, start] of Object.entries(scenarios)) {
    test(`keeps what was promised and leaves no garbage: ${name}`, (t) => {
      const { states, problem, trace } = search(start, BUILT)
      assert.equal(problem, undefined, trace?.join('\n') ?? '')
      assert.ok(states > 100, `only ${states} states`)
      t.diagnostic(`${states} states`)
    })
  }
})

describe('without one of its rules', () => {
  const lost = /promised|was stored/
  const leaked = /for ever/
  const broken: readonly (readonly [keyof Rules, string, RegExp])[] = [
    ['fence', 'a writer that does not look whether it still owns what it names', lost],
    ['freshKeys', 'keys that are used again', lost],
    ['queueAlways', 'removers that mark what they see nobody else hold', leaked],
    ['lookAgain', 'one statement that looks for holders and then waits for the lock', lost],
    ['lockQueue', 'a reviewer that leaves the row of the queue unlocked', leaked],
  ]
  for (const [rule, what, expected] of broken) {
    test(`it fails: ${what}`, (t) => {
      for (const start of Object.values(scenarios)) {
        const { problem, trace } = search(start, { ...BUILT, [rule]: false })
        if (problem === undefined || !expected.test(problem)) continue
        t.diagnostic(`${problem}:\n  ${trace?.join('\n  ') ?? ''}`)
        return
      }
      assert.fail(`no order of steps shows why the rule ${rule} is there`)
    })
  }
})

test('a search that cannot look at everything says so', () => {
  assert.throws(() => searchAll<number>({ start: 0, next: (n) => [{ what: 'count', state: n + 1 }], wrong: () => undefined }, 1_000), RangeError)
})
