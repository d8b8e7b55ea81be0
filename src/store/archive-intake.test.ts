import assert from 'node:assert/strict'
import { createReadStream, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { AbortedError, InputInvalidError, LimitExceededError, StorageFullError, TreeRefusedError } from '../core/errors.ts'
import type { EntryProblem } from '../core/errors.ts'
import { makeAwkwardTree, makeShortTree } from '../testing/awkward-tree.ts'
import { tarArchive, tarEntry, type TarParts } from '../testing/tar-archive.ts'
import { zipArchive } from '../testing/zip-archive.ts'
import type { Draft, FileInfo, Store } from './interface.ts'
import { createStore } from './open.ts'
import { walkTree } from './local-tree.ts'
import { type ArchiveTarget, takeArchive } from './archive-intake.ts'
import type { ArchiveReading } from './archive-source.ts'
import { pushTree } from './push-tree.ts'

const scratch = mkdtempSync(join(tmpdir(), 'archive-intake-'))
const vectors = new URL('vectors/', import.meta.url)
let store: Store
before(async () => {
  store = await createStore(join(scratch, 'store'))
})
after(async () => {
  await store.close()
  rmSync(scratch, { recursive: true })
})

const take = (target: ArchiveTarget, source: AsyncIterable<Uint8Array>, options: Partial<ArchiveReading> = {}): Promise<unknown> =>
  takeArchive(target, source, { spoolFolder: join(scratch, 'spool'), ...options })

const open = (): Promise<Draft> => store.packages.open({ repository: 'default/tar' })

async function* pieces(bytes: Uint8Array, pieceBytes = 10_000): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += pieceBytes) yield bytes.subarray(start, start + pieceBytes)
}

/** Digest of the package that an archive becomes. */
async function digestOf(source: AsyncIterable<Uint8Array>): Promise<string> {
  const draft = await open()
  await take(draft, source)
  return (await draft.finalize()).manifestDigest
}

async function entriesOf(entries: readonly TarParts[]): Promise<FileInfo[]> {
  const draft = await open()
  await take(draft, pieces(tarArchive(entries)))
  return Array.fromAsync(store.files.list((await draft.finalize()).id))
}

async function problemsOf(entries: readonly TarParts[]): Promise<readonly EntryProblem[]> {
  const draft = await open()
  try {
    await take(draft, pieces(tarArchive(entries)))
  } catch (error) {
    if (error instanceof TreeRefusedError) return error.problems
    throw error
  } finally {
    await draft.abort()
  }
  return []
}

async function failureOf(source: AsyncIterable<Uint8Array>, options: Partial<ArchiveReading> = {}): Promise<unknown> {
  const draft = await open()
  try {
    await take(draft, source, options)
    return undefined
  } catch (error) {
    return error
  } finally {
    await draft.abort()
  }
}

describe('one tree, one digest', () => {
  const digests = new Map<string, string>()
  before(async () => {
    for (const [name, make] of [
      ['awkward', makeAwkwardTree],
      ['short', makeShortTree],
    ] as const) {
      const folder = join(scratch, name)
      mkdirSync(folder)
      make(folder)
      const draft = await open()
      await pushTree(draft, folder)
      digests.set(name, (await draft.finalize()).manifestDigest)
    }
  })

  for (const file of globSync('{tar,zip}/*.{tar.*,zip}', { cwd: vectors }).toSorted()) {
    test(`by folder and by ${file}`, async () => {
      assert.equal(await digestOf(createReadStream(new URL(file, vectors))), digests.get(basename(file).split('-')[0] ?? ''))
    })
  }

  test('by folder and by single puts', async () => {
    const folder = join(scratch, 'awkward')
    const draft = await open()
    for await (const entries of walkTree(folder)) {
      for (const entry of entries) {
        if (entry.kind === 'file') await draft.put(entry.path, readFileSync(entry.absolute), { executable: entry.executable })
        else await settle(draft.putMany([entry]))
      }
    }
    assert.equal((await draft.finalize()).manifestDigest, digests.get('awkward'))
  })
})

async function settle(outcomes: AsyncIterable<readonly object[]>): Promise<void> {
  for await (const batch of outcomes) for (const outcome of batch) assert.ok(!('error' in outcome))
}

describe('entries', () => {
  test('drop the ./ in front of their names, and the top of the tree is none', async () => {
    const read = await entriesOf([
      { name: './', type: '5' },
      { name: '.', type: '5' },
      { name: './a', content: '1' },
      { name: '././b/c', content: '2' },
    ])
    assert.deepEqual(
      read.map(({ path }) => path),
      ['a', 'b/c'],
    )
  })

  test('are executable if their owner may execute them', async () => {
    const read = await entriesOf([
      { name: 'a', mode: 0o700 },
      { name: 'b', mode: 0o677 },
      { name: 'c', mode: 0o4755 },
    ])
    assert.deepEqual(
      read.map((entry) => entry.kind === 'file' && entry.executable),
      [true, false, true],
    )
  })

  test('that are hard links become files with the content and mode of what they lead to', async () => {
    const read = await entriesOf([
      { name: 'large', content: Buffer.alloc(3 << 20, 'x'), mode: 0o755 },
      { name: 'one', type: '1', linkName: './large' },
      { name: './two.json', type: '1', linkName: 'one' },
      { name: 'small', content: 's' },
      { name: 'three', type: '1', linkName: 'small' },
      { name: 'small', type: '1', linkName: 'small' },
      { name: 'link', type: '2', linkName: 'small' },
      { name: 'link', type: '1', linkName: 'link' },
    ])
    const files = read.flatMap((entry) => (entry.kind === 'file' ? [entry] : []))
    const [large, one, small, three, two] = files
    assert.equal(files.length, 5)
    assert.deepEqual([one?.digest, one?.size, one?.executable], [large?.digest, 3 << 20, true])
    assert.deepEqual([two?.digest, two?.executable, two?.mediaType], [large?.digest, true, 'application/json'])
    assert.deepEqual([three?.digest, three?.executable], [small?.digest, false])
  })

  test('that are hard links to links become links', async () => {
    const read = await entriesOf([
      { name: 'a/link', type: '2', linkName: '../target' },
      { name: 'b/same', type: '1', linkName: 'a/link' },
    ])
    assert.deepEqual(read, [
      { kind: 'symlink', path: 'a/link', target: '../target' },
      { kind: 'symlink', path: 'b/same', target: '../target' },
    ])
  })

  test('that are directories are kept where they are empty, and may be repeated', async () => {
    const read = await entriesOf([
      { name: 'a/', type: '5' },
      { name: 'a/b', content: 'x' },
      { name: 'c/', type: '5' },
      { name: 'c/', type: '5' },
      { name: 'd/e/', type: '5' },
    ])
    assert.deepEqual(
      read.map(({ kind, path }) => [kind, path]),
      [
        ['file', 'a/b'],
        ['directory', 'c'],
        ['directory', 'd/e'],
      ],
    )
  })

  test('of every size are kept whole', async () => {
    const sizes = [0, 1, 511, 512, 513, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 5_000_000]
    const draft = await open()
    await take(draft, pieces(tarArchive(sizes.map((size) => ({ name: `f${size}`, content: Buffer.alloc(size, `${size} `) }))), 77_777))
    const { id } = await draft.finalize()
    for (const size of sizes) {
      const read = Buffer.concat(await Array.fromAsync(store.files.read(id, `f${size}`)))
      assert.ok(read.equals(Buffer.alloc(size, `${size} `)), `${size}`)
    }
  })
})

describe('what is refused', () => {
  const refused: readonly (readonly [TarParts, RegExp])[] = [
    [{ name: '../up' }, /component "\.\."/],
    [{ name: 'a/../../up' }, /component "\.\."/],
    [{ name: '/absolute' }, /absolute/],
    [{ name: './/absolute' }, /absolute/],
    [{ name: 'a//b' }, /empty component/],
    [{ name: 'a/./b' }, /component "\."/],
    [{ name: '' }, /empty/],
    [{ name: '.' }, /component "\."/],
    [{ name: Buffer.from([0x66, 0xff, 0x66]) }, /not valid UTF-8/],
    [{ name: 'x', pax: { path: Buffer.from([0x66, 0xc3, 0x28]) } }, /not valid UTF-8/],
    [{ name: 'x', pax: { path: 'nul\0nul' } }, /NUL/],
    [{ name: 'x', pax: { path: 'n'.repeat(256) } }, /longer than 255 bytes/],
    [{ name: 'x', pax: { path: `${'n/'.repeat(2048)}n` } }, /longer than 4096 bytes/],
    [{ name: 'l1', type: '2', linkName: '/etc/passwd' }, /absolute target/],
    [{ name: 'l2', type: '2', linkName: '../out' }, /leads out/],
    [{ name: 'd/l3', type: '2', linkName: '../../out' }, /leads out/],
    [{ name: 'l4', type: '2', linkName: '' }, /empty target/],
    [{ name: 'l5', type: '2', linkName: Buffer.from([0xff]) }, /not valid UTF-8/],
    [{ name: 'h1', type: '1', linkName: 'nothing' }, /hard link to "nothing", which is no file before it/],
    [{ name: 'h3', type: '1', linkName: 'deep/link' }, /leads out/],
    [{ name: 'h2', type: '1', linkName: '../../etc/passwd' }, /component "\.\."/],
    [{ name: 'null', type: '3' }, /character device/],
    [{ name: 'disk', type: '4' }, /block device/],
    [{ name: 'pipe', type: '6' }, /FIFO/],
    [{ name: 'odd', type: 'Z' }, /unknown type "Z"/],
    [{ name: 'twice', content: '2' }, /appears twice/],
    [{ name: 'e\u0301' }, /is the same name as ".*" after Unicode normalisation/],
    [{ name: 'twice/below' }, /lies below "twice", which is a file/],
    [{ name: 'self', type: '2', linkName: '.' }, /^$/],
    [{ name: 'd/climb', type: '2', linkName: '../self/..' }, /goes up \("\.\."\) behind another link/],
  ]
  const accepted: TarParts[] = [{ name: 'deep/link', type: '2', linkName: '../twice' }, { name: 'twice', content: '1' }, { name: '\u00e9' }]

  test('is named, all of it at once', async () => {
    const problems = await problemsOf([...accepted, ...refused.map(([entry]) => entry)])
    const expected = refused.filter(([{ name }]) => name !== 'self')
    assert.equal(problems.length, expected.length, problems.map(({ path, reason }) => `${path}: ${reason}`).join('\n'))
    for (const [, pattern] of expected)
      assert.ok(
        problems.some(({ reason }) => pattern.test(reason)),
        String(pattern),
      )
  })

  for (const [entry, pattern] of refused.filter(([{ name }]) => !['self', 'd/climb'].includes(String(name)))) {
    test(`by itself: ${JSON.stringify(String(entry.pax?.['path'] ?? entry.name).slice(0, 20))} ${entry.type ?? ''}${String(entry.linkName ?? '')}`, async () => {
      const [problem, ...more] = await problemsOf([...accepted, entry])
      assert.match(problem?.reason ?? 'none', pattern)
      assert.deepEqual(more, [])
    })
  }

  test('keeps everything behind it from being sent', async () => {
    const draft = await open()
    const sent: string[] = []
    const watched: ArchiveTarget = {
      put: (path, source, options) => {
        sent.push(path)
        return draft.put(path, source, options)
      },
      putMany: (items, options) => draft.putMany(items, options),
      attach: (files) => draft.attach(files),
    }
    const archive = tarArchive([{ name: '../up' }, { name: 'large', content: Buffer.alloc(3 << 20) }, { name: 'small' }])
    await assert.rejects(take(watched, pieces(archive)), TreeRefusedError)
    await draft.finalize().then(({ fileCount }) => assert.equal(fileCount, 0))
    assert.deepEqual(sent, [])
  })
})

describe('archives that are damaged', () => {
  const archive = tarArchive([
    { name: 'a', content: 'a'.repeat(700) },
    { name: 'b/c', content: 'c', mode: 0o755 },
    { name: 'd', type: '2', linkName: 'a' },
  ])

  test('in plain, gzip and zstd give one digest', async () => {
    const plain = await digestOf(pieces(archive))
    assert.equal(await digestOf(pieces(gzipSync(archive))), plain)
    assert.equal(await digestOf(pieces(Buffer.concat([gzipSync(archive.subarray(0, 100)), gzipSync(archive.subarray(100))]))), plain)
    assert.equal(await digestOf(pieces(zstdCompressSync(archive))), plain)
    assert.equal(await digestOf(pieces(Buffer.concat([zstdCompressSync(archive.subarray(0, 100)), zstdCompressSync(archive.subarray(100))]))), plain)
    assert.equal(await digestOf(pieces(gzipSync(archive), 1)), plain)
  })

  test('are refused wherever they are cut off', async () => {
    for (const bytes of [archive.subarray(0, -1024), gzipSync(archive), zstdCompressSync(archive)]) {
      for (let length = 0; length < bytes.length; length += Math.ceil(bytes.length / 40)) {
        const error = await failureOf(pieces(bytes.subarray(0, length)))
        assert.ok(error instanceof InputInvalidError, `${length} of ${bytes.length}: ${String(error)}`)
        assert.match(error.message, /cut off/)
      }
    }
  })

  test('are refused when they end within a large file', async () => {
    const large = tarArchive([{ name: 'small' }, { name: 'large', content: Buffer.alloc(5 << 20, 'x') }])
    const error = await failureOf(pieces(large.subarray(0, 4 << 20)))
    assert.ok(error instanceof InputInvalidError, String(error))
    assert.match(error.message, /cut off after 4194304 bytes/)
  })

  test('are told about, whatever the store makes of a source that fails', async () => {
    const cut = tarArchive([{ name: 'large', content: Buffer.alloc(5 << 20, 'x') }]).subarray(0, 4 << 20)
    const inOwnWords: ArchiveTarget = {
      put: async (_path, source) => {
        try {
          if (Symbol.asyncIterator in source) await Array.fromAsync(source)
        } catch (cause) {
          throw new StorageFullError('something went wrong', { cause })
        }
        throw new StorageFullError('the source ended')
      },
      async *putMany(items) {
        try {
          yield (await Array.fromAsync(items)).map((_, index) => ({ index, size: 0, reused: false }))
        } catch (cause) {
          throw new StorageFullError('something went wrong', { cause })
        }
      },
      attach: () => Promise.reject(new StorageFullError('not asked for')),
    }
    await assert.rejects(take(inOwnWords, pieces(cut)), /cut off after 4194304 bytes/)
  })

  test('are told apart from a source that fails', async () => {
    for (const bytes of [archive, gzipSync(archive)]) {
      const failing = async function* (): AsyncGenerator<Uint8Array> {
        yield bytes.subarray(0, 200)
        throw new Error('the cable was pulled')
      }
      assert.match(String(await failureOf(failing())), /the cable was pulled/)
    }
  })

  test('or no archives are refused, and known formats named', async () => {
    assert.match(String(await failureOf(pieces(Buffer.from('text '.repeat(200))))), /this is no tar archive/)
    assert.match(String(await failureOf(pieces(Buffer.from('short')))), /cut off after 5 bytes/)
    assert.match(String(await failureOf(pieces(Buffer.concat([Buffer.from('BZh9'), Buffer.alloc(600)])))), /format bzip2, which is not read/)
  })
})

describe('bounds', () => {
  const limits = { expandedBytes: 1 << 20, expansion: 10 }

  test('hold against archives that grow without end', async () => {
    const bomb = tarArchive([{ name: 'zeros', content: Buffer.alloc(64 << 20) }])
    for (const packed of [gzipSync(bomb), zstdCompressSync(bomb)])
      assert.ok((await failureOf(pieces(packed), { limits })) instanceof LimitExceededError)
    assert.equal(await failureOf(pieces(gzipSync(bomb)), { limits: { ...limits, expansion: 2_000 } }), undefined)
  })

  test('hold where the content is only passed over', async () => {
    const bomb = tarArchive([{ name: '../refused' }, { name: 'zeros', content: Buffer.alloc(64 << 20) }])
    assert.ok((await failureOf(pieces(gzipSync(bomb)), { limits })) instanceof LimitExceededError)
  })

  test('hold against sparse files without end', async () => {
    const pax = { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': String(2 ** 50) }
    const bomb = tarArchive([{ name: 'sparse', content: Buffer.from('0\n'.padEnd(512, '\0')), pax }])
    assert.ok((await failureOf(pieces(bomb), { limits })) instanceof LimitExceededError)
  })

  test('hold against many entries', async () => {
    const many = tarArchive(Array.from({ length: 11 }, (_, index) => ({ name: `${index}` })))
    assert.ok((await failureOf(pieces(many), { limits: { entries: 10 } })) instanceof LimitExceededError)
    assert.equal(await failureOf(pieces(many), { limits: { entries: 11 } }), undefined)
  })

  test('hold against long names, and content without end', async () => {
    const names = tarArchive(Array.from({ length: 20 }, (_, index) => ({ name: `${'n'.repeat(90)}${index}` })))
    assert.match(String(await failureOf(pieces(names), { limits: { nameBytes: 1_800 } })), /names in the archive are longer than 1800 bytes/)
    assert.equal(await failureOf(pieces(names), { limits: { nameBytes: 2_000 } }), undefined)
    const zip = zipArchive([{ name: 'a', content: Buffer.alloc(10_000), method: 0 }])
    assert.match(String(await failureOf(pieces(zip), { limits: { spooledBytes: zip.length - 1 } })), /a zip archive has at most/)
    assert.equal(await failureOf(pieces(zip), { limits: { spooledBytes: zip.length } }), undefined)
    const content = [{ name: 'a', content: Buffer.alloc(10_000) }]
    for (const archive of [tarArchive(content), zipArchive(content)]) {
      assert.ok((await failureOf(pieces(archive), { limits: { contentBytes: 9_999 } })) instanceof LimitExceededError)
      assert.equal(await failureOf(pieces(archive), { limits: { contentBytes: 10_000 } }), undefined)
    }
  })

  test('let an archive through that does not shrink, whatever its size', async () => {
    assert.equal(
      await failureOf(pieces(tarArchive([{ name: 'a', content: Buffer.alloc(4 << 20) }])), { limits: { expandedBytes: 0, expansion: 1 } }),
      undefined,
    )
  })

  test('keep what is read ahead of a slow store small', async () => {
    let produced = 0
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      yield tarEntry({ name: 'large', size: 2 ** 32 })
      for (;;) {
        produced += 1 << 20
        yield Buffer.alloc(1 << 20)
      }
    }
    const draft = await open()
    let ahead = 0
    const slow: ArchiveTarget = {
      put: async (_path, source) => {
        let consumed = 0
        if (Symbol.asyncIterator in source) {
          for await (const piece of source) {
            consumed += piece.length
            ahead = Math.max(ahead, produced - consumed)
            if (consumed >= 64 << 20) break
          }
        }
        throw new StorageFullError('enough')
      },
      putMany: (items, options) => draft.putMany(items, options),
      attach: (files) => draft.attach(files),
    }
    await assert.rejects(take(slow, endless(), { limits: { expandedBytes: 100 << 20 } }), StorageFullError)
    assert.ok(ahead <= 2 << 20, `${ahead} bytes`)
    await draft.abort()
  })

  test('a stop ends the push even while the source is silent', async () => {
    const stop = new AbortController()
    const silent = async function* (): AsyncGenerator<Uint8Array> {
      yield tarEntry({ name: 'a' })
      stop.abort()
      await new Promise(() => {})
    }
    assert.ok((await failureOf(silent(), { signal: stop.signal })) instanceof AbortedError)
  })
})
