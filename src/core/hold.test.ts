import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { InputInvalidError, NameInvalidError } from './errors.ts'
import { catches, type HeldFacts, type HoldInput, parseHold, type HoldSelector } from './hold.ts'
import { parsePackageId, parseRepositoryName } from './name.ts'
import { uuidv7 } from './uuid.ts'

const facts: HeldFacts = {
  packageId: parsePackageId(uuidv7()),
  repository: parseRepositoryName('acme/board/rev-a'),
  producer: 'rig',
  subject: 'board',
  runId: 'r1',
}
const said = { kind: 'legal', matter: 'Case 7', authority: 'Counsel', reason: 'litigation' }
const selector = (given: NonNullable<HoldInput['selector']>): HoldInput => ({ ...said, selector: given })
const isCaught = (given: NonNullable<HoldInput['selector']>, found: HeldFacts = facts): boolean => catches(parseHold(selector(given)).target, found)

describe('a hold', () => {
  test('on a package catches that one', () => {
    const { target } = parseHold({ ...said, packageId: facts.packageId.toUpperCase() })
    assert.ok(catches(target, facts))
    assert.ok(!catches(target, { ...facts, packageId: parsePackageId(uuidv7()) }))
  })

  test('on a repository catches it and those below it, by whole components', () => {
    for (const repository of ['acme/board/rev-a', 'acme/board', 'acme']) assert.ok(isCaught({ repository }), repository)
    for (const repository of ['acme/board/rev', 'acme/board/rev-a/x', 'board', 'acm']) assert.ok(!isCaught({ repository }), repository)
  })

  test('catches only what fits in all that its selector says', () => {
    assert.ok(isCaught({ producer: 'rig', subject: 'board', runId: 'r1', repository: 'acme' }))
    for (const other of [{ producer: 'other' }, { subject: 'other' }, { runId: 'r2' }, { repository: 'zoo' }])
      assert.ok(!isCaught({ producer: 'rig', ...other }), JSON.stringify(other))
    assert.ok(!isCaught({ producer: 'rig' }, { ...facts, producer: undefined }))
  })

  test('with a further condition never catches more', () => {
    const word = fc.constantFrom('a', 'b', undefined)
    const some = fc.record({ producer: word, subject: word, runId: word })
    const defined = (given: { readonly [name: string]: string | undefined }): HoldSelector =>
      Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
    fc.assert(
      fc.property(some, some, fc.constantFrom('producer', 'subject', 'runId'), (wanted, found, dropped) => {
        const wide = defined({ ...wanted, [dropped]: undefined })
        if (catches({ selector: defined(wanted) }, { ...facts, ...found })) assert.ok(catches({ selector: wide }, { ...facts, ...found }))
      }),
    )
  })

  test('that would hold everything by mistake, nothing, or both is refused', () => {
    for (const bad of [said, selector({}), { ...selector({ producer: 'x' }), packageId: facts.packageId }])
      assert.throws(() => parseHold(bad), InputInvalidError)
  })

  test('says what it is, and for what', () => {
    for (const bad of [
      { kind: 'forever' },
      { matter: '' },
      { matter: ' ' },
      { authority: '' },
      { reason: '' },
      { reason: 'x'.repeat(2_001) },
      { reason: 'a\0b' },
    ]) {
      assert.throws(() => parseHold({ ...selector({ producer: 'x' }), ...bad }), InputInvalidError, JSON.stringify(bad).slice(0, 80))
    }
    assert.throws(() => parseHold(selector({ repository: 'Not A Name' })), NameInvalidError)
    assert.throws(() => parseHold({ ...said, packageId: 'x' }), NameInvalidError)
    for (const bad of [{ producer: '' }, { subject: 'a\0' }, { runId: '' }, { producer: 'x'.repeat(1_001) }])
      assert.throws(() => parseHold(selector(bad)), InputInvalidError)
  })
})
