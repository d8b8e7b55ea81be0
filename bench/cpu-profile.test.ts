import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { functionTable, parseCpuProfile } from './cpu-profile.ts'

const frame = (functionName: string, url: string, lineNumber: number): object => ({ functionName, url, lineNumber })

const content = JSON.stringify({
  nodes: [
    { id: 1, callFrame: frame('(idle)', '', -1) },
    { id: 2, callFrame: frame('hash', 'file:///anywhere/src/core/digest.ts', 9), children: [3] },
    { id: 3, callFrame: frame('', 'node:fs', 0) },
    // The same function, called from elsewhere.
    { id: 4, callFrame: frame('hash', 'file:///anywhere/src/core/digest.ts', 9) },
  ],
  startTime: 1_000_000,
  samples: [2, 4, 3, 1, 1],
  timeDeltas: [500, 3000, 2000, 1000, 4000],
})

describe('CPU profiles', () => {
  test('a sample lasts until the next one, and what is called from several places is one line', () => {
    assert.deepEqual(parseCpuProfile(content).itself, [
      { name: 'hash', place: 'src/core/digest.ts:10', milliseconds: 5 },
      { name: '(idle)', place: '', milliseconds: 4 },
      { name: '(anonymous)', place: 'node:fs:1', milliseconds: 1 },
    ])
  })

  test('what a function of this project has others do is done on its behalf', () => {
    assert.deepEqual(parseCpuProfile(content).onBehalf, [
      { name: 'hash', place: 'src/core/digest.ts:10', milliseconds: 6 },
      { name: '(idle)', place: '', milliseconds: 4 },
    ])
  })

  test('what was before or after the span in question does not count', () => {
    assert.deepEqual(parseCpuProfile(content, { began: 1_003_000, ended: 1_006_000 }).itself, [
      { name: 'hash', place: 'src/core/digest.ts:10', milliseconds: 2 },
      { name: '(anonymous)', place: 'node:fs:1', milliseconds: 1 },
    ])
  })

  test('shares are shares of the time in which something was done', () => {
    const [, hash, idle] = functionTable(parseCpuProfile(content).itself, 'itself').lines
    assert.deepEqual([hash?.[3], idle?.[3]], ['83.3 %', ''])
  })

  test('something else is refused', () => {
    assert.throws(() => parseCpuProfile('[]'), TypeError)
    assert.throws(() => parseCpuProfile('{}'), TypeError)
  })
})
