import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { CommandFailure } from './command-failure.ts'
import { gather, parseByteRange, parseFileSet, parseLimit, parseLink, readMetadata } from './option-values.ts'

const usage = (pattern: RegExp) => (error: unknown) => error instanceof CommandFailure && error.exitCode === 2 && pattern.test(error.message)

describe('values of options', () => {
  test('an option given several times is gathered in order', () => {
    assert.deepEqual(gather('b', gather('a')), ['a', 'b'])
  })

  test('a link is split at the first equals sign', () => {
    assert.deepEqual(parseLink('build=https://ci.example.org/?job=1'), { rel: 'build', url: 'https://ci.example.org/?job=1' })
    assert.throws(() => parseLink('https'), usage(/--link wants REL=URL, not "https"/))
    assert.throws(() => parseLink('=x'), usage(/--link/))
  })

  test('a file set has patterns and perhaps a class', () => {
    assert.deepEqual(parseFileSet('raw=logs/**'), { name: 'raw', match: ['logs/**'] })
    assert.deepEqual(parseFileSet('raw=logs/**,*.bin:transient'), { name: 'raw', match: ['logs/**', '*.bin'], class: 'transient' })
    assert.deepEqual(parseFileSet('raw=a:'), { name: 'raw', match: ['a'] })
    assert.throws(() => parseFileSet('raw'), usage(/--file-set wants/))
    assert.throws(() => parseFileSet('raw='), usage(/empty pattern/))
    assert.throws(() => parseFileSet('raw=a,,b'), usage(/empty pattern/))
  })

  test('escaped commas and colons of a file set belong to its patterns', () => {
    assert.deepEqual(parseFileSet('raw=a\\,b,c\\:d:keep'), { name: 'raw', match: ['a\\,b', 'c\\:d'], class: 'keep' })
    assert.deepEqual(parseFileSet('raw=a\\\\,b'), { name: 'raw', match: ['a\\\\', 'b'] })
  })

  test('a range is given by both ends, by its start, or from the end', () => {
    assert.deepEqual(parseByteRange('0-99'), { start: 0, end: 99 })
    assert.deepEqual(parseByteRange('5-5'), { start: 5, end: 5 })
    assert.deepEqual(parseByteRange('100-'), { start: 100 })
    assert.deepEqual(parseByteRange('-10'), { last: 10 })
    for (const wrong of ['', '-', '-0', '9-1', 'a-b', '1', '1-2-3']) assert.throws(() => parseByteRange(wrong), usage(/--range wants/), wrong)
  })

  test('a limit is a whole number from one on', () => {
    assert.equal(parseLimit('--limit', '10'), 10)
    for (const wrong of ['0', '-1', '1.5', 'x', '']) assert.throws(() => parseLimit('--limit', wrong), usage(/--limit wants/), wrong)
  })
})

describe('metadata', () => {
  test('comes from flags and from a file, and the flags win', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'metadata-'))
    try {
      const file = join(directory, 'm.json')
      await writeFile(file, '{"tests": 12, "board": "a"}')
      assert.deepEqual(await readMetadata(file, ['board=b=c', 'new=']), { tests: 12, board: 'b=c', new: '' })
      await writeFile(file, '[1]')
      await assert.rejects(readMetadata(file, []), usage(/must hold one JSON object/))
      await writeFile(file, '{"a": 1, "a": 2}')
      await assert.rejects(readMetadata(file, []), usage(/cannot be used: /))
      await assert.rejects(readMetadata(join(directory, 'none'), []), usage(/cannot read the metadata file .*: ENOENT/))
    } finally {
      await rm(directory, { recursive: true })
    }
  })

  test('is left out when none is given', async () => {
    assert.equal(await readMetadata(undefined, []), undefined)
  })

  test('a key that JavaScript treats specially is a key like any other', async () => {
    const metadata = await readMetadata(undefined, ['__proto__=x'])
    assert.deepEqual(Object.keys(metadata ?? {}), ['__proto__'])
  })
})
