import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import type { ErrorCode, StoreError } from '../core/errors.ts'
import { errorClasses, NotFoundError, PathInvalidError, StoreMissingError, TreeRefusedError } from '../core/errors.ts'
import { CommandFailure, usageFailure } from './command-failure.ts'
import { exitCodeOf } from './exit-code.ts'
import { failureJson, failureText, reportFailure } from './failure.ts'

const codes = Object.keys(errorClasses) as ErrorCode[]

function sample(code: ErrorCode): StoreError {
  return Reflect.construct(errorClasses[code], ['no', []]) as StoreError
}

describe('failures', () => {
  test('every error that may go away by itself says "try again", and no other', () => {
    for (const code of codes) {
      assert.equal(exitCodeOf[code] === 6, sample(code).retryable, code)
      assert.equal(reportFailure(sample(code)).exitCode, exitCodeOf[code], code)
    }
  })

  test('the table of the guide has every code with its exit code', async () => {
    const guide = await readFile(new URL('../../docs/guides/cli.md', import.meta.url), 'utf8')
    const listed = new Map<string, number>()
    for (const [, exit = '', names = ''] of guide.matchAll(/^\| (\d) \| [^|]+ \| ([^|]*)\|$/gm)) {
      for (const [, name = ''] of names.matchAll(/`(\w+)`/g)) listed.set(name, Number(exit))
    }
    assert.deepEqual(Object.fromEntries(listed), exitCodeOf)
  })

  test('a refused tree lists its entries, the first twenty for a person', () => {
    const problems = Array.from({ length: 25 }, (_, index) => ({ path: `a${index}`, reason: 'is a FIFO' }))
    const report = reportFailure(new TreeRefusedError('the tree cannot be stored as it is: a0: is a FIFO (and 24 more)', problems))
    const text = failureText(report)
    assert.match(text, /^artifact-store: the tree cannot be stored as it is:\n {2}a0: is a FIFO\n/)
    assert.match(text, / {2}a19: is a FIFO\n {2}… and 5 more/)
    assert.match(text, /--exclude/)
    const { error } = JSON.parse(failureJson(report)) as { error: { code: string; exitCode: number; detail: { problems: unknown[] } } }
    assert.equal(error.code, 'tree_refused')
    assert.equal(error.exitCode, 4)
    assert.equal(error.detail.problems.length, 25)
  })

  test('a missing store comes with the command that makes it', () => {
    const next = (directory: string): string | undefined => reportFailure(new StoreMissingError('no store', { detail: { directory } })).next
    assert.equal(next('/data/store'), 'Make one: artifact-store init /data/store')
    assert.equal(next("/it's here"), String.raw`Make one: artifact-store init '/it'\''s here'`)
  })

  test('no name in a message can move the cursor or start a new line', () => {
    const text = failureText(reportFailure(new NotFoundError('no package "a\u001b[2J\nb\u202e"')))
    assert.equal(text.split('\n')[0], 'artifact-store: no package "a\\u{1b}[2J\\u{a}b\\u{202e}"')
  })

  test('a message that was escaped already is not escaped twice', () => {
    assert.equal(reportFailure(new PathInvalidError('path "a\\u{a}b"')).message, 'path "a\\u{a}b"')
  })

  test('a mistake in the program shows no stack trace', () => {
    const report = reportFailure(new TypeError('x is not a function'))
    assert.equal(report.exitCode, 1)
    assert.doesNotMatch(failureText(report), /\bat /)
    assert.match(failureText(report), /unexpected error: x is not a function\n.*ARTIFACT_STORE_DEBUG/)
    assert.equal(reportFailure('thrown text').message, 'unexpected error: thrown text')
  })

  test('an error of the operating system is told in its own words', () => {
    const error = Object.assign(new Error("EACCES: permission denied, open '/x'"), { code: 'EACCES', syscall: 'open' })
    assert.deepEqual(reportFailure(error), {
      exitCode: 1,
      lines: [],
      retryable: false,
      code: 'EACCES',
      message: "EACCES: permission denied, open '/x'",
    })
  })

  test('failures of the command line carry their own exit code and advice', () => {
    assert.equal(failureText(reportFailure(usageFailure('no', 'do this'))), 'artifact-store: no\ndo this\n')
    assert.equal(reportFailure(new CommandFailure('no', 4)).exitCode, 4)
    assert.equal(reportFailure(usageFailure('no')).exitCode, 2)
  })
})
