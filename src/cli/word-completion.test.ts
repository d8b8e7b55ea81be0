import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Act } from './command-context.ts'
import { completeProgram, createProgram } from './program.ts'
import { completionLines } from './word-completion.ts'

const act: Act = () => () => Promise.resolve()
const program = createProgram({ write: () => undefined, writeError: () => undefined, width: 100, act, chosen: () => undefined })
await completeProgram(program, act)

const words = (...given: string[]): readonly string[] => completionLines(program, given).map((line) => line.split('\t')[0] ?? '')

describe('completion', () => {
  test('offers commands by their beginning, with what they do', () => {
    assert.deepEqual(words('pu'), ['push', 'pull', ':4'])
    assert.match(completionLines(program, ['pus'])[0] ?? '', /^push\tstore a folder/)
    assert.ok(!words('').includes('complete'))
  })
  test('offers the options of a command, and those of every command', () => {
    assert.deepEqual(words('push', '.', '--re'), ['--repository', '--retention', '--rehash', ':4'])
    assert.deepEqual(words('push', '--js'), ['--json', ':4'])
    assert.deepEqual(words('--ver'), ['--version', ':4'])
  })
  test('offers commands of commands, also behind options', () => {
    assert.deepEqual(words('--store', 'verify', 'events', 've'), ['verify', ':4'])
    assert.deepEqual(words('repository', ''), ['list', 'show', 'set', ':4'])
  })
  test('offers the values of an argument that has only a few', () => {
    assert.deepEqual(words('completion', 'f'), ['fish', ':4'])
    assert.deepEqual(words('completion', 'fish', 'f'), [':0'])
  })
  test('leaves files to the shell, where a path or a value is expected', () => {
    assert.deepEqual(words('push', ''), [':0'])
    assert.deepEqual(words('--store', ''), [':0'])
    assert.deepEqual(words('push', '--metadata-file', 'x'), [':0'])
    assert.deepEqual(words('cat', '--', '--ra'), [':0'])
    assert.deepEqual(words('push', '--store=x', '--rep'), ['--repository', ':4'])
  })
})
