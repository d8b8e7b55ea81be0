import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DocumentInvalidError } from '../core/errors.ts'
import { jsonLines, toJsonLines } from './json-lines.ts'

async function* cutAt(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array, void, undefined> {
  let start = 0
  for (const length of lengths) {
    yield bytes.subarray(start, start + length)
    start += length
  }
  yield bytes.subarray(start)
}

test('lines come back however the stream is cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.dictionary(fc.string(), fc.oneof(fc.string({ unit: 'grapheme' }), fc.double()))),
      fc.array(fc.nat(30)),
      async (values, lengths) => {
        const expected: unknown[] = values.map((value) => JSON.parse(JSON.stringify(value)) as unknown)
        assert.deepEqual(await Array.fromAsync(jsonLines(cutAt(Buffer.from(toJsonLines(values)), lengths))), expected)
      },
    ),
  )
})

test('a last line without its end counts when it is complete, and is an error when it is not', async () => {
  assert.deepEqual(await Array.fromAsync(jsonLines(cutAt(Buffer.from('{"a":1}\n\n{"a":2}'), [3]))), [{ a: 1 }, { a: 2 }])
  await assert.rejects(Array.fromAsync(jsonLines(cutAt(Buffer.from('{"a":1}\n{"a":'), []))), DocumentInvalidError)
})

test('a line without end is refused before it fills the memory', async () => {
  async function* endless(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) yield Buffer.alloc(65_536, 'x')
  }
  await assert.rejects(Array.fromAsync(jsonLines(endless())), /more than 1048576 characters/)
})
