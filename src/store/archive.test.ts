import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { openMemoryBackend } from '../adapters/backend-memory/backend-memory.ts'
import { DamagedError } from '../core/errors.ts'
import type { AppendBackend } from '../ports/backend.ts'
import { readTar } from '../core/tar-reader.ts'
import { makeAwkwardTree } from '../testing/awkward-tree.ts'
import type { ArchiveRequest, Store } from './interface.ts'
import { createStore } from './open.ts'
import { pushTree } from './push-tree.ts'

/** The one name of the awkward tree that a zip archive cannot have. */
const BACKSLASHES = 'tab\tand\\backslash "quoted" \u0001'
const FORMATS = ['tar', 'tar.zst', 'zip'] as const
const scratch = mkdtempSync(join(tmpdir(), 'archive-'))
let store: Store
before(async () => {
  store = await createStore(join(scratch, 'store'))
})
after(async () => {
  await store.close()
  rmSync(scratch, { recursive: true })
})

async function archived(from: Store, id: string, format: ArchiveRequest['format']): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(from.files.archive(id, { format })))
}

async function* whole(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function sealed(into: Store, files: ReadonlyMap<string, Uint8Array>): Promise<string> {
  const draft = await into.packages.open({ repository: 'default/archive' })
  for (const [path, content] of files) await draft.put(path, content)
  return (await draft.finalize()).id
}

describe('an archive of a package', () => {
  test('has the files by set and path, then the links, then the empty directories', async () => {
    const fileSets = [
      { name: 'logs', match: ['**/*.log'], class: 'transient' },
      { name: 'all', match: ['z/**'], class: 'transient' },
    ]
    const draft = await store.packages.open({ repository: 'default/order', fileSets })
    for (const path of ['z/y', 'a.log', 'b', 'z/x.log', 'a']) await draft.put(path, Buffer.from(path))
    await Array.fromAsync(
      draft.putMany([
        { kind: 'symlink', path: 'a-link', target: 'b' },
        { kind: 'directory', path: 'hollow' },
      ]),
    )
    const { id } = await draft.finalize()
    const names = async (bytes: Buffer): Promise<string[]> => {
      const found: string[] = []
      for await (const { name } of readTar(whole(bytes))) found.push(Buffer.from(name).toString())
      return found
    }
    const listed = (await Array.fromAsync(store.files.list(id))).map(({ kind, path }) => (kind === 'directory' ? `${path}/` : path))
    assert.deepEqual(await names(await archived(store, id, 'tar')), listed)
    assert.deepEqual(listed.toSorted(), ['a', 'a-link', 'a.log', 'b', 'hollow/', 'z/x.log', 'z/y'])
    assert.deepEqual(listed.slice(-2), ['a-link', 'hollow/'])
  })

  test('is the same in every store, however the files came there and lie there', async () => {
    const contents = new Map<string, Buffer>(
      Array.from({ length: 700 }, (_, index) => [`f${index % 7}/${index}`, Buffer.alloc(index * 11, `${index} `)] as const),
    )
    contents.set('large', Buffer.alloc(5_000_000, 'large '))
    contents.set('just held', Buffer.alloc(2 * 1024 * 1024, 'held '))
    const other = await createStore(join(scratch, 'other'))
    try {
      const id = await sealed(store, contents)
      const twin = await sealed(other, new Map([...contents].toReversed()))
      for (const format of FORMATS) assert.ok((await archived(store, id, format)).equals(await archived(other, twin, format)), format)
    } finally {
      await other.close()
    }
  })

  test('has the bytes that earlier releases gave it', async () => {
    const folder = join(scratch, 'awkward')
    mkdirSync(folder)
    makeAwkwardTree(folder)
    rmSync(join(folder, BACKSLASHES))
    const draft = await store.packages.open({ repository: 'default/awkward' })
    await pushTree(draft, folder)
    const { id } = await draft.finalize()
    const digests = await Promise.all(
      (['tar', 'zip'] as const).map(async (format) =>
        createHash('sha256')
          .update(await archived(store, id, format))
          .digest('hex'),
      ),
    )
    // tar.zst is left out: what is inside is this tar, but another release of zstd may compress it in another way.
    assert.deepEqual(digests, [
      'c0b4f5a7474626298677f03621280b198b0b474d97be43aa910c09fdd5058455',
      'cf49ad79470247dd145546697599982f773c69675851ac2e9cf347f7d2c18f06',
    ])
  })

  const content = fc.oneof(
    { weight: 8, arbitrary: fc.uint8Array({ maxLength: 2_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 2 * 1024 * 1024 - 1, max: 2 * 1024 * 1024 + 70_000 }).map((size) => Buffer.alloc(size, `${size} `)) },
  )
  const tree = fc.dictionary(fc.stringMatching(/^[a-zé\u{1f600} -]{1,12}$/u), content, { maxKeys: 8 })
  test('comes back as the same package, whatever is in it', async () => {
    await fc.assert(
      fc.asyncProperty(tree, fc.constantFrom(...FORMATS), async (files, format) => {
        const id = await sealed(store, new Map(Object.entries(files)))
        const draft = await store.packages.open({ repository: 'default/back' })
        await draft.putArchive(whole(await archived(store, id, format)))
        assert.equal((await draft.finalize()).manifestDigest, (await store.packages.get(id)).manifestDigest)
      }),
      { numRuns: 25 },
    )
  })
})

/** A backend that counts what is read from it. */
function counted(inner: AppendBackend): { readonly backend: AppendBackend; readonly read: () => number } {
  let read = 0
  const get: AppendBackend['get'] = async function* (key, range) {
    for await (const piece of inner.get(key, range)) {
      read += piece.length
      yield piece
    }
  }
  const backend: AppendBackend = {
    capabilities: inner.capabilities,
    get,
    put: (...given) => inner.put(...given),
    head: (key) => inner.head(key),
    delete: (key) => inner.delete(key),
    list: (...given) => inner.list(...given),
    createAppender: (key) => inner.createAppender(key),
    close: () => inner.close(),
  }
  return { backend, read: () => read }
}

test('an archive is read no further ahead than a few batches of whoever takes it, and not at all once it is left', async () => {
  const { backend, read } = counted(openMemoryBackend())
  const slow = await createStore(join(scratch, 'slow'), { backend })
  try {
    const id = await sealed(
      slow,
      new Map(
        Array.from({ length: 60 }, (_, index) => [`f${index}`, createHash('shake256', { outputLength: 1_500_000 }).update(`${index}`).digest()]),
      ),
    )
    for (const format of FORMATS) {
      const before = read()
      let taken = 0
      for await (const piece of slow.files.archive(id, { format })) {
        taken += piece.length
        const ahead = read() - before - taken
        assert.ok(ahead <= 40 * 1024 * 1024, `${format}: ${ahead} bytes ahead`)
        if (taken > 10_000_000) break
      }
      const left = read()
      assert.ok(left - before < 60_000_000, `${format}: everything was read`)
      await new Promise((resolve) => setImmediate(resolve))
      assert.equal(read(), left)
    }
  } finally {
    await slow.close()
  }
})

describe('damage ends an archive before its end', () => {
  /** Every byte that lies in a pack or an object is changed, behind a store's back. */
  function spoil(directory: string, choose: (content: Buffer) => number): void {
    for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const place = join(entry.parentPath, entry.name)
      const content = readFileSync(place)
      const at = choose(content)
      if (at < 0) continue
      content[at] = (content[at] ?? 0) ^ 0xff
      writeFileSync(place, content)
    }
  }

  for (const [what, size] of [
    ['a small file', 60_000],
    ['a large file', 6_000_000],
  ] as const) {
    for (const format of FORMATS) {
      test(`${what} in ${format}`, async () => {
        const directory = join(scratch, `damaged-${size}-${format}`)
        const damaged = await createStore(directory)
        try {
          const mark = createHash('shake256', { outputLength: size }).update(format).digest()
          const id = await sealed(
            damaged,
            new Map([
              ['a', Buffer.from('before')],
              ['m', mark],
              ['z', Buffer.from('behind')],
            ]),
          )
          const intact = await archived(damaged, id, format)
          spoil(join(directory, 'objects'), (content) => content.indexOf(mark.subarray(size - 5_000, size - 4_900)))
          const pieces: Uint8Array[] = []
          const error = await (async () => {
            for await (const piece of damaged.files.archive(id, { format })) pieces.push(piece)
          })().then(
            () => assert.fail('the archive came to its end'),
            (reason: unknown) => reason,
          )
          assert.ok(error instanceof DamagedError, String(error))
          const given = Buffer.concat(pieces)
          assert.ok(given.length < intact.length)
          if (format !== 'tar.zst') assert.ok(given.equals(intact.subarray(0, given.length)), 'wrong bytes were given')
        } finally {
          await damaged.close()
        }
      })
    }
  }
})
