import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeCanonical } from '../core/canonical-json.ts'
import { digestOf } from '../core/digest.ts'
import type { AssignedLayer, BuiltManifest } from '../core/manifest.ts'
import { buildManifests, parseManifest } from '../core/manifest.ts'
import { parsePath } from '../core/path.ts'
import { partsOf } from './package-parts.ts'

async function root(files: readonly AssignedLayer[], hasFileSets: boolean): Promise<Uint8Array> {
  const bytes = encodeCanonical({ schemaVersion: 1 })
  const built: BuiltManifest[] = []
  async function* pages(): AsyncGenerator<readonly AssignedLayer[], void, undefined> {
    yield files
  }
  const input = { artifactType: 'application/vnd.example', document: { bytes, digest: digestOf(bytes) }, hasFileSets, files: pages() }
  for await (const manifest of buildManifests(input)) built.push(manifest)
  return built.at(-1)?.bytes ?? new Uint8Array()
}

function file(path: string, setKey: string, size: number): AssignedLayer {
  const digest = digestOf(Buffer.from(path))
  return { path: parsePath(path), digest, size, mediaType: 'text/plain', executable: false, setKey }
}

test('the parts of a package are its combinations of file sets, with counts and sizes', async () => {
  const bytes = await root([file('c', '', 1), file('a', 'raw,summary', 10), file('b', 'raw,summary', 20)], true)
  assert.deepEqual(
    partsOf(parseManifest(bytes)).toSorted((left, right) => left.size - right.size),
    [
      { fileSets: [], fileCount: 1, size: 1 },
      { fileSets: ['raw', 'summary'], fileCount: 2, size: 30 },
    ],
  )
})

test('a package without file sets has no parts', async () => {
  assert.deepEqual(partsOf(parseManifest(await root([file('a', '', 1)], false))), [])
})

test('the children of one large set are one part', async () => {
  const many = Array.from({ length: 30_000 }, (_, index) => file(`f/${index.toString().padStart(6, '0')}`, '', 1))
  const manifest = parseManifest(await root(many, false))
  assert.ok(manifest.kind === 'index' && manifest.children.length > 2)
  assert.deepEqual(partsOf(manifest), [{ fileSets: [], fileCount: 30_000, size: 30_000 }])
})
