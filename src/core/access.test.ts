import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { anonymousAccess, fullAccess, grantedAccess, matchesRepository, parseRepositoryPattern, verbs } from './access.ts'
import { InputInvalidError } from './errors.ts'
import { parseRepositoryName } from './name.ts'

const name = parseRepositoryName
const pattern = parseRepositoryPattern

describe('a pattern of repositories', () => {
  test('names one, all below a name by whole components, or all', () => {
    const cases: readonly (readonly [pattern: string, repository: string, matches: boolean])[] = [
      ['demo/app', 'demo/app', true],
      ['demo/app', 'demo/app/more', false],
      ['demo/app', 'demo/apple', false],
      ['demo/**', 'demo/app', true],
      ['demo/**', 'demo/app/more', true],
      ['demo/**', 'demo', false],
      ['demo/**', 'demo2/app', false],
      ['demo/**', 'demo-x', false],
      ['**', 'demo', true],
      ['**', 'any/thing', true],
    ]
    for (const [text, repository, matches] of cases)
      assert.equal(matchesRepository(pattern(text), name(repository)), matches, `${text} ${repository}`)
  })

  test('that is none is refused', () => {
    for (const text of ['', '*', '/**', 'demo/*', 'demo**', 'demo/**/x', 'Demo/**', 'demo/', 'a b', '**/**', `${'a'.repeat(256)}/**`]) {
      assert.throws(() => pattern(text), InputInvalidError, text)
    }
  })

  test('below a name matches exactly what begins with the name and a slash', () => {
    const component = fc.stringMatching(/^[a-z0-9]{1,3}$/)
    const repository = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))
    fc.assert(
      fc.property(repository, repository, (prefix, other) => {
        assert.equal(matchesRepository(pattern(`${prefix}/**`), name(other)), other.startsWith(`${prefix}/`))
        assert.equal(matchesRepository(pattern(prefix), name(other)), prefix === other)
      }),
    )
  })
})

describe('access', () => {
  test('is what its grants say, verb by verb and repository by repository', () => {
    const access = grantedAccess('token:ci', [
      { verbs: ['read', 'write'], repositories: [pattern('demo/**')] },
      { verbs: ['read'], repositories: [pattern('other')] },
    ])
    assert.equal(access.may('write', name('demo/a')), true)
    assert.equal(access.may('admin', name('demo/a')), false)
    assert.equal(access.may('write', name('other')), false)
    assert.equal(access.may('read', name('other')), true)
    assert.equal(access.may('read', name('third')), false)
    assert.deepEqual(access.readable, ['demo/**', 'other'])
    assert.equal(access.may('read'), false)
  })

  test('over the store as a whole needs a grant for all of it', () => {
    const admin = grantedAccess('token:admin', [{ verbs: ['admin'], repositories: [pattern('**')] }])
    assert.equal(admin.may('admin'), true)
    assert.equal(admin.may('read'), false)
    assert.deepEqual(admin.readable, [])
    assert.equal(grantedAccess('token:reader', [{ verbs: ['read'], repositories: [pattern('a'), pattern('**')] }]).readable, 'all')
  })

  test('of a store on this machine is everything, of nobody nothing', () => {
    for (const verb of verbs) {
      assert.equal(fullAccess('os:ann').may(verb, name('a/b')), true)
      assert.equal(fullAccess('os:ann').may(verb), true)
      assert.equal(anonymousAccess.may(verb, name('a/b')), false)
    }
    assert.deepEqual([fullAccess('os:ann').readable, anonymousAccess.readable, anonymousAccess.actor], ['all', [], 'anonymous'])
  })
})
