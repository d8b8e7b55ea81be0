import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serviceTest } from '../src/testing/service-test.ts'
import { canCountFlushes, countFlushes } from './flush-count.ts'
import { runChild } from './measure-child.ts'

serviceTest('the flushes of all programs of one piece of work are counted, and no others', ['strace'], async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'flush-count-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const flush = async (times: number): Promise<void> => {
    const source = `const file = fs.openSync(${JSON.stringify(join(folder, 'file'))}, 'a'); for (let i = 0; i < ${times}; i++) fs.fsyncSync(file)`
    await runChild({ program: process.execPath, args: ['--eval', source], scratch: folder })
  }
  assert.ok(canCountFlushes())
  await flush(1)
  const count = await countFlushes(folder, async () => {
    await flush(2)
    await flush(3)
  })
  await flush(1)
  assert.equal(count, 5)
})
