import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorClasses, type ErrorCode, StoreError, TreeRefusedError } from '../core/errors.ts'
import { problemOf } from '../http/problem.ts'
import { errorOfAnswer, errorOfCode } from './problem.ts'

// Sound: the keys of the table are the codes.
const codes = Object.keys(errorClasses) as ErrorCode[]
/** What the server says when it ends is, to its clients, a connection that broke off. */
const OF_THE_SERVER: readonly ErrorCode[] = ['closed', 'aborted']

test('every error goes over the wire as it is: class, message, facts', () => {
  for (const code of codes.filter((name) => !OF_THE_SERVER.includes(name))) {
    const problems = [{ path: 'a', reason: 'b' }]
    const error = errorOfCode(code, `message of ${code}`, { problems, offset: 3 })
    assert.ok(error instanceof errorClasses[code], code)
    const problem = problemOf(error)
    const arrived = errorOfAnswer(problem.status, JSON.stringify(problem), 'GET /')
    assert.ok(arrived instanceof errorClasses[code], code)
    assert.deepEqual([arrived.code, arrived.message, arrived.detail, arrived.retryable], [code, error.message, error.detail, error.retryable])
    if (arrived instanceof TreeRefusedError) assert.deepEqual(arrived.problems, problems)
  }
})

test('a server that ends is one that cannot be reached', () => {
  for (const code of OF_THE_SERVER) {
    const problem = problemOf(errorOfCode(code, 'the store is closed', {}))
    const arrived = errorOfAnswer(problem.status, JSON.stringify(problem), 'GET /')
    assert.deepEqual([arrived.code, arrived.retryable], ['server_unreachable', true])
  }
})

test('what is no problem document is told by its status', () => {
  const cases: readonly (readonly [number, string, ErrorCode])[] = [
    [404, '<html>not here</html>', 'not_found'],
    [401, '', 'unauthenticated'],
    [403, '{}', 'forbidden'],
    [413, '{"code":7}', 'limit_exceeded'],
    [418, '{"code":"teapot","detail":"short and stout"}', 'input_invalid'],
    [429, '', 'overloaded'],
    [502, 'Bad Gateway', 'server_unreachable'],
    [503, '', 'overloaded'],
    [500, '{"code":"internal","detail":"The server met an error"}', 'backend_failed'],
  ]
  for (const [status, body, code] of cases) {
    const error = errorOfAnswer(status, body, 'GET http://h/x')
    assert.ok(error instanceof StoreError)
    assert.equal(error.code, code, `${status}`)
  }
  assert.equal(errorOfAnswer(404, ' gone ', 'GET http://h/x').message, 'GET http://h/x answered 404: gone')
  assert.equal(errorOfAnswer(418, '{"code":"teapot","detail":"short and stout"}', '').message, 'short and stout')
})
