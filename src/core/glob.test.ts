import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { InputInvalidError } from './errors.ts'
import { compileGlob } from './glob.ts'
import { parsePath } from './path.ts'

interface Vectors {
  readonly patterns: readonly { readonly pattern: string; readonly matches: readonly string[]; readonly misses: readonly string[] }[]
  readonly invalid: readonly string[]
}
const vectors = JSON.parse(readFileSync(new URL('../../docs/format/vectors/package-v1/globs.json', import.meta.url), 'utf8')) as Vectors

describe('a pattern', () => {
  for (const { pattern, matches, misses } of vectors.patterns) {
    test(`${JSON.stringify(pattern)} matches what its vector says`, () => {
      const matcher = compileGlob(pattern)
      for (const path of matches) assert.equal(matcher(parsePath(path)), true, `${path} should match`)
      for (const path of misses) assert.equal(matcher(parsePath(path)), false, `${path} should not match`)
    })
  }

  for (const pattern of vectors.invalid) {
    test(`${JSON.stringify(pattern.slice(0, 40))} is refused`, () => assert.throws(() => compileGlob(pattern), InputInvalidError))
  }

  const component = fc.string({ unit: fc.constantFrom('a', 'b', '\u{1F600}'), minLength: 1, maxLength: 4 })
  const path = fc.array(component, { minLength: 1, maxLength: 5 }).map((components) => components.join('/'))
  const part = fc.oneof(
    { weight: 1, arbitrary: fc.constant('**') },
    {
      weight: 3,
      arbitrary: fc
        .string({ unit: fc.constantFrom('a', 'b', '*', '?', '\u{1F600}'), minLength: 1, maxLength: 5 })
        .filter((text) => !text.includes('**')),
    },
  )
  const pattern = fc.tuple(fc.array(part, { minLength: 1, maxLength: 5 }), fc.boolean()).map(([parts, below]) => parts.join('/') + (below ? '/' : ''))

  test('matches what the obvious regular expression matches', () => {
    fc.assert(
      fc.property(pattern, path, (glob, text) => assert.equal(compileGlob(glob)(parsePath(text)), asRegExp(glob).test(text))),
      { numRuns: 5000 },
    )
  })

  test('that escapes every character of a path matches that path alone', () => {
    const anyName = fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }).filter((name) => !/[/\0]|^\.{1,2}$/.test(name))
    fc.assert(
      fc.property(fc.array(anyName, { minLength: 1, maxLength: 3 }), (names) => {
        const escaped = compileGlob(names.map((name) => name.replace(/./gsu, '\\$&')).join('/'))
        assert.equal(escaped(parsePath(names.join('/'))), true)
        assert.equal(escaped(parsePath(`${names.join('/')}x`)), false)
      }),
    )
  })

  test('that backtracks as much as it can is answered at once', () => {
    const name = compileGlob(`${'*a'.repeat(500)}b`)
    const depth = compileGlob(`${'**/a/'.repeat(200)}b`)
    const started = performance.now()
    assert.equal(name(parsePath('a'.repeat(255))), false)
    assert.equal(depth(parsePath(Array(2048).fill('a').join('/'))), false)
    assert.ok(performance.now() - started < 1000, 'takes milliseconds; exponential time would take for ever')
  })
})

/** A second, slower reading of docs/format/glob.md for patterns without escapes. */
function asRegExp(glob: string): RegExp {
  const parts = glob.split('/')
  if (parts.at(-1) === '') parts[parts.length - 1] = '**'
  const source = parts
    .map((part, index) => {
      if (part === '**') return index === parts.length - 1 ? '[^/]+(?:/[^/]+)*' : '(?:[^/]+/)*'
      return part.replaceAll('?', '[^/]').replaceAll('*', '[^/]*') + (index === parts.length - 1 ? '' : '/')
    })
    .join('')
  return new RegExp(`^${source}$`, 'u')
}
