import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { PackCorruptError } from '../core/errors.ts'
import { compress, compressInBackground, decompress, looksCompressible } from './compression.ts'

const words = Buffer.from(Array.from({ length: 40_000 }, (_, index) => `word${String(index % 977)}`).join(' '))

describe('compression', () => {
  test('comes back as it was, short and long, here and in the background', async () => {
    for (const size of [256, 1000, 4096, 65_536, 65_537, 300_000]) {
      const bytes = words.subarray(0, size)
      for (const compressed of [compress(bytes), await compressInBackground(bytes)]) {
        assert.ok(compressed !== undefined && compressed.length < size * 0.9)
        assert.ok(Buffer.from(decompress(compressed, size)).equals(bytes))
      }
    }
  })

  test('leaves alone what is tiny, random or compressed already', async () => {
    const compressed = gzipSync(randomBytes(40_000).toString('hex'))
    for (const bytes of [Buffer.alloc(0), words.subarray(0, 255), randomBytes(1000), randomBytes(100_000), compressed]) {
      assert.ok(compress(bytes) === undefined)
      assert.ok((await compressInBackground(bytes)) === undefined)
    }
  })

  test('the sample tells text from random bytes, wherever the text is dense', () => {
    let mistaken = 0
    for (let round = 0; round < 1000; round += 1) if (looksCompressible(randomBytes(5000))) mistaken += 1
    assert.ok(mistaken < 20, `${String(mistaken)} of 1000 random chunks were tried`)
    assert.ok(looksCompressible(words.subarray(0, 5000)))
    assert.ok(looksCompressible(Buffer.from(randomBytes(5000).toString('base64'))))
    assert.ok(looksCompressible(Buffer.concat([randomBytes(2000), Buffer.alloc(2000)])))
  })

  test('what is not zstd of exactly the announced length is refused, and costs no more memory than announced', () => {
    const bomb = compress(Buffer.alloc(64 * 1024 * 1024)) ?? assert.fail()
    const before = process.memoryUsage().rss
    for (const length of [0, 1, 1000, 8 * 1024 * 1024]) assert.throws(() => decompress(bomb, length), PackCorruptError)
    assert.ok(process.memoryUsage().rss - before < 48 * 1024 * 1024)
    const fine = compress(words.subarray(0, 1000)) ?? assert.fail()
    for (const length of [0, 999, 1001]) assert.throws(() => decompress(fine, length), PackCorruptError)
    fc.assert(
      fc.property(fc.nat(fine.length - 1), fc.nat(255), fc.nat(fine.length), (at, byte, cut) => {
        const damaged = Buffer.from(fine.subarray(0, cut))
        if (at < cut) damaged[at] = byte
        try {
          assert.equal(decompress(damaged, 1000).length, 1000)
        } catch (error) {
          assert.ok(error instanceof PackCorruptError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
