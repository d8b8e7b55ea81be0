/** The golden vectors of docs/format/package.md. What they say is fixed for ever: if one fails, the code is wrong. */
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { globSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { digestOf } from './digest.ts'
import { compileFileSets } from './file-set.ts'
import { buildManifests, parseManifest, type AssignedLayer, type BuiltManifest } from './manifest.ts'
import { mediaTypeFor } from './media-type.ts'
import { DEFAULT_PACKAGE_TYPE, packageType } from './name.ts'
import { buildPackageDocument, encodePackageDocument, parsePackageDocument, type PackageDocumentInput } from './package-document.ts'
import { comparePaths, parsePath } from './path.ts'

interface VectorFile {
  readonly path: string
  readonly text?: string
  readonly hex?: string
  readonly mediaType?: string
  readonly executable?: boolean
}
interface ExpectedManifest {
  readonly role: string
  readonly fileSets?: string
  readonly fileCount: number
  readonly fileBytes: number
  readonly length: number
  readonly digest: string
}
interface Vector {
  readonly description: string
  readonly input: {
    readonly type?: string
    readonly document?: PackageDocumentInput
    readonly files?: readonly VectorFile[]
    readonly numbered?: number
  }
  readonly expected: {
    readonly document: { readonly digest: string; readonly text: string }
    readonly manifests: readonly (ExpectedManifest & { readonly text?: string })[]
  }
}

const folder = new URL('../../docs/format/vectors/package-v1/', import.meta.url)
const names = globSync('package-*.json', { cwd: folder }).toSorted()

describe('the golden vectors of packages', () => {
  test('are all there', () => assert.equal(names.length, 8))

  for (const name of names) {
    test(`${name} gives its bytes and digests`, async () => {
      const { input, expected } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Vector
      const document = buildPackageDocument(input.document ?? {})
      const bytes = encodePackageDocument(document)
      assert.equal(Buffer.from(bytes).toString(), expected.document.text)
      assert.equal(digestOf(bytes), expected.document.digest)
      assert.deepEqual(parsePackageDocument(bytes), document)

      const built: BuiltManifest[] = []
      const manifests = buildManifests({
        artifactType: input.type === undefined ? DEFAULT_PACKAGE_TYPE : packageType(input.type),
        document: { bytes, digest: digestOf(bytes) },
        hasFileSets: document.fileSets !== undefined,
        files: pages(assignedFiles(input), 1000),
      })
      for await (const manifest of manifests) built.push(manifest)
      assert.deepEqual(
        built.map(factsOf),
        expected.manifests.map((manifest) => ({ ...manifest, text: undefined })),
      )
      for (const [position, { text }] of expected.manifests.entries()) {
        if (text !== undefined) assert.equal(Buffer.from(built[position]?.bytes ?? []).toString(), text)
      }
      for (const manifest of built) parseManifest(manifest.bytes)
    })
  }
})

function factsOf({ role, setKey, fileCount, size, bytes, digest }: BuiltManifest): ExpectedManifest & { readonly text: undefined } {
  return { text: undefined, role, ...(setKey === '' ? {} : { fileSets: setKey }), fileCount, fileBytes: size, length: bytes.byteLength, digest }
}

function assignedFiles({ document, files, numbered = 0 }: Vector['input']): readonly AssignedLayer[] {
  const keyOf = compileFileSets(document?.fileSets ?? [])
  return (files ?? Array.from({ length: numbered }, (_, index) => numberedFile(index)))
    .map(({ path, text = '', hex, mediaType, executable = false }) => {
      const parsed = parsePath(path)
      const content = hex === undefined ? Buffer.from(text) : Buffer.from(hex, 'hex')
      return {
        path: parsed,
        setKey: keyOf(parsed),
        digest: digestOf(content),
        size: content.length,
        mediaType: mediaTypeFor(parsed, mediaType),
        executable,
      }
    })
    .toSorted((left, right) => comparePaths(left.setKey, right.setKey) || comparePaths(left.path, right.path))
}

function numberedFile(index: number): VectorFile {
  const path = `d${String(index % 100).padStart(2, '0')}/f${String(index).padStart(6, '0')}.txt`
  return { path, text: path }
}

async function* pages(files: readonly AssignedLayer[], length: number): AsyncGenerator<readonly AssignedLayer[], void, undefined> {
  for (let start = 0; start < files.length; start += length) yield files.slice(start, start + length)
}
