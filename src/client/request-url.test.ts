import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { InputInvalidError } from '../core/errors.ts'
import { pathProblem } from '../core/path.ts'
import { routeTarget } from '../http/route-url.ts'
import { parseServerUrl, requestPath } from './request-url.ts'

test('the address of a server keeps the path in front of the API', () => {
  assert.equal(parseServerUrl('http://127.0.0.1:8080'), 'http://127.0.0.1:8080/')
  assert.equal(parseServerUrl('https://example.org/store'), 'https://example.org/store/')
  assert.equal(parseServerUrl('https://example.org/store/'), 'https://example.org/store/')
})

test('what is no address of a server is refused, and a password in it is not repeated', () => {
  for (const text of ['', 'example.org', 'ftp://example.org', 'http://h/?q=1', 'http://h/#f', 'https://user:secret@example.org']) {
    assert.throws(
      () => parseServerUrl(text),
      (error: unknown) => error instanceof InputInvalidError && !error.message.includes('secret'),
      text,
    )
  }
})

test('every path of a file arrives at the router as it is', () => {
  const component = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(fc.array(component, { minLength: 1, maxLength: 5 }), (components) => {
      const path = components.join('/')
      fc.pre(pathProblem(path) === undefined)
      const url = new URL(`http://h/${requestPath(['packages', 'ID', 'files', ...path.split('/')])}`)
      const routed = routeTarget(url.pathname)
      assert.deepEqual(routed, { target: `/packages/ID/files/${encodeURIComponent(path)}` })
    }),
  )
})

test('a query leaves out what is not given', () => {
  assert.equal(requestPath(['a b', 'c/d'], { x: '1&2', y: undefined, z: 3 }), 'a%20b/c%2Fd?x=1%262&z=3')
})
