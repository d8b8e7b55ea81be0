import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { failpoint } from './failpoint.ts'

function reached(spec: string, steps: readonly string[]): number[] {
  const crashes: number[] = []
  let now = 0
  const observe = failpoint(spec, () => crashes.push(now))
  for (const step of steps) {
    now += 1
    observe(step)
  }
  return crashes
}

describe('a failpoint', () => {
  test('strikes once, the first time its step is reached', () => {
    assert.deepEqual(reached('flush', ['allocate', 'flush', 'flush']), [2])
  })
  test('with a number it strikes that time', () => {
    assert.deepEqual(reached('flush:2', ['flush', 'allocate', 'flush', 'flush']), [3])
  })
  test('names of steps may have colons', () => {
    assert.deepEqual(reached('open:before:1', ['open', 'open:before']), [2])
    assert.deepEqual(reached('open:before', ['open', 'open:before']), [2])
  })
  test('is refused when its number is none that can be reached', () => {
    for (const spec of ['flush:0', 'flush:1234567890']) assert.throws(() => failpoint(spec), RangeError)
  })
  test('ends the process as a crash would, at once and without a word', () => {
    const script = `
      import { failpoint } from ${JSON.stringify(new URL('failpoint.ts', import.meta.url).href)}
      process.on('exit', () => console.log('exit'))
      failpoint('step')('step')
      setTimeout(() => console.log('alive'), 1000)`
    const { signal, stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' })
    assert.equal(signal, 'SIGKILL')
    assert.equal(stdout, '')
  })
})
