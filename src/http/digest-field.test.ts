import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestOf } from '../core/digest.ts'
import { DigestInvalidError } from '../core/errors.ts'
import { announcedDigest, digestField } from './digest-field.ts'

const digest = digestOf(Buffer.from('hello'))

test('a field that is written is read again', () => {
  assert.equal(announcedDigest(digestField(digest)), digest)
  assert.equal(announcedDigest(undefined, `sha-512=:AAAA:, ${digestField(digest)}`), digest)
  assert.equal(announcedDigest(`${digestField(digest)};q=1`), digest)
})

test('without a field, or with other algorithms alone, nothing is announced', () => {
  assert.equal(announcedDigest(), undefined)
  assert.equal(announcedDigest(undefined, 'sha-512=:AAAA:'), undefined)
})

test('malformed fields and two that differ are refused', () => {
  const other = digestField(digestOf(Buffer.from('other')))
  for (const fields of [
    ['sha-256=AAAA'],
    ['sha-256=:AAAA:'],
    [''],
    ['sha-256=:%%:'],
    [digestField(digest), other],
    [`${digestField(digest)}, ${other}`],
  ]) {
    assert.throws(() => announcedDigest(...fields), DigestInvalidError, fields.join(' | '))
  }
})
