import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, test } from 'node:test'
import { free } from './memory.ts'

describe('freeing bytes', () => {
  test('takes their memory away', () => {
    const bytes = Buffer.allocUnsafeSlow(1000)
    free(bytes)
    assert.equal(bytes.length, 0)
    assert.equal(bytes.buffer.byteLength, 0)
  })

  test('spares memory that others may share', () => {
    const whole = new Uint8Array(1000).fill(7)
    free(whole.subarray(0, 999))
    free(whole.subarray(1))
    assert.deepEqual(whole, new Uint8Array(1000).fill(7))
    const shared = new Uint8Array(new SharedArrayBuffer(10))
    free(shared)
    assert.equal(shared.length, 10)
  })
})
