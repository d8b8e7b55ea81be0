import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { EMPTY_DESCRIPTOR } from '../core/descriptor.ts'
import { digestOf, sha256Digest } from '../core/digest.ts'
import { DamagedError, ObjectMissingError, StoreError } from '../core/errors.ts'
import { parseManifest } from '../core/manifest.ts'
import { ENTRY_HEADER_BYTES } from '../data-plane/pack-format.ts'
import { openSqlite } from '../registry/sqlite.ts'
import { objectKind } from '../registry/tables.ts'
import { assertUsable } from '../testing/pusher.ts'
import type { OpenPackage, Store } from './interface.ts'
import { createStore, openStore } from './open.ts'
import { type RecoveryReport, recoverStore } from './recover.ts'
import { storeFiles } from './store-files.ts'

/** Damaged stores a run, of each kind; the nightly run asks for more. */
const RUNS = Number(process.env['ARTIFACT_STORE_DAMAGES'] ?? 15)

interface Stored {
  readonly request: OpenPackage
  readonly files: ReadonlyMap<string, Buffer>
}

/** Bytes that can be compressed, or for names that end in an odd digit cannot. */
function content(name: string, size: number): Buffer {
  const block = createHash('sha512').update(name).digest()
  if (!/[13579]$/.test(name)) return Buffer.alloc(size, block)
  return Buffer.concat(Array.from({ length: Math.ceil(size / 64) }, (_, index) => createHash('sha512').update(`${name} ${index}`).digest())).subarray(
    0,
    size,
  )
}

const LARGE = 2.3 * 1024 * 1024
const SOURCES: readonly Stored[] = [
  {
    request: { repository: 'many/small', runId: 'a', metadata: { kind: 'small' } },
    files: new Map(Array.from({ length: 30 }, (_, index) => [`d${index % 4}/f${index}`, content(`small ${index}`, (index * index * 37) % 9_000)])),
  },
  {
    request: {
      repository: 'sets',
      runId: 'b',
      fileSets: [
        { name: 'logs', match: ['**/*.log'], class: 'transient' },
        { name: 'reports', match: ['reports/**'], class: 'summary-evidence' },
      ],
    },
    files: new Map([
      ['raw/a.log', content('log a', 40_000)],
      ['raw/b.log', content('log b', LARGE)],
      ['reports/r.json', content('report', 900)],
      ['reports/r.log', content('report log', 1_200)],
      ['other', content('small 3', (9 * 37) % 9_000)],
    ]),
  },
  {
    request: { repository: 'large', runId: 'c' },
    files: new Map([
      ['large', content('large', LARGE)],
      ['shared.log', content('log b', LARGE)],
      ['small', content('small 7', (49 * 37) % 9_000)],
      ['empty', Buffer.alloc(0)],
    ]),
  },
]

let folder = ''
let origin = ''
let ids: readonly string[] = []
/** The manifests that the root of a package names. */
const children = new Map<string, readonly string[]>()
let copies = 0

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'damage-'))
  origin = join(folder, 'origin')
  await (await createStore(origin)).close()
  const pushed: string[] = []
  // A writer, and thereby a pack, for each.
  for (const source of SOURCES) {
    const store = await openStore(origin)
    const id = await push(store, source)
    await store.tags.set(source.request.repository, 'latest', id)
    const root = parseManifest((await store.packages.manifest(id)).bytes)
    children.set(id, root.kind === 'index' ? root.children.map(({ digest }) => digest) : [])
    pushed.push(id)
    await store.close()
  }
  ids = pushed
})
after(() => rmSync(folder, { recursive: true, force: true }))

async function push(store: Store, { request, files }: Stored): Promise<string> {
  const draft = await store.packages.open(request)
  for (const [path, bytes] of files) await draft.put(path, bytes)
  return (await draft.finalize()).id
}

async function pushAgain(store: Store, prefix: string): Promise<void> {
  for (const { request, files } of SOURCES) await push(store, { files, request: { ...request, repository: `${prefix}/${request.repository}` } })
}

/** What is done to an object. `at` and `length` are parts of its size. */
interface Damage {
  readonly object: number
  readonly kind: 'flip' | 'zero' | 'truncate' | 'remove'
  readonly at: number
  readonly length: number
}

/** Evenly spread; those of `fc.double` are nearly all next to 0 or 1. */
const fraction = fc.integer({ min: 0, max: 99_999 }).map((part) => part / 100_000)
const damage: fc.Arbitrary<Damage> = fc.record({
  object: fc.nat(1_000),
  kind: fc.constantFrom('flip', 'flip', 'zero', 'truncate', 'remove'),
  at: fraction,
  length: fraction.map((part) => part ** 4),
})

function apply(file: string, { kind, at, length }: Damage): void {
  if (!existsSync(file)) return
  const { size } = statSync(file)
  if (kind === 'remove') return rmSync(file)
  if (kind === 'truncate') return truncateSync(file, Math.floor(size * at))
  const bytes = readFileSync(file)
  const start = Math.floor(size * at)
  if (kind === 'zero') bytes.fill(0, start, Math.min(size, start + 1 + Math.floor(size * length)))
  else if (size > 0) bytes[start] = (bytes[start] ?? 0) ^ (1 + Math.floor(length * 254))
  writeFileSync(file, bytes)
}

/** A copy of the store with damaged objects. @returns its directory, and the keys that were damaged */
function damagedCopy(
  damages: readonly Damage[],
  isTarget: (key: string) => boolean,
): { readonly directory: string; readonly keys: ReadonlySet<string> } {
  copies += 1
  const directory = join(folder, `copy-${copies}`)
  cpSync(origin, directory, { recursive: true })
  const { objects } = storeFiles(directory)
  const targets = readdirSync(objects, { recursive: true, encoding: 'utf8' })
    .filter((key) => statSync(join(objects, key)).isFile() && isTarget(key))
    .toSorted()
  const keys = new Set<string>()
  for (const one of damages) {
    const key = targets[one.object % targets.length] ?? ''
    keys.add(key)
    apply(join(objects, key), one)
  }
  return { directory, keys }
}

interface ChunkRow {
  readonly digest: Uint8Array
  readonly key: string
  readonly kind: number
  readonly offset: number
  readonly stored_length: number
}

interface ManifestRow {
  readonly uuid: string
  readonly manifest: Uint8Array
  readonly document: Uint8Array
  readonly child: Uint8Array
  readonly set_key: string
}

/** What the registry of the undamaged store says. */
async function readRegistry(): Promise<{ readonly chunks: readonly ChunkRow[]; readonly manifests: readonly ManifestRow[] }> {
  const database = await openSqlite(storeFiles(origin).registry)
  const chunks = await database.reader.all({
    sql: 'select digest, key, objects.kind, offset, stored_length from chunks join objects on objects.id = chunks.object_id',
    parameters: [],
  })
  const manifests = await database.reader.all({
    sql: 'select uuid, manifest_digest as manifest, document_digest as document, digest as child, set_key from packages join package_children on package_id = id',
    parameters: [],
  })
  await database.close()
  return { chunks: chunks as readonly ChunkRow[], manifests: manifests as readonly ManifestRow[] }
}

/** Digests of which stored bytes are not what they were: with what stands in front of them in their pack, and the bytes alone. */
async function affectedDigests(directory: string): Promise<{ readonly stored: ReadonlySet<string>; readonly bytes: ReadonlySet<string> }> {
  const stored = new Set<string>()
  const bytes = new Set<string>()
  for (const { digest, key, kind, offset, stored_length: length } of (await readRegistry()).chunks) {
    const [was, is] = [origin, directory].map((root) => {
      const file = join(storeFiles(root).objects, key)
      return existsSync(file) ? readFileSync(file) : undefined
    })
    const differs = (start: number, end: number): boolean => is === undefined || was?.subarray(start, end).equals(is.subarray(start, end)) !== true
    const before = kind === objectKind.pack ? ENTRY_HEADER_BYTES : 0
    if (differs(offset - before, offset + length)) stored.add(sha256Digest(digest))
    if (length > 0 && differs(offset, offset + length)) bytes.add(sha256Digest(digest))
  }
  return { stored, bytes }
}

function setKeyOf(source: Stored, path: string): string {
  const { fileSets = [] } = source.request
  return fileSets
    .filter(({ name }) => (name === 'logs' ? path.endsWith('.log') : path.startsWith('reports/')))
    .map(({ name }) => name)
    .toSorted()
    .join(',')
}

/** The files of a package that its readable manifests name. */
function listedFiles(manifests: readonly ManifestRow[], unreadable: ReadonlySet<string>, id: string): readonly (readonly [string, Buffer])[] {
  const source = SOURCES[ids.indexOf(id)]
  assert.ok(source)
  const sets = new Set(manifests.filter(({ uuid, child }) => uuid === id && !unreadable.has(sha256Digest(child))).map((row) => row.set_key))
  return [...source.files].filter(([path]) => sets.has(setKeyOf(source, path)))
}

/** What the registry still knows of a set whose manifest cannot be read: its bytes, each once, not what they are called. */
function digestsOfSet(id: string, setKey: string): readonly string[] {
  const source = SOURCES[ids.indexOf(id)]
  assert.ok(source)
  return [...new Set([...source.files].filter(([path]) => setKeyOf(source, path) === setKey).map(([, file]) => digestOf(file)))]
}

/** What `verify` must name, by package and path or digest. */
async function expectedLines(directory: string): Promise<readonly string[]> {
  const { stored, bytes } = await affectedDigests(directory)
  const { manifests } = await readRegistry()
  return ids
    .flatMap((id) => {
      const rows = manifests.filter(({ uuid }) => uuid === id)
      const own = new Set<string>(rows.flatMap((row) => [row.manifest, row.document, row.child].map(sha256Digest)))
      const isRootReadable = rows.every(({ manifest }) => !bytes.has(sha256Digest(manifest)))
      for (const child of isRootReadable ? (children.get(id) ?? []) : []) own.add(child)
      const files = listedFiles(manifests, bytes, id).filter(([, file]) => stored.has(digestOf(file)))
      const hidden = rows
        .filter(({ child }) => bytes.has(sha256Digest(child)))
        .flatMap((row) => [
          ...digestsOfSet(id, row.set_key),
          // A child of an index has the empty config.
          ...(sha256Digest(row.manifest) === sha256Digest(row.child) ? [] : [EMPTY_DESCRIPTOR.digest]),
        ])
      const unnamed = hidden.filter((digest) => stored.has(digest) && !own.has(digest))
      return [
        ...[...[...own].filter((digest) => stored.has(digest)), ...unnamed].map((digest) => `${id} ${digest}`),
        ...files.map(([path]) => `${id} ${path}`),
      ]
    })
    .toSorted()
}

async function problemsOf(store: Store): Promise<readonly string[]> {
  const lines: string[] = []
  for await (const { packageId, path, digest, problem } of store.packages.verify('all')) {
    if (problem !== undefined) lines.push(`${packageId} ${path ?? digest}`)
  }
  return lines.toSorted()
}

async function readFully(store: Store, id: string, path: string): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(store.files.read(id, path)))
}

async function assertPackage(store: Store, id: string): Promise<void> {
  for (const [path, file] of SOURCES[ids.indexOf(id)]?.files ?? []) assert.ok((await readFully(store, id, path)).equals(file), `${id} ${path}`)
}

function recoverWithoutRegistry(directory: string): Promise<RecoveryReport> {
  const { registry } = storeFiles(directory)
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${registry}${suffix}`, { force: true })
  return recoverStore(directory)
}

function isDamage(error: unknown): boolean {
  return error instanceof DamagedError || error instanceof ObjectMissingError
}

const isContent = (key: string): boolean => !key.endsWith('/marker') && !key.includes('/log/')

describe('after objects were flipped, zeroed, cut or removed', () => {
  test(
    'verify names exactly what is affected, everything else is read, and storing the same bytes again heals all',
    { timeout: 600_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 4 }), async (damages) => {
          const { directory } = damagedCopy(damages, isContent)
          const store = await openStore(directory)
          try {
            assert.deepEqual(await problemsOf(store), await expectedLines(directory))
            const { bytes } = await affectedDigests(directory)
            const { manifests } = await readRegistry()
            for (const id of ids) {
              for (const [path, file] of listedFiles(manifests, bytes, id)) {
                if (bytes.has(digestOf(file))) await assert.rejects(readFully(store, id, path), isDamage)
                else assert.ok((await readFully(store, id, path)).equals(file), `${id} ${path}`)
              }
            }
            await pushAgain(store, 'again')
            // Behind a manifest that could not be read verify saw nothing until now.
            const hidden = manifests.some(({ manifest, child }) => bytes.has(sha256Digest(manifest)) || bytes.has(sha256Digest(child)))
            if (hidden && (await problemsOf(store)).length > 0) await pushAgain(store, 'and-again')
            assert.deepEqual(await problemsOf(store), [])
            for (const id of ids) await assertPackage(store, id)
            await store.close()
            // The damaged copies lie beside the good ones.
            await recoverWithoutRegistry(directory)
            const recovered = await openStore(directory)
            for (const id of ids) await assertPackage(recovered, id)
            assert.deepEqual(await problemsOf(recovered), [])
            await recovered.close()
          } finally {
            await store.close()
            rmSync(directory, { recursive: true })
          }
        }),
        { numRuns: RUNS },
      )
    },
  )

  test('recover invents nothing: each package existed, and each byte that can be read is what it was', { timeout: 600_000 }, async () => {
    const original = await openStore(origin)
    const { events } = await original.events.list({ limit: 1_000 })
    await original.close()
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 4 }), async (damages) => {
        const { directory, keys } = damagedCopy(damages, (key) => !key.endsWith('/marker'))
        const lost = await affectedDigests(directory)
        const report = await recoverWithoutRegistry(directory)
        assert.equal(report.head, events[report.completeTo - 1]?.hash ?? '0'.repeat(64))
        const store = await openStore(directory)
        try {
          const found = (await store.packages.search({}, { limit: 100 })).items
          for (const info of found) {
            const source = SOURCES[ids.indexOf(info.id)]
            assert.ok(source, `package ${info.id} never existed`)
            const event = events.find(({ type, data }) => type === 'package.finalized' && data['packageId'] === info.id)
            assert.deepEqual([info.repository, info.manifestDigest], [source.request.repository, event?.data['manifestDigest']])
            for (const [path, file] of source.files) {
              try {
                assert.ok((await readFully(store, info.id, path)).equals(file), `${info.id} ${path}`)
              } catch (error) {
                if (!(error instanceof StoreError)) throw error
              }
            }
            const expected = new Set(source.files.keys())
            try {
              for await (const { path } of store.files.list(info.id)) assert.ok(expected.has(path), `${info.id} never had ${path}`)
            } catch (error) {
              if (!isDamage(error)) throw error
            }
          }
          // What was not touched is all there.
          if (![...keys].some((key) => key.includes('/log/'))) assert.deepEqual(new Set(found.map(({ id }) => id)), new Set(ids))
          if (lost.stored.size === 0) for (const { id } of found) await assertPackage(store, id)
          await assertUsable(store)
        } finally {
          await store.close()
          rmSync(directory, { recursive: true })
        }
      }),
      { numRuns: RUNS },
    )
  })
})
