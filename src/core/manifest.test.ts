import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { encodeCanonical, parseJson, type JsonValue } from './canonical-json.ts'
import {
  EMPTY_DESCRIPTOR,
  EMPTY_TYPE,
  FILE_BYTES_ANNOTATION,
  FILE_COUNT_ANNOTATION,
  IMAGE_INDEX_TYPE,
  IMAGE_MANIFEST_TYPE,
  TITLE_ANNOTATION,
} from './descriptor.ts'
import { digestOf, type Digest } from './digest.ts'
import { DocumentInvalidError, InputInvalidError, LimitExceededError } from './errors.ts'
import { MAX_INDEX_BYTES } from './manifest-draft.ts'
import { endsChild, MAX_BUILT_MANIFEST_BYTES, MIN_SPLIT_BYTES, TARGET_SPLIT_BYTES } from './manifest-split.ts'
import { buildManifests, childFacts, MAX_MANIFEST_BYTES, parseManifest, type AssignedLayer, type BuiltManifest } from './manifest.ts'
import { comparePaths, isFilePath, parsePath } from './path.ts'
import { mutationRuns } from '../testing/mutation-runs.ts'

const artifactType = 'application/vnd.example'
const documentBytes = Buffer.from('{"schemaVersion":1}')
const document = { bytes: documentBytes, digest: digestOf(documentBytes) }
const digest = digestOf(Buffer.from('x'))

const layer = (path: string, more: Partial<AssignedLayer> = {}): AssignedLayer => ({
  path: parsePath(path),
  setKey: '',
  digest,
  size: 1,
  mediaType: 'text/plain',
  executable: false,
  ...more,
})
const numbered = (count: number, more: Partial<AssignedLayer> = {}): AssignedLayer[] =>
  Array.from({ length: count }, (_, index) => layer(`files/${String(index).padStart(8, '0')}`, more))

async function build(files: readonly AssignedLayer[], hasFileSets = false, pageLength = 997): Promise<BuiltManifest[]> {
  async function* pages(): AsyncGenerator<readonly AssignedLayer[], void, undefined> {
    for (let start = 0; start < files.length; start += pageLength) yield files.slice(start, start + pageLength)
  }
  const built: BuiltManifest[] = []
  for await (const manifest of buildManifests({ artifactType, document, hasFileSets, files: pages() })) built.push(manifest)
  return built
}

const anyLayer = fc.record(
  {
    path: fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }).filter(isFilePath).map(parsePath),
    setKey: fc.constantFrom('', 'a', 'a,b', 'b'),
    digest: fc.string().map((text) => digestOf(Buffer.from(text))),
    size: fc.maxSafeNat().map((size) => Math.floor(size / 1000)),
    mediaType: fc.constantFrom('text/plain', 'text/plain;charset=utf-8', 'application/octet-stream'),
    executable: fc.boolean(),
  },
  { noNullPrototype: true },
)
const anyFiles = fc
  .uniqueArray(anyLayer, { selector: ({ path }) => path, maxLength: 12 })
  .map((files) => files.toSorted((left, right) => comparePaths(left.setKey, right.setKey) || comparePaths(left.path, right.path)))

describe('the manifests of a package', () => {
  test('are canonical, name exactly the files, and read back', async () => {
    await fc.assert(
      fc.asyncProperty(anyFiles, fc.boolean(), fc.integer({ min: 1, max: 5 }), async (given, hasFileSets, pageLength) => {
        const files = hasFileSets
          ? given
          : given.map((file) => ({ ...file, setKey: '' })).toSorted((left, right) => comparePaths(left.path, right.path))
        const manifests = await build(files, hasFileSets, pageLength)
        const found: AssignedLayer[] = []
        for (const manifest of manifests) {
          assert.deepEqual(Buffer.from(encodeCanonical(parseJson(manifest.bytes))), Buffer.from(manifest.bytes))
          assert.equal(manifest.digest, digestOf(manifest.bytes))
          const parsed = parseManifest(manifest.bytes)
          assert.equal(parsed.mediaType, manifest.mediaType)
          assert.equal(parsed.artifactType, artifactType)
          if (parsed.kind === 'index') {
            assert.deepEqual(new Set(parsed.children.map((child) => child.digest)), new Set(manifest.layers))
            assert.deepEqual(
              parsed.children.map(childFacts),
              manifests.slice(0, -1).map(({ setKey, fileCount, size }) => ({ setKey, fileCount, size })),
            )
          } else {
            assert.deepEqual(
              parsed.blobs.map((blob) => blob.digest),
              manifest.layers,
            )
            assert.equal(parsed.layers.length, manifest.fileCount)
            found.push(...parsed.layers.map((file) => ({ ...file, setKey: manifest.setKey })))
          }
        }
        assert.deepEqual(found, files)
        const root = manifests.at(-1)
        assert.equal(root?.fileCount, files.length)
        assert.equal(
          root.size,
          files.reduce((sum, { size }) => sum + size, 0),
        )
        assert.deepEqual(
          manifests.map(({ role }) => role),
          hasFileSets ? ['document', ...manifests.slice(2).map(() => 'files'), 'index'] : ['package'],
        )
      }),
    )
  })

  test('are refused when files are out of order, twice there, or in a set that was not declared', async () => {
    await assert.rejects(build([layer('b'), layer('a')]), InputInvalidError)
    await assert.rejects(build([layer('a'), layer('a')]), InputInvalidError)
    await assert.rejects(build([layer('\u{1F600}'), layer('\uff5e')]), InputInvalidError)
    await assert.rejects(build([layer('a', { setKey: 'raw' })]), InputInvalidError)
    await assert.rejects(build([layer('a', { setKey: 'raw' }), layer('b')], true), InputInvalidError)
  })

  test('is one of exactly 3,670,016 bytes, and an index when it would be one byte longer', async () => {
    const files = numbered(19_825)
    const [short] = await build(files)
    const missing = MAX_BUILT_MANIFEST_BYTES - (short?.bytes.byteLength ?? 0)
    assert.ok(missing > 255 && missing < 3000, String(missing))
    const last = (bytes: number): AssignedLayer => layer(`z${'/z'.repeat((bytes - 1) >> 1)}${bytes % 2 === 0 ? 'z' : ''}`)
    const overhead = (await build([...files, last(1)]))[0]?.bytes.byteLength ?? 0
    const fitting = MAX_BUILT_MANIFEST_BYTES - overhead + 1
    const whole = await build([...files, last(fitting)])
    assert.deepEqual(
      whole.map(({ role, bytes }) => [role, bytes.byteLength]),
      [['package', MAX_BUILT_MANIFEST_BYTES]],
    )
    const split = await build([...files, last(fitting + 1)])
    assert.equal(split.at(-1)?.role, 'index')
    assert.equal(split.at(-1)?.fileCount, files.length + 1)
  })

  test('are split the same whether the set was declared to be one of many or was found to be large', async () => {
    const files = numbered(40_000)
    const large = await build(files)
    const declared = await build(files, true)
    assert.ok(large.length > 4)
    assert.deepEqual(
      large.map((manifest) => manifest.digest),
      declared.map((manifest) => manifest.digest),
    )
  })

  test('change in one child, the index and nothing else when a file is added to a large set', async () => {
    const files = numbered(60_000)
    const before = new Set((await build(files)).map((manifest) => manifest.digest))
    for (const position of [10, 30_000, 59_990]) {
      const added = files.toSpliced(position, 0, layer(`${files[position - 1]?.path ?? ''}+`))
      const after = await build(added)
      assert.deepEqual(
        after.filter((manifest) => !before.has(manifest.digest)).map(({ role }) => role),
        ['files', 'index'],
      )
    }
  })

  test('of a large set stay within their bounds, near the target, and mostly end where a path says so', async () => {
    const files = numbered(120_000)
    const children = (await build(files)).filter(({ role }) => role === 'files')
    const lengths = children.slice(0, -1).map(({ bytes }) => bytes.byteLength)
    assert.ok(
      lengths.every((length) => length >= MIN_SPLIT_BYTES && length <= MAX_BUILT_MANIFEST_BYTES),
      String(lengths),
    )
    const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length
    assert.ok(mean > 1_600_000 && mean < 2_200_000, `mean ${mean}`)
    assert.ok(
      lengths.every((length) => length < 3_000_000),
      'none was cut at the maximum',
    )
  })

  test('are cut at the maximum where no path says so', async () => {
    const files = numbered(60_000).filter(({ path }) => !endsChild(path, 400, TARGET_SPLIT_BYTES))
    const children = (await build(files)).filter(({ role }) => role === 'files')
    const lengths = children.slice(0, -1).map(({ bytes }) => bytes.byteLength)
    assert.ok(lengths.length >= 2)
    assert.ok(
      lengths.every((length) => length <= MAX_BUILT_MANIFEST_BYTES && length > MAX_BUILT_MANIFEST_BYTES - 400),
      String(lengths),
    )
  })

  test('are refused when an index would list too much', async () => {
    const files = Array.from({ length: 12_000 }, (_, index) => layer('a', { setKey: `s${String(index).padStart(5, '0')}${'x'.repeat(250)}` }))
    await assert.rejects(build(files, true), LimitExceededError)
    const built = await build(files.slice(0, 5_000), true)
    assert.ok((built.at(-1)?.bytes.byteLength ?? Infinity) <= MAX_INDEX_BYTES)
  })
})

const image = (more: Readonly<Record<string, JsonValue | undefined>> = {}): Uint8Array =>
  bytesOf({ schemaVersion: 2, mediaType: IMAGE_MANIFEST_TYPE, config: descriptor(), layers: [descriptor()], ...more })
const index = (more: Readonly<Record<string, JsonValue | undefined>> = {}): Uint8Array =>
  bytesOf({ schemaVersion: 2, mediaType: IMAGE_INDEX_TYPE, manifests: [descriptor()], ...more })
const bytesOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))
const descriptor = (more: Readonly<Record<string, JsonValue | undefined>> = {}): JsonValue =>
  JSON.parse(JSON.stringify({ mediaType: 'text/plain', digest, size: 1, ...more })) as JsonValue
const titled = (title: string, of: Digest = digest): JsonValue => descriptor({ digest: of, annotations: { [TITLE_ANNOTATION]: title } })

describe('a manifest somebody else wrote', () => {
  test('is read with members nobody knows, spaces, and without its media type', () => {
    assert.equal(parseManifest(image({ mediaType: undefined, future: { x: 1 } })).kind, 'image')
    assert.equal(parseManifest(index({ mediaType: undefined })).kind, 'index')
    assert.equal(parseManifest(index({ manifests: [] })).kind, 'index')
    assert.equal(parseManifest(image({ layers: [] })).kind, 'image')
    assert.equal(parseManifest(image({ mediaType: 'application/vnd.docker.distribution.manifest.v2+json' })).kind, 'image')
    assert.equal(parseManifest(index({ mediaType: 'application/vnd.docker.distribution.manifest.list.v2+json' })).kind, 'index')
    assert.equal(parseManifest(Buffer.from(JSON.stringify(JSON.parse(Buffer.from(image()).toString()), undefined, 2))).kind, 'image')
  })

  test('gives subject, annotations and artifact type', () => {
    const parsed = parseManifest(image({ subject: descriptor({ size: 7 }), annotations: { a: 'b' }, artifactType: 'a/b' }))
    assert.deepEqual([parsed.subject?.size, parsed.annotations, parsed.artifactType], [7, { a: 'b' }, 'a/b'])
  })

  test('has layers without a good title under their digests, each path once', () => {
    const other = digestOf(Buffer.from('other'))
    const layers = [titled('a'), titled('a', other), titled('../b'), descriptor(), titled('c'), titled('/d', other), titled(`blobs/${digest}x`)]
    const parsed = parseManifest(image({ layers }))
    assert.deepEqual(parsed.kind === 'image' && parsed.layers.map(({ path, digest: named }) => [path, named]), [
      ['a', digest],
      [`blobs/${other}`, other],
      [`blobs/${digest}`, digest],
      ['c', digest],
      [`blobs/${digest}x`, digest],
    ])
    assert.deepEqual(parsed.kind === 'image' && parsed.blobs.map((blob) => blob.digest), [digest, other])
  })

  test('keeps a title that looks like the path of another digest', () => {
    const other = digestOf(Buffer.from('other'))
    const parsed = parseManifest(image({ layers: [descriptor({ digest: other }), titled(`blobs/${other}`)] }))
    assert.deepEqual(parsed.kind === 'image' && parsed.layers.map(({ path, digest: named }) => [path, named]), [[`blobs/${other}`, digest]])
  })

  test('has no files when its only layer is the OCI empty descriptor', () => {
    const empty = { ...EMPTY_DESCRIPTOR }
    const parsed = parseManifest(image({ layers: [descriptor(empty)] }))
    assert.deepEqual(parsed.kind === 'image' && [parsed.layers.length, parsed.blobs.length], [0, 2])
    const named = parseManifest(image({ layers: [descriptor({ ...empty, annotations: { [TITLE_ANNOTATION]: 'a' } })] }))
    assert.deepEqual(named.kind === 'image' && named.layers.map(({ path, mediaType }) => [path, mediaType]), [['a', EMPTY_TYPE]])
  })

  test('believes the annotation of a media type only where it agrees', () => {
    const typed = (annotation: string): JsonValue =>
      descriptor({ annotations: { [TITLE_ANNOTATION]: annotation, 'vnd.artifact-store.media-type': annotation } })
    const parsed = parseManifest(image({ layers: [typed('text/plain;charset=x'), typed('text/html;charset=x')] }))
    assert.deepEqual(parsed.kind === 'image' && parsed.layers.map(({ mediaType }) => mediaType), ['text/plain;charset=x', 'text/plain'])
  })

  test('says nothing of files in an index entry unless both figures are good', () => {
    const facts = (count: string, bytes: string): unknown =>
      childFacts({ ...EMPTY_DESCRIPTOR, annotations: { [FILE_COUNT_ANNOTATION]: count, [FILE_BYTES_ANNOTATION]: bytes } })
    assert.deepEqual(facts('1', '9007199254740991'), { setKey: '', fileCount: 1, size: 9_007_199_254_740_991 })
    for (const bad of ['', '-1', '01', '1.5', '1e3', '9007199254740992', ' 1']) assert.equal(facts('1', bad), undefined, bad)
    assert.equal(childFacts(EMPTY_DESCRIPTOR), undefined)
  })

  const refused: Readonly<Record<string, Uint8Array>> = {
    'no JSON': Buffer.from('x'),
    'no object': bytesOf([]),
    'no schema version': image({ schemaVersion: undefined }),
    'Docker schema 1': image({ schemaVersion: 1 }),
    'an unknown media type': image({ mediaType: 'text/plain' }),
    'an index that says it is an image': index({ mediaType: IMAGE_MANIFEST_TYPE }),
    'an image that says it is an index': image({ mediaType: IMAGE_INDEX_TYPE }),
    'both manifests and layers': image({ manifests: [] }),
    'no config': image({ config: undefined }),
    'no layers': image({ layers: undefined }),
    'layers that are no array': image({ layers: {} }),
    'a layer that is no object': image({ layers: ['x'] }),
    'a bad digest': image({ layers: [descriptor({ digest: 'sha256:12' })] }),
    'a negative size': image({ layers: [descriptor({ size: -1 })] }),
    'half a byte': image({ layers: [descriptor({ size: 0.5 })] }),
    'a size as text': image({ layers: [descriptor({ size: '1' })] }),
    'no size': image({ config: descriptor({ size: undefined }) }),
    'no media type': image({ config: descriptor({ mediaType: undefined }) }),
    'an empty media type': image({ config: descriptor({ mediaType: '' }) }),
    'a media type without end': image({ config: descriptor({ mediaType: 'a'.repeat(256) }) }),
    'annotations that are no text': image({ annotations: { a: 1 } }),
    'annotations of a layer that are no text': image({ layers: [descriptor({ annotations: { a: null } })] }),
    'a bad subject': image({ subject: { digest } }),
    'an index of nothing': index({ manifests: null }),
    'a key twice': Buffer.from('{"schemaVersion":2,"schemaVersion":2,"manifests":[]}'),
  }
  for (const [what, bytes] of Object.entries(refused)) {
    test(`is refused with ${what}`, () => assert.throws(() => parseManifest(bytes), DocumentInvalidError))
  }

  test('must be what it was sent as', () => {
    parseManifest(image(), IMAGE_MANIFEST_TYPE)
    parseManifest(index({ mediaType: undefined }), IMAGE_INDEX_TYPE)
    assert.throws(() => parseManifest(image(), IMAGE_INDEX_TYPE), DocumentInvalidError)
    assert.throws(() => parseManifest(image({ mediaType: undefined }), IMAGE_INDEX_TYPE), DocumentInvalidError)
  })

  test('is refused when it is longer than 4 MiB, and read up to there', () => {
    const padded = (length: number): Uint8Array => Buffer.concat([image(), Buffer.alloc(length - image().byteLength, ' ')])
    assert.equal(parseManifest(padded(MAX_MANIFEST_BYTES)).kind, 'image')
    assert.throws(() => parseManifest(padded(MAX_MANIFEST_BYTES + 1)), LimitExceededError)
  })

  test('is read or refused whatever is done to its bytes', () => {
    const valid = [image({ layers: [titled('a/b'), descriptor()], subject: descriptor(), annotations: { a: 'b' } }), index({ artifactType: 'a/b' })]
    const mutation = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }), remove: fc.nat({ max: 3 }) })
    fc.assert(
      fc.property(fc.constantFrom(...valid), fc.array(mutation, { minLength: 1, maxLength: 4 }), (bytes, mutations) => {
        let mutated = Buffer.from(bytes)
        for (const { at, byte, remove } of mutations) {
          const position = at % (mutated.length + 1)
          mutated = Buffer.concat([mutated.subarray(0, position), Uint8Array.of(byte), mutated.subarray(position + remove)])
        }
        try {
          parseManifest(mutated)
        } catch (error) {
          assert.ok(error instanceof DocumentInvalidError, String(error))
        }
      }),
      { numRuns: mutationRuns(3_000) },
    )
  })
})
