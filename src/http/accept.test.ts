import assert from 'node:assert/strict'
import { test } from 'node:test'
import { preferredType } from './accept.ts'

const cases: readonly (readonly [accept: string | undefined, type: string])[] = [
  [undefined, 'application/json'],
  ['', 'application/json'],
  ['*/*', 'application/json'],
  ['text/event-stream', 'text/event-stream'],
  ['Text/Event-Stream', 'text/event-stream'],
  ['text/event-stream, application/json', 'application/json'],
  ['text/event-stream, */*;q=0.1', 'text/event-stream'],
  ['application/json;q=0.5, text/*;q=0.6', 'text/event-stream'],
  ['application/json; q=0.5 ,text/event-stream ; q=0.4', 'application/json'],
  ['application/json;q=0, */*', 'text/event-stream'],
  ['text/event-stream;q=0, */*;q=0.1', 'application/json'],
  ['text/event-stream;q=nonsense', 'application/json'],
  ['text/event-stream;q=2', 'application/json'],
  ['text/html', 'application/json'],
  [';;,,=', 'application/json'],
]

for (const [accept, type] of cases) {
  test(`Accept: ${String(accept)} is answered with ${type}`, () => {
    assert.equal(preferredType(accept, ['application/json', 'text/event-stream']), type)
  })
}
