import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DigestInvalidError, InputInvalidError, NameInvalidError } from './errors.ts'
import { packageType, parsePackageId, parseReference, parseRepositoryName, parseRunId, parseTagName, parseTenantName, tenantOf } from './name.ts'
import { uuidv7 } from './uuid.ts'

const digest = `sha256:${'0'.repeat(64)}`

describe('a repository name', () => {
  for (const name of ['a', 'a/b', '0', 'a.b', 'a_b', 'a__b', 'a-b', 'a---b', 'demo/team-1/x.y', 'a'.repeat(255)]) {
    test(`can be ${name.slice(0, 40)}`, () => assert.equal(parseRepositoryName(name), name))
  }
  for (const name of [
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    'A',
    'a..b',
    'a___b',
    '-a',
    'a-',
    'a.',
    '.a',
    'a._b',
    'a b',
    'ä',
    'a\n',
    'a'.repeat(256),
    '../a',
    'a:b',
  ]) {
    test(`cannot be ${JSON.stringify(name.slice(0, 40))}`, () => assert.throws(() => parseRepositoryName(name), NameInvalidError))
  }

  test('is refused in time that does not explode', () => {
    assert.throws(() => parseRepositoryName('a-'.repeat(127)), NameInvalidError)
  })

  test('belongs to the tenant in front, or to the default one', () => {
    assert.equal(tenantOf(parseRepositoryName('demo/a/b')), 'demo')
    assert.equal(tenantOf(parseRepositoryName('demo')), 'default')
    assert.throws(() => parseTenantName('a/b'), NameInvalidError)
  })
})

describe('a tag', () => {
  for (const tag of ['a', 'A', '0', '_', 'v1.2-3_x', 'a'.repeat(128)]) test(`can be ${tag.slice(0, 40)}`, () => assert.equal(parseTagName(tag), tag))
  for (const tag of ['', '.a', '-a', 'a/b', 'a:b', 'a b', 'a\n', 'ä', 'a'.repeat(129)]) {
    test(`cannot be ${JSON.stringify(tag.slice(0, 40))}`, () => assert.throws(() => parseTagName(tag), NameInvalidError))
  }
})

describe('a reference', () => {
  test('is an id, a tag or a digest', () => {
    const id = uuidv7()
    assert.deepEqual(parseReference(id), { kind: 'id', id })
    assert.deepEqual(parseReference(id.toUpperCase()), { kind: 'id', id })
    assert.deepEqual(parseReference('demo/a:v1'), { kind: 'tag', repository: 'demo/a', tag: 'v1' })
    assert.deepEqual(parseReference(`demo/a@${digest}`), { kind: 'digest', repository: 'demo/a', digest })
    assert.deepEqual(parseReference(`${id}:v1`), { kind: 'tag', repository: id, tag: 'v1' })
  })

  for (const text of [
    '',
    'demo',
    'demo:',
    ':v1',
    'demo:v1:v2',
    'demo/a:b/c',
    `@${digest}`,
    `demo:v1@${digest}`,
    '018f0000-0000-4000-8000-000000000000',
  ]) {
    test(`is not ${JSON.stringify(text.slice(0, 30))}`, () => assert.throws(() => parseReference(text), NameInvalidError))
  }

  test('says what is wrong with its digest', () => {
    assert.throws(() => parseReference('demo@sha256:12'), DigestInvalidError)
  })
})

describe('a package id', () => {
  test('is a UUIDv7 and nothing else', () => {
    const id = uuidv7()
    assert.equal(parsePackageId(id.toUpperCase()), id)
    for (const text of [
      '',
      `{${id}}`,
      `${id}\n`,
      id.replaceAll('-', ''),
      '018f0000-0000-4000-8000-000000000000',
      '018f0000-0000-7000-c000-000000000000',
    ]) {
      assert.throws(() => parsePackageId(text), NameInvalidError, text)
    }
  })
})

describe('a run id', () => {
  test('is any text of 1 to 256 bytes', () => {
    for (const text of ['1', ' ', 'ä'.repeat(128), 'a/b:c\n']) assert.equal(parseRunId(text), text)
    for (const text of ['', 'a'.repeat(257), 'ä'.repeat(129), 'a\0', '\ud800']) assert.throws(() => parseRunId(text), InputInvalidError)
  })
})

describe('a package type', () => {
  test('is a word or a media type', () => {
    assert.equal(packageType('report'), 'application/vnd.artifact-store.report')
    assert.equal(packageType('Application/vnd.Example+json'), 'application/vnd.example+json')
    for (const text of ['', 'a b', 'a/b/c', '/a', 'a/', 'text/plain;charset=utf-8', '.a', 'ä', 'a\n'])
      assert.throws(() => packageType(text), InputInvalidError, text)
  })
})
