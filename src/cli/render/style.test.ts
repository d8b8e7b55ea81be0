import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createStyle, wantsColours } from './style.ts'

describe('colours', () => {
  test('only a terminal gets them', () => {
    assert.equal(wantsColours({ isTTY: true }, {}), true)
    assert.equal(wantsColours({ isTTY: false }, {}), false)
    assert.equal(wantsColours({}, {}), false)
  })
  test('NO_COLOR and a dumb terminal turn them off', () => {
    assert.equal(wantsColours({ isTTY: true }, { NO_COLOR: '1' }), false)
    assert.equal(wantsColours({ isTTY: true }, { NO_COLOR: '' }), true)
    assert.equal(wantsColours({ isTTY: true }, { TERM: 'dumb' }), false)
  })
  test('without colours text is untouched, with them it is marked and reset', () => {
    assert.equal(createStyle(false).bad('x'), 'x')
    assert.equal(createStyle(true).bad('x'), '\u001b[31mx\u001b[39m')
  })
})
