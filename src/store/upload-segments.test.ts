import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { LimitExceededError } from '../core/errors.ts'
import { ByteBudget } from '../data-plane/byte-budget.ts'
import { cutSegments, type Segment, SEGMENT_BYTES } from './upload-segments.ts'

const MIB = 1024 * 1024

interface Cut {
  readonly start: number
  readonly bytes: Buffer
}

/** Takes segments as somebody who stores them at once. */
async function cutsOf(segments: AsyncIterable<Segment>): Promise<Cut[]> {
  const cuts: Cut[] = []
  for await (const segment of segments) {
    const bytes = Buffer.concat(segment.blocks)
    assert.equal(bytes.length, segment.size)
    cuts.push({ start: segment.start, bytes })
    segment.release()
  }
  return cuts
}

/** A source that uses its memory again. */
async function* reusing(content: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array, void, undefined> {
  const memory = new Uint8Array(Math.max(1, ...lengths))
  let offset = 0
  for (const length of lengths) {
    const part = content.subarray(offset, offset + length)
    memory.set(part)
    yield memory.subarray(0, part.length)
    memory.fill(0xff)
    offset += length
  }
}

function isGivenBack(memory: ByteBudget, bytes: number): boolean {
  return memory.tryTake(bytes)
}

describe('an upload is cut into segments', () => {
  test('that are the bytes in order, whatever pieces they come in and however short memory is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 200_000 }), { maxLength: 30 }),
        fc.constantFrom(64 * 1024, 128 * 1024, 300_000, 48 * MIB),
        fc.nat({ max: 3 * SEGMENT_BYTES }),
        async (lengths, limit, start) => {
          const content = Buffer.alloc(
            lengths.reduce((sum, length) => sum + length, 0),
            'abcdefghijklm',
          )
          const memory = new ByteBudget(limit)
          const cuts = await cutsOf(cutSegments(reusing(content, lengths), { start, room: undefined, memory }))
          assert.ok(Buffer.concat(cuts.map(({ bytes }) => bytes)).equals(content))
          let at = start
          for (const cut of cuts) {
            assert.equal(cut.start, at)
            assert.ok(cut.bytes.length > 0)
            at += cut.bytes.length
          }
          assert.ok(isGivenBack(memory, limit))
        },
      ),
      { numRuns: 50 },
    )
  })

  test('that end at the same places wherever the upload was broken off', async () => {
    const memory = new ByteBudget(64 * MIB)
    const content = Buffer.alloc(SEGMENT_BYTES + 3 * MIB, 1)
    const endsFrom = async (start: number): Promise<readonly number[]> => {
      const rest = content.subarray(start)
      const lengths = Array.from({ length: Math.ceil(rest.length / MIB) }, () => MIB)
      const cuts = await cutsOf(cutSegments(reusing(rest, lengths), { start, room: undefined, memory }))
      return cuts.map((cut) => cut.start + cut.bytes.length)
    }
    assert.deepEqual(await endsFrom(0), [SEGMENT_BYTES, content.length])
    assert.deepEqual(await endsFrom(5_000_001), [SEGMENT_BYTES, content.length])
  })

  test('that are given out when the source is silent, before it says anything more', async () => {
    let speak = (): void => undefined
    const silence = new Promise<void>((resolve) => (speak = resolve))
    async function* source(): AsyncGenerator<Uint8Array, void, undefined> {
      yield Buffer.from('before')
      await silence
      yield Buffer.from('after')
    }
    const segments = cutSegments(source(), { start: 0, room: undefined, memory: new ByteBudget(MIB) })
    const first = await segments.next()
    assert.ok(first.done === false)
    assert.equal(Buffer.concat(first.value.blocks).toString(), 'before')
    speak()
    const [second] = await cutsOf(segments)
    assert.equal(second?.bytes.toString(), 'after')
  })

  test('of which the last one comes before the error of a source that breaks off', async () => {
    async function* source(): AsyncGenerator<Uint8Array, void, undefined> {
      yield Buffer.from('kept')
      throw new Error('broke off')
    }
    const segments = cutSegments(source(), { start: 0, room: undefined, memory: new ByteBudget(MIB) })
    const first = await segments.next()
    assert.equal(first.done === false && Buffer.concat(first.value.blocks).toString(), 'kept')
    await assert.rejects(segments.next(), /broke off/)
  })

  test('but not of more than there is room for, and what was not stored yet is dropped', async () => {
    const memory = new ByteBudget(MIB)
    const segments = cutSegments(reusing(Buffer.from('abcdef'), [3, 3]), { start: 10, room: 5, memory })
    await assert.rejects(cutsOf(segments), LimitExceededError)
    assert.ok(isGivenBack(memory, MIB))
  })

  test('without holding memory while waiting for some', async () => {
    const memory = new ByteBudget(128 * 1024)
    await memory.take(64 * 1024)
    const segments = cutSegments(reusing(Buffer.alloc(200_000, 7), [100_000, 100_000]), { start: 0, room: undefined, memory })
    const first = await segments.next()
    assert.ok(first.done === false)
    // What fits is given out; the rest waits for the memory of others, and then goes on.
    assert.equal(first.value.size, 64 * 1024)
    const waiting = segments.next()
    memory.give(64 * 1024)
    first.value.release()
    const second = await waiting
    assert.ok(second.done === false)
    second.value.release()
    const rest = await cutsOf(segments)
    assert.equal(first.value.size + second.value.size + rest.reduce((sum, cut) => sum + cut.bytes.length, 0), 200_000)
    assert.ok(isGivenBack(memory, 128 * 1024))
  })

  test('whose memory is given back when nobody wants the rest', async () => {
    const memory = new ByteBudget(MIB)
    const segments = cutSegments(
      reusing(
        Buffer.alloc(500_000),
        Array.from({ length: 50 }, () => 10_000),
      ),
      { start: 0, room: undefined, memory },
    )
    for await (const segment of segments) {
      segment.release()
      break
    }
    assert.ok(isGivenBack(memory, MIB))
  })
})
