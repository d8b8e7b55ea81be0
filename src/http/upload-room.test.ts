import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { UploadRoom } from './upload-room.ts'

const limits = {
  freeBytes: 10,
  heldBytes: 100,
  roomBytes: 250,
  maxWaiting: 3,
  waitMs: 1_000,
  contended: { idleMs: 100, windowMs: 100, bytesPerSecond: 1 },
}

/** A room, who came in and who was turned away. */
function rig(): { readonly room: UploadRoom; readonly log: string[]; readonly take: (name: string, bytes?: number, now?: number) => () => void } {
  const room = new UploadRoom(limits)
  const log: string[] = []
  const take = (name: string, bytes = 100, now = 0): (() => void) =>
    room.take(
      bytes,
      now,
      () => log.push(name),
      () => log.push(`not ${name}`),
    )
  return { room, log, take }
}

describe('the room for uploads', () => {
  test('what a body needs is its size up to what the store holds of it, and nothing for a small one', () => {
    const { room } = rig()
    const needs = (['none', 0, 10, 11, 100, 101, 'chunks'] as const).map((body) => room.needOf(body))
    assert.deepEqual(needs, [0, 0, 0, 11, 100, 100, 100])
  })

  test('those who do not fit wait in the order in which they came', () => {
    const { log, take, room } = rig()
    const leaveA = take('a')
    take('b')
    take('c')
    take('d')
    assert.deepEqual(log, ['a', 'b'])
    assert.equal(room.waiting, 2)
    leaveA()
    assert.deepEqual(log, ['a', 'b', 'c'])
  })

  test('a small one does not overtake', () => {
    const { log, take } = rig()
    take('a')
    take('b')
    take('c')
    take('small', 20)
    assert.deepEqual(log, ['a', 'b'])
  })

  test('who needs nothing never waits', () => {
    const { log, take } = rig()
    for (const name of ['a', 'b', 'c']) take(name)
    take('free', 0)
    assert.deepEqual(log, ['a', 'b', 'free'])
  })

  test('too many are turned away at once, and those who wait too long later', () => {
    const { log, take, room } = rig()
    for (const name of ['a', 'b', 'c', 'd']) take(name)
    take('e', 100, 500)
    take('f', 100, 500)
    assert.deepEqual(log, ['a', 'b', 'not f'])
    room.sweep(999)
    room.sweep(1_000)
    assert.deepEqual(log, ['a', 'b', 'not f', 'not c', 'not d'])
    assert.equal(room.waiting, 1)
  })

  test('who gave up waiting, or was turned away, gives nothing back', () => {
    const { log, take, room } = rig()
    const [, , leaveC, leaveD] = ['a', 'b', 'c', 'd'].map((name) => take(name))
    leaveC?.()
    room.sweep(1_000)
    leaveD?.()
    take('e')
    assert.deepEqual(log, ['a', 'b', 'not d'])
  })

  test('those inside must hurry when somebody has been waiting for a while', () => {
    const { take, room } = rig()
    const leave = take('a')
    take('b')
    assert.equal(room.contended(1_000), false)
    take('c', 100, 1_000)
    assert.equal(room.contended(1_099), false)
    assert.equal(room.contended(1_100), true)
    leave()
    assert.equal(room.contended(2_000), false)
  })

  test('never holds more than there is, unless by one alone, and in the end all are served', () => {
    const steps = fc.array(fc.oneof(fc.integer({ min: 11, max: 300 }), fc.constant(undefined)), { maxLength: 100 })
    fc.assert(
      fc.property(steps, (history) => {
        const room = new UploadRoom({ ...limits, maxWaiting: 1_000 })
        const inside = new Map<number, number>()
        const leavers = new Map<number, () => void>()
        let entered = 0
        const leaveFirst = (): void => {
          const [first] = inside.keys()
          if (first === undefined) return
          inside.delete(first)
          leavers.get(first)?.()
        }
        const check = (): void => {
          const held = [...inside.values()].reduce((sum, bytes) => sum + bytes, 0)
          assert.ok(held <= limits.roomBytes || inside.size === 1)
        }
        history.forEach((bytes, index) => {
          if (bytes === undefined) return leaveFirst()
          const enter = (): void => {
            entered += 1
            inside.set(index, bytes)
          }
          leavers.set(index, room.take(bytes, 0, enter, assert.fail))
          check()
        })
        while (inside.size > 0) {
          leaveFirst()
          check()
        }
        assert.equal(entered, leavers.size)
      }),
    )
  })
})
