import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { judgeFlushes, judgeSpace } from './place.ts'

const MIB = 1024 * 1024

describe('free space', () => {
  test('is enough, little, or too little, by bytes and by names for files', () => {
    const statuses = [
      judgeSpace('the store', 10_000 * MIB, 1_000_000),
      judgeSpace('the store', 10_000 * MIB, undefined),
      judgeSpace('the store', 500 * MIB, 1_000_000),
      judgeSpace('the store', 100 * MIB, 1_000_000),
      judgeSpace('the store', 10_000 * MIB, 5_000),
      judgeSpace('the store', 10_000 * MIB, 3),
    ].map(({ status }) => status)
    assert.deepEqual(statuses, ['ok', 'ok', 'warn', 'fail', 'warn', 'fail'])
    assert.equal(judgeSpace('the objects', 100 * MIB, 3).observed, '100 MiB and 3 inodes free for the objects')
    assert.match(judgeSpace('the store', 10_000 * MIB, 3).advice ?? '', /names for more files/)
  })
})

describe('flushes', () => {
  test('are suspicious when they are faster than any disk, and told when they are slow', () => {
    assert.equal(judgeFlushes('the store', [5, 6, 7, 900]).status, 'warn')
    assert.match(judgeFlushes('the store', [5, 6, 7]).advice ?? '', /tmpfs/)
    assert.equal(judgeFlushes('the store', [60, 100, 10]).status, 'ok')
    assert.match(judgeFlushes('the store', [80_000, 90_000, 1_000]).advice ?? '', /SSD/)
    assert.equal(judgeFlushes('the store', [1_234, 9_999_000, 100]).observed, 'a flush takes 1.2 ms (median of 3; the slowest 9999 ms) for the store')
  })
})
