import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { parseRepositoryPattern, type Verb } from '../core/access.ts'
import { UnauthenticatedError } from '../core/errors.ts'
import { parseRepositoryName } from '../core/name.ts'
import { type AcceptedToken, Authentication } from './authentication.ts'

const sha256 = (text: string): Uint8Array => createHash('sha256').update(text).digest()

function token(name: string, secret: string, scopes: readonly Verb[], ...repositories: readonly string[]): AcceptedToken {
  return { name, scopes, repositories: repositories.map(parseRepositoryPattern), hash: () => sha256(secret) }
}

const authentication = new Authentication([
  token('ci', 'secret-of-ci', ['read', 'write'], 'demo/**'),
  token('viewer', 'secret-of-viewer', ['read'], '**'),
])
const app = parseRepositoryName('demo/app')

describe('a bearer token', () => {
  test('says who acts, and what they may do', () => {
    const ci = authentication.accessOf({ method: 'POST', authorization: 'Bearer secret-of-ci' })
    assert.deepEqual(
      [ci.actor, ci.may('write', app), ci.may('read', parseRepositoryName('other')), ci.readable],
      ['token:ci', true, false, ['demo/**']],
    )
    const viewer = authentication.accessOf({ method: 'GET', authorization: 'bearer  secret-of-viewer ' })
    assert.deepEqual([viewer.actor, viewer.may('write', app), viewer.readable], ['token:viewer', false, 'all'])
  })

  test('that is not known, or is no bearer token, is refused, also for reading', () => {
    for (const authorization of [
      'Bearer secret',
      'Bearer secret-of-ci2',
      'Bearer ',
      'Basic c2VjcmV0',
      'secret-of-ci',
      '',
      'Bearer a b',
      'Bearer secret-of-ci, x',
    ]) {
      assert.throws(() => authentication.accessOf({ method: 'GET', authorization }), UnauthenticatedError, authorization)
    }
  })

  test('can be exchanged while the server runs, and then the old one is worth nothing', () => {
    let secret: string | undefined = 'first-secret'
    const rotating = new Authentication([
      { name: 'r', scopes: ['read'], repositories: [], hash: () => (secret === undefined ? undefined : sha256(secret)) },
    ])
    assert.equal(rotating.accessOf({ authorization: 'Bearer first-secret' }).actor, 'token:r')
    secret = 'second-secret'
    assert.throws(() => rotating.accessOf({ authorization: 'Bearer first-secret' }), UnauthenticatedError)
    assert.equal(rotating.accessOf({ authorization: 'Bearer second-secret' }).actor, 'token:r')
    secret = undefined
    assert.throws(() => rotating.accessOf({ authorization: 'Bearer second-secret' }), UnauthenticatedError)
  })
})

describe('without a token', () => {
  test('one may look at what is public, and change nothing', () => {
    for (const method of ['GET', 'HEAD', 'OPTIONS']) assert.equal(authentication.accessOf({ method }).actor, 'anonymous')
    assert.equal(authentication.accessOf({ method: 'GET' }).may('read', app), false)
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'PURGE', undefined]) {
      assert.throws(() => authentication.accessOf({ method }), UnauthenticatedError, method)
    }
  })

  test('where nobody is asked, everybody may do everything', () => {
    const open = new Authentication([])
    assert.equal(open.isOn, false)
    const access = open.accessOf({ method: 'DELETE', authorization: 'Bearer whatever' })
    assert.deepEqual([access.actor, access.may('admin'), access.readable], ['anonymous', true, 'all'])
  })
})
