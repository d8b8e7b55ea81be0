import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { InputInvalidError } from './errors.ts'
import { compileFileSets, MAX_FILE_SET_PATTERNS, MAX_FILE_SETS, normaliseFileSets, type FileSetRule } from './file-set.ts'
import { parsePath } from './path.ts'

interface Vectors {
  readonly cases: readonly { readonly rules: readonly FileSetRule[]; readonly keys: Readonly<Record<string, string>> }[]
  readonly invalid: readonly (readonly FileSetRule[])[]
}
const vectors = JSON.parse(readFileSync(new URL('../../docs/format/vectors/package-v1/file-sets.json', import.meta.url), 'utf8')) as Vectors

describe('file sets', () => {
  test('are assigned as the vectors say', () => {
    for (const { rules, keys } of vectors.cases) {
      const keyOf = compileFileSets(rules)
      for (const [path, key] of Object.entries(keys)) assert.equal(keyOf(parsePath(path)), key, path)
    }
  })

  for (const rules of vectors.invalid) {
    test(`are refused as ${JSON.stringify(rules).slice(0, 60)}`, () => assert.throws(() => compileFileSets(rules), InputInvalidError))
  }

  test('are bounded in number', () => {
    const many = (length: number): string[] => Array.from({ length }, (_, index) => `n${index}`)
    normaliseFileSets(many(MAX_FILE_SETS).map((name) => ({ name, match: ['a'] })))
    assert.throws(() => normaliseFileSets(many(MAX_FILE_SETS + 1).map((name) => ({ name, match: ['a'] }))), InputInvalidError)
    normaliseFileSets([{ name: 'a', match: many(MAX_FILE_SET_PATTERNS) }])
    assert.throws(() => normaliseFileSets([{ name: 'a', match: many(MAX_FILE_SET_PATTERNS + 1) }]), InputInvalidError)
  })

  test('do not depend on classes or on the order of rules and patterns', () => {
    const rules: FileSetRule[] = [
      { name: 'raw', match: ['raw/', '*.log'], class: 'raw-evidence' },
      { name: 'summary', match: ['*.json'] },
      { name: 'all', match: ['**'] },
    ]
    fc.assert(
      fc.property(fc.shuffledSubarray(rules, { minLength: 3 }), fc.boolean(), (shuffled, reversed) => {
        const given = shuffled.map(({ name, match }) => ({ name, match: reversed ? match.toReversed() : [...match, ...match], class: 'transient' }))
        assert.deepEqual(normaliseFileSets(given), normaliseFileSets(rules))
        assert.equal(compileFileSets(given)(parsePath('raw/x')), 'all,raw')
      }),
    )
  })
})
