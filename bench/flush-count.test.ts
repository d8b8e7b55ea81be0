import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countCalls, observed } from './flush-count.ts'

test('a flush that another thread interrupts counts once', () => {
  const log = [
    '812   fsync(21)                         = 0',
    '813   fdatasync(22 <unfinished ...>',
    '812   sync_file_range(22, 0, 4096, SYNC_FILE_RANGE_WRITE) = 0',
    '813   <... fdatasync resumed>)          = 0',
    '814   +++ exited with 0 +++',
    '',
  ].join('\n')
  assert.equal(countCalls(log), 3)
  assert.equal(countCalls(''), 0)
})

test('programs are started as they are unless flushes are counted', () => {
  const call = { program: 'true', args: [] }
  assert.equal(observed(call), call)
})
