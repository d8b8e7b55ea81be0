import assert from 'node:assert/strict'
import { openSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { BackendFailedError, StorageFullError, StoreReadOnlyError } from '../../core/errors.ts'
import { codeOf, isAbsent, systemError } from './system-error.ts'
import type { Operation } from './system-error.ts'

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: as the system says`), { code, syscall: 'write', errno: -1 })
}

test('what a system call failed with tells what the store can do', () => {
  const expected = [
    ['write', StorageFullError, ['ENOSPC', 'EDQUOT']],
    ['write', StoreReadOnlyError, ['EROFS', 'EACCES', 'EPERM']],
    ['write', BackendFailedError, ['EIO', 'EMFILE', 'ENFILE', 'ENOMEM', 'ESTALE', 'EBADF', 'toString']],
    ['read', BackendFailedError, ['EIO', 'EACCES', 'EPERM', 'EMFILE']],
    ['flush', StoreReadOnlyError, ['EIO', 'ENOSPC', 'EDQUOT', 'EROFS', 'EBADF']],
  ] as const
  for (const [operation, error, codes] of expected) {
    for (const code of codes) {
      const cause = failure(code)
      const found = systemError(cause, operation, 's/w/k')
      assert.ok(found instanceof error, `${operation} ${code}`)
      assert.equal(found.cause, cause)
      assert.match(found.message, new RegExp(`s/w/k.*${code}`))
      assert.equal(found.retryable, error !== StoreReadOnlyError)
    }
  }
})

test('errors that come from no system call are passed on as they are', () => {
  const operations: readonly Operation[] = ['read', 'write', 'flush']
  for (const error of [new TypeError('a mistake'), new StorageFullError('known already'), 'text', undefined]) {
    for (const operation of operations) assert.equal(systemError(error, operation, 'k'), error)
  }
})

test('only what says that no file has the name counts as absent', () => {
  const caught = (call: () => unknown): unknown => {
    try {
      return call()
    } catch (error) {
      return error
    }
  }
  assert.ok(isAbsent(caught(() => openSync('/proc/self/nothing-of-that-name', 'r'))))
  assert.ok(isAbsent(caught(() => readdirSync('/proc/self/stat'))))
  for (const code of ['EACCES', 'EIO', 'ESTALE', 'ENOTCONN', 'EMFILE']) assert.ok(!isAbsent(failure(code)), code)
  assert.ok(!isAbsent(new Error('ENOENT')))
  assert.equal(codeOf(Object.assign(new Error('x'), { code: 'ENOENT' })), undefined)
})
