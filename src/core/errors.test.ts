import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import * as errors from './errors.ts'
import { errorClasses, type ErrorCode, StoreError, TreeRefusedError } from './errors.ts'

const codes = Object.keys(errorClasses) as ErrorCode[]

type Options = errors.StoreErrorOptions

/** An error of this class. All are made with a message and options, but one. */
function sample(code: ErrorCode, options: Options = {}): StoreError {
  if (code === 'tree_refused') return new TreeRefusedError('what happened', [], options)
  const made = errorClasses[code] as unknown as new (message: string, options: Options) => StoreError
  return new made('what happened', options)
}

describe('the errors', () => {
  test('are all in the table of classes, each once', () => {
    const exported = Object.values(errors).filter(
      (value) => typeof value === 'function' && value !== StoreError && value.prototype instanceof StoreError,
    )
    assert.deepEqual(new Set(Object.values(errorClasses)), new Set(exported))
    assert.equal(new Set(Object.values(errorClasses)).size, codes.length)
    assert.ok(codes.length > 20)
  })

  for (const code of codes) {
    test(`${code} knows its code, its name, its cause and its detail`, () => {
      const cause = new Error('why')
      const error = sample(code, { cause, detail: { size: 1 } })
      assert.ok(error instanceof Error && error instanceof StoreError && error instanceof errorClasses[code])
      assert.equal(error.code, code)
      assert.equal(error.name, errorClasses[code].name)
      assert.equal(error.name, `${code.replaceAll(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase())}Error`)
      assert.equal(error.message, 'what happened')
      assert.equal(error.cause, cause)
      assert.equal(error.detail['size'], 1)
    })

    test(`${code} without a cause has none, not an undefined one`, () => {
      assert.equal(Object.hasOwn(sample(code), 'cause'), false)
    })
  }

  test('may go away by themselves only where nothing but the circumstances was wrong', () => {
    const retryable = codes.filter((code) => sample(code).retryable)
    assert.deepEqual(retryable, [
      'storage_full',
      'backend_failed',
      'registry_busy',
      'lease_lost',
      'idempotency_running',
      'server_unreachable',
      'overloaded',
      'aborted',
    ])
  })

  test('of a refused tree carry every entry, as a list and as detail', () => {
    const problems = [
      { path: 'a', reason: 'is a FIFO' },
      { path: 'b', reason: 'leads out' },
    ]
    const error = new TreeRefusedError('refused', problems, { detail: { root: 'tree' } })
    assert.equal(error.problems, problems)
    assert.deepEqual(error.detail, { root: 'tree', problems })
  })
})

describe('docs/errors.md', () => {
  const guide = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  const rows = [...guide.matchAll(/^\| `(\w+)` \| `(\w+)` \| ([^|]+) \| ([^|]+) \| \d \| (yes|no) \|$/gm)]

  test('has one row for every code, in the order of the source', () => {
    assert.deepEqual(
      rows.map(([, code]) => code),
      codes,
    )
  })

  test('names the class of every code, says whether trying again can help, and what to do', () => {
    for (const [, code = '', name, meaning = '', advice = '', retryable] of rows) {
      const known = codes.find((candidate) => candidate === code)
      assert.ok(known !== undefined, code)
      assert.equal(name, errorClasses[known].name)
      assert.equal(retryable === 'yes', sample(known).retryable, code)
      assert.match(meaning, /^[A-Z].*[^.]$/, code)
      assert.match(advice, /^[A-Z].*[^.]$/, code)
    }
  })
})
