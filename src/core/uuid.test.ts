import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { uuidv4, uuidv7 } from './uuid.ts'

describe('a UUID of version 7', () => {
  test('carries version, variant and time', () => {
    const now = 0x7fff_0000_0000
    const uuid = uuidv7(now)
    assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    assert.equal(Number.parseInt(uuid.replace('-', '').slice(0, 12), 16), now)
  })

  test('comes after the one before, in a burst, when the clock stands still and when it goes back', () => {
    const times = [...Array.from({ length: 10_000 }, () => 0x7fff_0000_0001), 5, 0x7fff_0000_0002, 0x7fff_ffff_0000, 7]
    const uuids = times.map((time) => uuidv7(time))
    assert.deepEqual(uuids.toSorted(), uuids)
    assert.equal(new Set(uuids).size, uuids.length)
  })
})

test('a UUID of version 4 has its version and variant', () => {
  assert.match(uuidv4(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
})
