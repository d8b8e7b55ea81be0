import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { DocumentInvalidError, InputInvalidError, LimitExceededError, StoreError, TreeRefusedError } from './errors.ts'
import {
  buildPackageDocument,
  encodePackageDocument,
  MAX_PACKAGE_DOCUMENT_BYTES,
  parsePackageDocument,
  type PackageDocumentInput,
} from './package-document.ts'
import { mutationRuns } from '../testing/mutation-runs.ts'

const encoded = (input: PackageDocumentInput): string => Buffer.from(encodePackageDocument(buildPackageDocument(input))).toString()
const parse = (text: string): unknown => parsePackageDocument(Buffer.from(text))

describe('a package document', () => {
  test('of nothing says its version alone', () => {
    assert.equal(encoded({}), '{"schemaVersion":1}')
    assert.equal(
      encoded({ metadata: {}, links: [], fileSets: [], symlinks: [], directories: [], provenance: { sources: [], environment: {} } }),
      '{"schemaVersion":1}',
    )
  })

  test('does not depend on the order in which things are given', () => {
    const links = [
      { rel: 'b', url: 'urn:1' },
      { rel: 'a', url: 'urn:2' },
      { rel: 'a', url: 'urn:1' },
    ]
    const sources = [{ repository: 'r', commit: '1' }, { repository: 'r', commit: '2', dirty: true }, { repository: 'q' }]
    const symlinks = ['c', 'a', 'b'].map((path) => ({ path, target: 'x' }))
    const directories = ['z', 'y/z', '\u{1F600}', '\uff5e']
    const all = { links, symlinks, directories, provenance: { sources } }
    fc.assert(
      fc.property(
        fc.shuffledSubarray(links, { minLength: 3 }),
        fc.shuffledSubarray(sources, { minLength: 3 }),
        fc.shuffledSubarray(symlinks, { minLength: 3 }),
        fc.shuffledSubarray(directories, { minLength: 4 }),
        (someLinks, someSources, someSymlinks, someDirectories) => {
          const shuffled = {
            links: [...someLinks, ...links],
            provenance: { sources: someSources },
            symlinks: someSymlinks,
            directories: someDirectories,
          }
          assert.equal(encoded(shuffled), encoded(all))
        },
      ),
    )
  })

  test('leaves out the classes of file sets', () => {
    const rule = { name: 'raw', match: ['**'] }
    assert.equal(encoded({ fileSets: [{ ...rule, class: 'raw-evidence' }] }), encoded({ fileSets: [rule] }))
  })

  test('keeps targets of links as they are', () => {
    assert.match(encoded({ symlinks: [{ path: 'a', target: './e\u0301//\u00e9/.' }] }), /"target":".\/e\u0301\/\/\u00e9\/\."/)
  })

  test('keeps a member named __proto__ of metadata and environment', () => {
    const member = JSON.parse('{"__proto__":"x"}') as Record<string, string>
    const text = encoded({ metadata: member, provenance: { environment: member } })
    assert.equal(text, '{"metadata":{"__proto__":"x"},"provenance":{"environment":{"__proto__":"x"}},"schemaVersion":1}')
    assert.equal(Buffer.from(encodePackageDocument(parsePackageDocument(Buffer.from(text)))).toString(), text)
  })

  const refused: Readonly<Record<string, PackageDocumentInput>> = {
    'an empty producer': { producer: '' },
    'a producer without end': { producer: 'a'.repeat(1025) },
    'a NUL in the subject': { subject: 'a\0' },
    'a lone surrogate': { metadataSchema: '\ud800' },
    'an empty run id': { runId: '' },
    'a relative link': { links: [{ rel: 'a', url: '/x' }] },
    'a link with a blank': { links: [{ rel: 'a', url: 'http://a b' }] },
    'a link without end': { links: [{ rel: 'a', url: `urn:${'a'.repeat(4096)}` }] },
    'a link without relation': { links: [{ rel: '', url: 'urn:a' }] },
    'a source without repository': { provenance: { sources: [{ repository: '' }] } },
    'a tool without name': { provenance: { tool: { name: '' } } },
    'a bad file set': { fileSets: [{ name: 'A', match: ['a'] }] },
  }
  for (const [what, input] of Object.entries(refused)) {
    test(`is refused with ${what}`, () => assert.throws(() => buildPackageDocument(input), InputInvalidError))
  }

  test('names every link and directory that cannot be kept', () => {
    const input = {
      symlinks: [
        { path: 'out', target: '../x' },
        { path: '/abs', target: 'x' },
        { path: 'dir', target: 'x' },
        { path: 'here', target: '.' },
        { path: 'climbs', target: 'here/..' },
        { path: 'twice', target: 'x' },
        { path: 'twice', target: 'y' },
      ],
      directories: ['dir/sub', 'full', 'full/x', 'a//b'],
    }
    assert.throws(
      () => buildPackageDocument(input),
      (error) => {
        assert.ok(error instanceof TreeRefusedError)
        assert.deepEqual(error.problems.map(({ path }) => path).toSorted(), ['/abs', 'a//b', 'climbs', 'dir/sub', 'full', 'out', 'twice'])
        return true
      },
    )
  })

  test('is at most 4 MiB', () => {
    const padded = (length: number): PackageDocumentInput => ({ metadata: { a: 'x'.repeat(length) } })
    const overhead = Buffer.byteLength(encoded(padded(1))) - 1
    assert.equal(encoded(padded(MAX_PACKAGE_DOCUMENT_BYTES - overhead)).length, MAX_PACKAGE_DOCUMENT_BYTES)
    assert.throws(() => encoded(padded(MAX_PACKAGE_DOCUMENT_BYTES - overhead + 1)), LimitExceededError)
  })
})

describe('reading a package document', () => {
  test('names a member it does not know', () => {
    assert.throws(() => parse('{"provenance":{"tool":{"extra":1,"name":"a"}},"schemaVersion":1}'), {
      message: /^provenance.tool has an unknown member "extra"/,
    })
  })

  const wrong: Readonly<Record<string, string>> = {
    nothing: '',
    'no object': '[]',
    'no version': '{}',
    'another version': '{"schemaVersion":2}',
    'an unknown member': '{"extra":1,"schemaVersion":1}',
    'an unknown member further in': '{"provenance":{"tool":{"extra":1,"name":"a"}},"schemaVersion":1}',
    'the class of a file set': '{"fileSets":[{"class":"a","match":["a"],"name":"a"}],"schemaVersion":1}',
    'a wrong type': '{"producer":1,"schemaVersion":1}',
    null: '{"producer":null,"schemaVersion":1}',
    'something empty': '{"links":[],"schemaVersion":1}',
    'an empty object': '{"metadata":{},"schemaVersion":1}',
    'keys out of order': '{"schemaVersion":1,"producer":"a"}',
    'a blank': '{"schemaVersion": 1}',
    'a list out of order': '{"directories":["b","a"],"schemaVersion":1}',
    'a double': '{"links":[{"rel":"a","url":"urn:a"},{"rel":"a","url":"urn:a"}],"schemaVersion":1}',
    'a directory that is not empty': '{"directories":["a","a/b"],"schemaVersion":1}',
    'a link that leads out': '{"schemaVersion":1,"symlinks":[{"path":"a","target":"../b"}]}',
    'a bad path': '{"directories":["../a"],"schemaVersion":1}',
  }
  for (const [what, text] of Object.entries(wrong)) {
    test(`refuses ${what}`, () => assert.throws(() => parse(text), DocumentInvalidError))
  }

  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 10 }).filter((value) => value.isWellFormed() && !value.includes('\0'))
  const input = fc.record(
    {
      producer: text,
      subject: text,
      runId: text,
      metadata: fc.dictionary(text, fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null)), { noNullPrototype: true }),
      metadataSchema: text,
      links: fc.array(fc.record({ rel: text, url: fc.webUrl() }, { noNullPrototype: true })),
      provenance: fc.record(
        {
          sources: fc.array(
            fc.record(
              { repository: text, commit: text, ref: text, path: text, dirty: fc.boolean() },
              { requiredKeys: ['repository'], noNullPrototype: true },
            ),
          ),
          environment: fc.dictionary(text, fc.string({ unit: 'grapheme' }), { noNullPrototype: true }),
          tool: fc.record({ name: text, version: text }, { requiredKeys: ['name'], noNullPrototype: true }),
        },
        { requiredKeys: [], noNullPrototype: true },
      ),
      fileSets: fc.uniqueArray(
        fc.record(
          { name: fc.constantFrom('a', 'b', 'c'), match: fc.array(fc.constantFrom('*', 'a/', '**/x'), { minLength: 1 }) },
          { noNullPrototype: true },
        ),
        { selector: ({ name }) => name },
      ),
      symlinks: fc.uniqueArray(
        fc.record({ path: fc.constantFrom('l1', 'd/l2', 'd/l3'), target: fc.constantFrom('x', 'x/y', '.') }, { noNullPrototype: true }),
        { selector: ({ path }) => path },
      ),
      directories: fc.uniqueArray(fc.constantFrom('e1', 'd/e2', '\u00e9')),
    },
    { requiredKeys: [], noNullPrototype: true },
  )

  test('gives back what was written, and nothing that was written changes when written again', () => {
    fc.assert(
      fc.property(input, (given) => {
        const document = buildPackageDocument(given)
        const bytes = encodePackageDocument(document)
        assert.deepEqual(parsePackageDocument(bytes), document)
        assert.deepEqual(encodePackageDocument(buildPackageDocument(document)), bytes)
      }),
      { numRuns: 500 },
    )
  })

  test('accepts no other bytes, whatever is done to good ones', () => {
    const mutation = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }), remove: fc.nat({ max: 2 }) })
    fc.assert(
      fc.property(input, mutation, (given, { at, byte, remove }) => {
        const bytes = Buffer.from(encodePackageDocument(buildPackageDocument(given)))
        const position = at % (bytes.length + 1)
        const mutated = Buffer.concat([bytes.subarray(0, position), Uint8Array.of(byte), bytes.subarray(position + remove)])
        try {
          assert.deepEqual(Buffer.from(encodePackageDocument(parsePackageDocument(mutated))), mutated)
        } catch (error) {
          if (error instanceof assert.AssertionError) throw error
          assert.ok(error instanceof DocumentInvalidError && error instanceof StoreError, String(error))
        }
      }),
      { numRuns: mutationRuns(1_000) },
    )
  })
})
