import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { AbortedError } from '../core/errors.ts'
import { Interrupt } from './interrupt.ts'

test('the first signal asks the command to stop, the second one ends the process', () => {
  const source = new EventEmitter()
  const calls: string[] = []
  const interrupt = new Interrupt(
    source,
    () => calls.push('stopping'),
    () => calls.push('killed'),
  )
  assert.equal(interrupt.signal.aborted, false)
  source.emit('SIGINT')
  assert.ok(interrupt.signal.reason instanceof AbortedError)
  source.emit('SIGTERM')
  assert.deepEqual(calls, ['stopping', 'killed'])
})

test('a command that is done leaves the signals alone', () => {
  const source = new EventEmitter()
  {
    using interrupt = new Interrupt(
      source,
      () => undefined,
      () => undefined,
    )
    assert.equal(source.listenerCount('SIGINT'), 1)
    assert.equal(interrupt.signal.aborted, false)
  }
  assert.deepEqual(source.eventNames(), [])
})
