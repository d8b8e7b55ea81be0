import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { Attempt, Contender } from './contender.ts'
import type { ScenarioRun } from './run-scenario.ts'
import { runScenario } from './run-scenario.ts'
import type { Operation, Scenario } from './scenario.ts'

const scenario: Scenario = { name: 'made up', about: '', operations: ['push', 'push again', 'pull'], runs: 1, makeInput: async () => {} }

let folder = ''
const log: string[] = []

function contender(name: string, operations: Contender['operations'], attempt: Partial<Attempt> = {}): Contender {
  return {
    name,
    about: '',
    operations,
    prepare: async () => ({
      run: async (operation) => {
        log.push(`${name} ${operation}`)
        return { milliseconds: 1 }
      },
      verify: async () => {},
      ...attempt,
    }),
  }
}

async function run(
  contenders: readonly Contender[],
  wanted: readonly Operation[],
  runs: number,
  special: Partial<ScenarioRun> = {},
): Promise<readonly string[]> {
  const results = await runScenario({
    scenario,
    input: { folder, files: 0, bytes: 0 },
    contenders,
    wanted: new Set(wanted),
    runs,
    folder,
    countsFlushes: false,
    observer: { measured: () => {}, failed: ({ name }, _run, error) => log.push(`${name} failed: ${String(error)}`) },
    ...special,
  })
  return results.map(({ row, contender: name, runs: measured }) => `${row}, ${name}: ${measured.length}`)
}

describe('running a scenario', () => {
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'run-scenario-'))
    log.length = 0
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  test('contenders take turns and do only what they know', async () => {
    const a = contender('a', { push: { flushes: true }, pull: { flushes: false } })
    const b = contender('b', { push: { flushes: true } })
    assert.deepEqual(await run([a, b], ['push', 'pull'], 2), ['made up push, a: 2', 'made up push, b: 2', 'made up pull, a: 2'])
    assert.deepEqual(log, ['a push', 'a pull', 'b push', 'b push', 'a push', 'a pull'])
  })

  test('what must come before a wanted operation runs, but is not reported, and nothing runs behind it', async () => {
    const a = contender('a', { push: { flushes: true }, 'push again': { flushes: true }, pull: { flushes: false } })
    assert.deepEqual(await run([a], ['push again'], 1), ['made up push again, a: 1'])
    assert.deepEqual(log, ['a push', 'a push again'])
  })

  test('who did not do the work is named, and the others go on', async () => {
    const cheat = contender('cheat', { push: { flushes: true } }, { verify: () => Promise.reject(new Error('nothing was stored')) })
    const honest = contender('honest', { push: { flushes: true } })
    assert.deepEqual(await run([cheat, honest], ['push'], 1), ['made up push, honest: 1'])
    assert.deepEqual(log, ['cheat push', 'cheat failed: Error: nothing was stored', 'honest push'])
  })

  test('a scenario that is for some leaves the others out', async () => {
    const [a, b] = [contender('a', { push: { flushes: true } }), contender('b', { push: { flushes: true } })]
    assert.deepEqual(await run([a, b], ['push'], 1, { scenario: { ...scenario, contenders: ['b'] } }), ['made up push, b: 1'])
    assert.deepEqual(log, ['b push'])
  })

  test('flushes are counted in one more run, which is no measurement', async () => {
    const a = contender('a', { push: { flushes: true }, pull: { flushes: false } })
    assert.deepEqual(await run([a], ['push'], 2, { countsFlushes: true }), ['made up push, a: 2'])
    assert.deepEqual(log, ['a push', 'a push', 'a push'])
  })

  test('a run gives its space back, but deletes nothing while others are measured', async () => {
    let file = ''
    const a: Contender = {
      ...contender('a', { push: { flushes: true } }),
      prepare: async (_input, place) => {
        file = join(place, 'stored')
        writeFileSync(file, 'content')
        return { run: async () => ({ milliseconds: 1 }), verify: async () => {} }
      },
    }
    await run([a], ['push'], 1)
    assert.ok(existsSync(file))
    assert.equal(statSync(file).size, 0)
  })
})
