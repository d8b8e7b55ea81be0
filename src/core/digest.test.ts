import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { algorithmOf, digestOf, DigestStream, parseDigest, rawSha256, sha256, sha256Digest } from './digest.ts'
import { DigestInvalidError } from './errors.ts'

const abc = Buffer.from('abc')
const sha256OfAbc = 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
const sha512OfAbc =
  'sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f'

describe('a digest', () => {
  test('is that of FIPS 180-4 for the known message', () => {
    assert.equal(digestOf(abc), sha256OfAbc)
    assert.equal(digestOf(abc, 'sha512'), sha512OfAbc)
    assert.equal(sha256Digest(sha256(abc)), sha256OfAbc)
  })

  test('names its algorithm', () => {
    assert.equal(algorithmOf(parseDigest(sha256OfAbc)), 'sha256')
    assert.equal(algorithmOf(parseDigest(sha512OfAbc)), 'sha512')
  })

  for (const text of [
    '',
    'sha256:',
    sha256OfAbc.toUpperCase(),
    `${sha256OfAbc}0`,
    sha256OfAbc.slice(0, -1),
    ` ${sha256OfAbc}`,
    `${sha256OfAbc}\n`,
    `md5:${'0'.repeat(32)}`,
  ]) {
    test(`is not read from ${JSON.stringify(text.slice(0, 40))} of length ${text.length}`, () => {
      assert.throws(() => parseDigest(text), DigestInvalidError)
    })
  }

  test('goes to raw bytes and back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (raw) => assert.deepEqual(new Uint8Array(rawSha256(sha256Digest(raw))), raw)),
    )
  })

  test('has raw bytes in the registry only as sha256', () => {
    assert.throws(() => rawSha256(parseDigest(sha512OfAbc)), DigestInvalidError)
    assert.throws(() => sha256Digest(new Uint8Array(31)), DigestInvalidError)
  })
})

describe('a digest stream', () => {
  test('gives the digest of the whole, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), fc.constantFrom('sha256' as const, 'sha512' as const), (pieces, algorithm) => {
        const whole = Buffer.concat(pieces)
        const stream = new DigestStream(algorithm)
        for (const piece of pieces) stream.update(piece)
        assert.equal(stream.size, whole.length)
        assert.equal(stream.digest(), digestOf(whole, algorithm))
        assert.equal(stream.digest(), digestOf(whole, algorithm), 'asked twice')
      }),
    )
  })
})
