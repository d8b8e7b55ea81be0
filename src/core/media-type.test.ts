import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { InputInvalidError } from './errors.ts'
import { MEDIA_TYPES_BY_EXTENSION } from './media-type-table.ts'
import { essenceOf, isMediaTypeName, MEDIA_TYPE_TABLE_VERSION, mediaTypeFor, parseMediaType } from './media-type.ts'
import { parsePath } from './path.ts'

interface Vectors {
  readonly version: number
  readonly table: Readonly<Record<string, string>>
  readonly files: readonly { readonly path: string; readonly given?: string; readonly mediaType: string }[]
  readonly spellings: readonly { readonly given: string; readonly mediaType: string | null }[]
}
const vectors = JSON.parse(readFileSync(new URL('../../docs/format/vectors/package-v1/media-types.json', import.meta.url), 'utf8')) as Vectors

describe('the extension table', () => {
  test('is the published one of its version', () => {
    assert.equal(MEDIA_TYPE_TABLE_VERSION, vectors.version)
    assert.deepEqual(Object.fromEntries(MEDIA_TYPES_BY_EXTENSION), vectors.table)
  })

  test('holds lower-case extensions and media types without parameters', () => {
    assert.ok(MEDIA_TYPES_BY_EXTENSION.size >= 100)
    for (const [extension, type] of MEDIA_TYPES_BY_EXTENSION) {
      assert.match(extension, /^[a-z0-9]+$/)
      assert.equal(parseMediaType(type), type)
      assert.ok(isMediaTypeName(type), type)
    }
  })
})

describe('the media type of a file', () => {
  for (const { path, given, mediaType } of vectors.files) {
    test(`${JSON.stringify(path)}, given ${given ?? 'nothing'}, is ${mediaType}`, () => assert.equal(mediaTypeFor(parsePath(path), given), mediaType))
  }

  test('is refused when it is malformed', () => {
    assert.throws(() => mediaTypeFor(parsePath('a.json'), 'json'), InputInvalidError)
  })
})

describe('a given media type', () => {
  for (const { given, mediaType } of vectors.spellings) {
    if (mediaType === null)
      test(`cannot be ${JSON.stringify(given.slice(0, 40))}`, () => assert.throws(() => parseMediaType(given), InputInvalidError))
    else test(`${JSON.stringify(given)} is spelled ${JSON.stringify(mediaType)}`, () => assert.equal(parseMediaType(given), mediaType))
  }

  test('is spelled the same when its spelling is read again', () => {
    const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9.+-]{0,10}$/)
    const value = fc.string({ unit: fc.constantFrom('a', 'Z', ' ', '"', '\\', ';', '=', ','), maxLength: 6 })
    const parameter = fc.tuple(name, value).map(([key, text]) => `; ${key}="${text.replace(/["\\]/g, '\\$&')}"`)
    fc.assert(
      fc.property(name, name, fc.array(parameter, { maxLength: 3 }), (type, subtype, parameters) => {
        const spelled = parseMediaType(`${type}/${subtype}${parameters.join('')}`)
        assert.equal(parseMediaType(spelled), spelled)
        assert.equal(essenceOf(spelled), `${type}/${subtype}`.toLowerCase())
      }),
    )
  })

  test('is refused in time that does not explode', () => {
    assert.throws(() => parseMediaType(`a/b${'; '.repeat(120)}x`), InputInvalidError)
    assert.throws(() => parseMediaType(`a/b;c="${'\\\\'.repeat(120)}`), InputInvalidError)
  })
})
