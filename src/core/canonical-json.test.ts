import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson, encodeCanonical, MAX_JSON_BYTES, MAX_JSON_DEPTH, parseJson, type JsonValue } from './canonical-json.ts'
import { DocumentInvalidError } from './errors.ts'

interface Vectors {
  readonly accepted: readonly { readonly source?: string; readonly input: string; readonly canonical: string }[]
  readonly refused: readonly string[]
  readonly refusedBytes: readonly string[]
}
const vectors = JSON.parse(readFileSync(new URL('../../docs/format/vectors/package-v1/canonical-json.json', import.meta.url), 'utf8')) as Vectors
const parse = (text: string): JsonValue => parseJson(Buffer.from(text))

const number = fc.oneof(fc.maxSafeInteger(), fc.double({ noNaN: true, noDefaultInfinity: true })).filter((value) => {
  const isNegativeZero = Object.is(value, -0)
  return !isNegativeZero && (!Number.isInteger(value) || Number.isSafeInteger(value) || Math.abs(value) >= 1e21)
})
const string = fc.string({ unit: 'binary', maxLength: 8 })
const key = fc.oneof(string, fc.constantFrom('__proto__', 'constructor', 'a', '\uff5e', '\u{1F600}'))
const { value } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.constantFrom(null, true, false),
    number,
    string,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
  ),
}))

describe('canonical JSON', () => {
  for (const { source, input, canonical } of vectors.accepted) {
    test(`of ${source ?? input.slice(0, 40)} is what the vector says`, () => {
      assert.equal(canonicalJson(parse(input)), canonical)
      assert.deepEqual(Buffer.from(encodeCanonical(parse(canonical))).toString(), canonical)
    })
  }

  test('reads back as the value it was made of, and is its own canonical form', () => {
    fc.assert(
      fc.property(value, (given) => {
        const bytes = encodeCanonical(given)
        assert.deepEqual(parseJson(bytes), given)
        assert.deepEqual(encodeCanonical(parseJson(bytes)), bytes)
      }),
      { numRuns: 2000 },
    )
  })

  test('does not depend on the order of keys', () => {
    assert.equal(canonicalJson({ b: 1, a: { d: 1, c: 2 } }), canonicalJson({ a: { c: 2, d: 1 }, b: 1 }))
  })

  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  const refused: Readonly<Record<string, unknown>> = {
    NaN: Number.NaN,
    infinity: -Infinity,
    'a lone surrogate': 'a\ud800',
    'a lone surrogate in a key': { '\udc00': 1 },
    'an integer that is not exact': [2 ** 53],
    'nothing at all': undefined,
    'an undefined member': { a: undefined },
    'a bigint': 1n,
    'a function': [() => 1],
    'a cycle': cycle,
  }
  for (const [what, given] of Object.entries(refused)) {
    test(`cannot be made of ${what}`, () => assert.throws(() => canonicalJson(given as JsonValue), DocumentInvalidError))
  }

  test('is as deep as what is read, and no deeper', () => {
    const nested = (depth: number): JsonValue => (depth === 0 ? 1 : [nested(depth - 1)])
    parseJson(encodeCanonical(nested(MAX_JSON_DEPTH)))
    assert.throws(() => canonicalJson(nested(MAX_JSON_DEPTH + 1)), DocumentInvalidError)
  })
})

describe('reading JSON', () => {
  for (const text of vectors.refused) {
    test(`refuses ${JSON.stringify(text.slice(0, 40))}`, () => assert.throws(() => parse(text), DocumentInvalidError))
  }
  for (const hex of vectors.refusedBytes) {
    test(`refuses the bytes ${hex}`, () => assert.throws(() => parseJson(Buffer.from(hex, 'hex')), DocumentInvalidError))
  }

  test('returns what JSON.parse returns, for values however they are spelled', () => {
    fc.assert(
      fc.property(value, fc.constantFrom('', ' ', '\n\t'), (given, space) => {
        const text = JSON.stringify(given, undefined, space).replace(
          /[\u007f-\uffff]/g,
          (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
        )
        assert.deepEqual(parse(text), given)
      }),
      { numRuns: 2000 },
    )
  })

  test('finds a key that appears twice, wherever it is and however it is escaped', () => {
    const entries = fc.uniqueArray(fc.tuple(key, value), { minLength: 1, maxLength: 4, selector: ([name]) => name })
    fc.assert(
      fc.property(entries, fc.nat(), fc.boolean(), (members, pick, escape) => {
        const [name] = members[pick % members.length] ?? ['']
        const spelled = escape
          ? `"${[...Array(name.length).keys()].map((at) => `\\u${name.charCodeAt(at).toString(16).padStart(4, '0')}`).join('')}"`
          : JSON.stringify(name)
        const text = members.map(([member, content]) => `${JSON.stringify(member)}:${JSON.stringify(content)}`)
        parse(`[{${text.join(',')}}]`)
        assert.throws(() => parse(`[{${[...text, `${spelled}:1`].join(',')}}]`), { code: 'document_invalid', message: /appears twice/ })
      }),
    )
  })

  test('does not touch prototypes', () => {
    const read = parse('{"__proto__":{"polluted":true}}')
    assert.deepEqual(Object.keys(read ?? {}), ['__proto__'])
    assert.equal(Object.getPrototypeOf(read), Object.prototype)
    assert.equal('polluted' in {}, false)
  })

  test('is bounded in size and depth', () => {
    parseJson(Buffer.from('[1]'), { maxBytes: 3, maxDepth: 1 })
    assert.throws(() => parseJson(Buffer.from('[1]'), { maxBytes: 2 }), { message: /longer than 2 bytes/ })
    assert.throws(() => parseJson(Buffer.from('[[1]]'), { maxDepth: 1 }), { message: /deeper than 1/ })
    assert.throws(() => parseJson(new Uint8Array(MAX_JSON_BYTES + 1)), DocumentInvalidError)
  })

  test('survives eight million brackets', () => {
    assert.throws(() => parse('['.repeat(MAX_JSON_BYTES)), DocumentInvalidError)
    assert.throws(() => parse('['.repeat(MAX_JSON_BYTES / 2) + ']'.repeat(MAX_JSON_BYTES / 2)), DocumentInvalidError)
    assert.throws(() => parse(`"${'\\\\'.repeat(MAX_JSON_BYTES / 2 - 2)}\\"`), DocumentInvalidError)
  })
})
