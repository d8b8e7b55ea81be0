import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { DamagedError } from '../core/errors.ts'
import { contentOf, type PackedFile } from './packed-entry.ts'

async function* inPieces(...sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (const size of sizes) yield Buffer.alloc(size, 'x')
}

async function lengthOf(size: number, content: PackedFile['content']): Promise<number> {
  // Sound: nothing but path, size and content is looked at.
  const file = { kind: 'file', path: 'a', size, content } as unknown as PackedFile
  return Buffer.concat(await Array.fromAsync(contentOf(file))).length
}

describe('the content of a file on its way into an archive', () => {
  test('is as long as the archive has said', async () => {
    assert.equal(await lengthOf(7, inPieces(3, 4)), 7)
    assert.equal(await lengthOf(7, Buffer.alloc(7)), 7)
    assert.equal(await lengthOf(0, Buffer.alloc(0)), 0)
  })

  test('is damaged when it is longer or shorter, and what is too much is not given', async () => {
    for (const content of [inPieces(3, 3), inPieces(), Buffer.alloc(6)]) await assert.rejects(lengthOf(7, content), DamagedError)
    const given: Uint8Array[] = []
    // Sound: as above.
    const file = { kind: 'file', path: 'a', size: 7, content: inPieces(3, 5, 9) } as unknown as PackedFile
    await assert.rejects(async () => {
      for await (const piece of contentOf(file)) given.push(piece)
    }, DamagedError)
    assert.equal(Buffer.concat(given).length, 3)
  })
})
