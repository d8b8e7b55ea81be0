import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { routeTarget } from './route-url.ts'

const routed = (target: string): string => {
  const result = routeTarget(target)
  return 'target' in result ? result.target : `refused: ${result.refused}`
}

test('names and paths become single parameters, whatever they contain', () => {
  assert.equal(routed('/repositories/a/b'), '/repositories/a%2Fb')
  assert.equal(routed('/repositories/a'), '/repositories/a')
  assert.equal(routed('/repositories/a/b/tags'), '/repositories/a%2Fb/tags')
  assert.equal(routed('/repositories/a/b/tags/v1?limit=2'), '/repositories/a%2Fb/tags/v1?limit=2')
  assert.equal(routed('/repositories/a%2Ftags/tags/v1'), '/repositories/a%2Ftags/tags/v1')
  assert.equal(routed('/packages/i/files/a/b%20c?executable=true'), '/packages/i/files/a%2Fb%20c?executable=true')
  assert.equal(routed('/packages/i/files/a%3Fb?x=?y'), '/packages/i/files/a%3Fb?x=?y')
})

test('everything else stays as it is', () => {
  for (const target of [
    '/',
    '/packages',
    '/packages/i',
    '/packages/i/files',
    '/packages/i/files?after=1',
    '/repositories',
    '/events?a=/repositories/x',
    '*',
  ]) {
    assert.equal(routed(target), target)
  }
})

test('an encoded slash and what is no UTF-8 are refused', () => {
  for (const path of ['a%2Fb', 'a%2fb', '%ff', '%', 'a/%E4/b', '%c0%af']) assert.match(routed(`/packages/i/files/${path}`), /^refused/, path)
})

test('a path is decoded once: the router gets back exactly what was encoded', () => {
  const component = fc.string({ minLength: 1, unit: 'binary' }).filter((text) => text.isWellFormed() && !text.includes('/'))
  fc.assert(
    fc.property(fc.array(component, { minLength: 1 }), (components) => {
      const target = routed(`/packages/i/files/${components.map(encodeURIComponent).join('/')}`)
      assert.equal(decodeURIComponent(target.slice('/packages/i/files/'.length)), components.join('/'))
    }),
  )
})
