import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { digestOf } from '../core/digest.ts'
import { AbortedError, AlreadyExistsError, DamagedError, InputInvalidError, PathInvalidError, TreeRefusedError } from '../core/errors.ts'
import { makeAwkwardTree } from '../testing/awkward-tree.ts'
import { compareTrees } from '../testing/compare-trees.ts'
import type { FileInfo, PackageInfo, PutItem, ReadFile, Store } from './interface.ts'
import { createStore } from './open.ts'
import { pullTree, type PullSource } from './pull-tree.ts'
import { pushTree } from './push-tree.ts'

const scratch = mkdtempSync(join(tmpdir(), 'pull-tree-'))
const original = join(scratch, 'original')
let store: Store
let pkg: string
before(async () => {
  store = await createStore(join(scratch, 'store'))
  mkdirSync(original)
  makeAwkwardTree(original)
  pkg = await pushed(original)
})
after(async () => {
  await store.close()
  rmSync(scratch, { recursive: true })
})

let outputs = 0
const output = (): string => join(scratch, `output-${++outputs}`)

async function pushed(folder: string): Promise<string> {
  const draft = await store.packages.open({ repository: 'default/tree' })
  await pushTree(draft, folder)
  return (await draft.finalize()).id
}

async function packageOf(items: readonly PutItem[]): Promise<string> {
  const draft = await store.packages.open({ repository: 'default/items' })
  for await (const batch of draft.putMany(items)) for (const outcome of batch) assert.ok(!('error' in outcome))
  return (await draft.finalize()).id
}

const file = (path: string, content: string, executable = false): PutItem => ({ kind: 'file', path, source: Buffer.from(content), executable })

describe('pulling a package', () => {
  test('gives the very tree that was pushed', async () => {
    const folder = output()
    const report = await pullTree(store, pkg, folder)
    assert.deepEqual(await compareTrees(original, folder), [])
    assert.deepEqual({ ...report, bytes: 0 }, { files: 16, bytes: 0, symlinks: 5, directories: 1, kept: 0, missing: [] })
  })

  test('makes the folders above the output, and writes into one that holds other things', async () => {
    const folder = join(output(), 'below')
    const id = await packageOf([file('a/b', '1')])
    await pullTree(store, id, folder)
    writeFileSync(join(folder, 'a/other'), 'stays')
    await pullTree(store, await packageOf([file('a/c', '2')]), folder)
    assert.deepEqual(readdirSync(join(folder, 'a')), ['b', 'c', 'other'])
  })

  test('of a prefix gives what lies there, with whole paths', async () => {
    const folder = output()
    await pullTree(store, pkg, folder, { prefix: 'bin' })
    assert.deepEqual(readdirSync(folder, { recursive: true }), ['bin', 'bin/others', 'bin/run'])
  })

  test('gives modes that the umask allows', async () => {
    const id = await packageOf([file('plain', ''), file('run', '', true)])
    const folder = output()
    const usual = process.umask(0o027)
    try {
      await pullTree(store, id, folder)
    } finally {
      process.umask(usual)
    }
    assert.equal(statSync(join(folder, 'plain')).mode & 0o777, 0o640)
    assert.equal(statSync(join(folder, 'run')).mode & 0o777, 0o750)
  })

  test('tells how far it is, and where it ends', async () => {
    const seen: number[] = []
    await pullTree(store, pkg, output(), { onProgress: ({ files, totalFiles }) => seen.push(files / totalFiles) })
    assert.equal(seen.at(-1), 1)
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      seen,
    )
  })

  test('stops when it is told to, and goes on with overwrite', async () => {
    const folder = output()
    const stop = new AbortController()
    stop.abort()
    await assert.rejects(pullTree(store, pkg, folder, { signal: stop.signal }), AbortedError)
    writeFileSync(join(mkdirp(folder), 'plain.txt'), 'half')
    await pullTree(store, pkg, folder, { overwrite: true })
    assert.deepEqual(await compareTrees(original, folder), [])
  })
})

function mkdirp(folder: string): string {
  mkdirSync(folder, { recursive: true })
  return folder
}

describe('what is there already', () => {
  test('is not overwritten, and nothing is written beside it', async () => {
    const id = await packageOf([file('a', 'new'), file('b', 'new'), file('c/d', 'new'), { kind: 'symlink', path: 'e', target: 'a' }])
    const folder = output()
    mkdirSync(join(folder, 'c'), { recursive: true })
    for (const path of ['b', 'c/d', 'e']) writeFileSync(join(folder, path), 'old')
    await assert.rejects(pullTree(store, id, folder), (error) => {
      assert.ok(error instanceof AlreadyExistsError)
      assert.match(error.message, /"b" is there already \(and 2 more\); nothing was written/)
      return true
    })
    assert.deepEqual(readdirSync(folder), ['b', 'c', 'e'])
    assert.equal(readFileSync(join(folder, 'b'), 'utf8'), 'old')
  })

  test('is replaced with overwrite, links included, and other things are left', async () => {
    const large = 'l'.repeat(3 << 20)
    const id = await packageOf([file('a', 'new'), file('b', 'new', true), file('large', large), { kind: 'symlink', path: 'e', target: 'a' }])
    const folder = mkdirp(output())
    writeFileSync(join(folder, 'outside'), 'untouched')
    for (const path of ['a', 'e', 'other']) writeFileSync(join(folder, path), 'old')
    symlinkSync('outside', join(folder, 'b'))
    symlinkSync('outside', join(folder, 'large'))
    await pullTree(store, id, folder, { overwrite: true })
    assert.equal(readFileSync(join(folder, 'outside'), 'utf8'), 'untouched')
    assert.deepEqual(
      ['a', 'b', 'other'].map((path) => readFileSync(join(folder, path), 'utf8')),
      ['new', 'new', 'old'],
    )
    assert.ok(lstatSync(join(folder, 'b')).isFile())
    assert.ok(lstatSync(join(folder, 'large')).isFile())
    assert.equal(readlinkSync(join(folder, 'e')), 'a')
    assert.deepEqual(readdirSync(folder), ['a', 'b', 'e', 'large', 'other', 'outside'])
  })

  test('and is the same, is left alone with overwrite but for its mode', async () => {
    const id = await packageOf([file('same', 'same'), file('mode', 'x', true), file('other', 'new'), file('large', 'l'.repeat(3 << 20))])
    const folder = output()
    await pullTree(store, id, folder)
    const inodes = ['same', 'mode', 'large'].map((path) => lstatSync(join(folder, path)).ino)
    chmodSync(join(folder, 'mode'), 0o644)
    writeFileSync(join(folder, 'other'), 'old')
    const { files, kept } = await pullTree(store, id, folder, { overwrite: true })
    assert.deepEqual([files, kept], [4, 3])
    assert.deepEqual(
      ['same', 'mode', 'large'].map((path) => lstatSync(join(folder, path)).ino),
      inodes,
    )
    assert.equal(statSync(join(folder, 'mode')).mode & 0o100, 0o100)
    assert.equal(readFileSync(join(folder, 'other'), 'utf8'), 'new')
  })

  test('and differs only in its bytes, is replaced with overwrite', async () => {
    const id = await packageOf([file('small', 'new'), file('large', 'n'.repeat(3 << 20))])
    const folder = mkdirp(output())
    writeFileSync(join(folder, 'small'), 'old')
    writeFileSync(join(folder, 'large'), 'o'.repeat(3 << 20))
    assert.equal((await pullTree(store, id, folder, { overwrite: true })).kept, 0)
    assert.deepEqual(
      ['small', 'large'].map((path) => readFileSync(join(folder, path), 'utf8')[0]),
      ['n', 'n'],
    )
  })

  test('and is of another kind, is never replaced', async () => {
    const folder = output()
    mkdirSync(join(folder, 'directory'), { recursive: true })
    writeFileSync(join(folder, 'file'), 'old')
    symlinkSync(scratch, join(folder, 'link'))
    for (const [item, pattern] of [
      [file('directory', 'x'), /"directory" is there and is neither a file nor a link/],
      [file('file/below', 'x'), /"file\/below" lies below "file", which is there and is no directory/],
      [file('link/below', 'x'), /"link\/below" lies below "link", which is there and is no directory/],
      [{ kind: 'directory', path: 'link' }, /"link" is there and is no directory/],
      [{ kind: 'symlink', path: 'link/below', target: 'x' }, /lies below "link"/],
    ] as const) {
      await assert.rejects(pullTree(store, await packageOf([item]), folder, { overwrite: true }), pattern)
    }
    assert.equal(existsSync(join(scratch, 'below')), false)
  })

  test('may be the empty directories of the package', async () => {
    const folder = output()
    mkdirSync(join(folder, 'empty'), { recursive: true })
    await pullTree(store, await packageOf([{ kind: 'directory', path: 'empty' }]), folder)
  })
})

/** A package as a hostile server could describe it. */
function sourceOf(
  entries: readonly FileInfo[],
  contents: readonly ReadFile[] = entries.flatMap((entry) => (entry.kind === 'file' ? [{ file: entry, bytes: Buffer.from('x') }] : [])),
): PullSource {
  return {
    packages: { get: async () => (await store.packages.get(pkg)) satisfies PackageInfo },
    files: {
      async *list() {
        yield* entries
      },
      async *readMany() {
        yield* contents
      },
    },
  }
}

function hostile(path: string): Extract<FileInfo, { kind: 'file' }> {
  // Sound: this is what must not be believed.
  return {
    kind: 'file',
    path: path as FileInfo['path'],
    digest: digestOf(Buffer.from('x')),
    size: 1,
    mediaType: 'text/plain',
    executable: false,
    fileSets: [],
  }
}

function link(path: string, target: string): FileInfo {
  return { ...hostile(path), kind: 'symlink', target }
}

describe('a hostile package', () => {
  test('with paths that lead out is refused before anything is written', async () => {
    for (const path of ['../out', '/tmp/out', 'a/../../out', 'a//b', '.', '', 'a/.', 'a\0b']) {
      const folder = output()
      await assert.rejects(pullTree(sourceOf([hostile('good'), hostile(path)]), 'ref', folder), PathInvalidError)
      assert.equal(existsSync(folder), false)
    }
  })

  test('with links that lead out is refused before anything is written', async () => {
    for (const links of [[link('l', '/etc/passwd')], [link('l', '../out')], [link('a/l', '../../out')], [link('a', '.'), link('b/c', '../a/..')]]) {
      const folder = output()
      await assert.rejects(pullTree(sourceOf([hostile('good'), ...links]), 'ref', folder), TreeRefusedError)
      assert.equal(existsSync(folder), false)
    }
  })

  test('that sends other paths than it lists stays inside', async () => {
    const folder = output()
    await assert.rejects(
      pullTree(sourceOf([hostile('good')], [{ file: hostile('../out'), bytes: Buffer.from('x') }]), 'ref', folder),
      PathInvalidError,
    )
    assert.deepEqual(readdirSync(folder), [])
    assert.equal(existsSync(join(folder, '../out')), false)
  })

  test('cannot write through its own links', async () => {
    for (const entries of [
      [link('a', 'b'), hostile('a/x'), hostile('b/y')],
      [hostile('a/x'), link('a', 'b')],
      [link('a', 'b'), link('a/c', 'd')],
    ]) {
      const folder = output()
      await assert.rejects(pullTree(sourceOf(entries), 'ref', folder), AlreadyExistsError)
      await assert.rejects(pullTree(sourceOf(entries), 'ref', folder, { overwrite: true }))
      assert.equal(existsSync(join(folder, 'b/x')), false)
    }
  })

  test('cannot have two files of one path', async () => {
    await assert.rejects(pullTree(sourceOf([hostile('a'), hostile('a')]), 'ref', output()), AlreadyExistsError)
  })

  test('that sends less than it lists is noticed', async () => {
    await assert.rejects(
      pullTree(sourceOf([hostile('a'), hostile('b')], [{ file: hostile('a'), bytes: Buffer.from('x') }]), 'ref', output()),
      DamagedError,
    )
  })
})

test('a tag that moves during a pull makes no difference', async () => {
  const source = sourceOf([hostile('a')])
  const asked: string[] = []
  const watched: PullSource = {
    packages: source.packages,
    files: {
      list: (ref) => {
        asked.push(ref)
        return source.files.list(ref)
      },
      readMany: (ref) => {
        asked.push(ref)
        return source.files.readMany(ref)
      },
    },
  }
  await pullTree(watched, 'name:tag', output())
  assert.deepEqual(asked, [pkg, pkg])
})

test('a stop ends a pull from a source that does not listen', async () => {
  const stop = new AbortController()
  stop.abort()
  const folder = output()
  await assert.rejects(pullTree(sourceOf([hostile('a')]), 'ref', folder, { signal: stop.signal }), AbortedError)
  assert.equal(existsSync(folder), false)
})

describe('files that cannot be had', () => {
  const damaged = new DamagedError('the bytes are not what they were')
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('first')
    throw damaged
  }
  const contents: ReadFile[] = [
    { file: hostile('a'), error: damaged },
    { file: hostile('b'), bytes: Buffer.from('x') },
    { file: hostile('c'), stream: broken() },
  ]

  test('are reported, the others written, and no part of them is left', async () => {
    const folder = output()
    const report = await pullTree(
      sourceOf(
        contents.map(({ file: info }) => info),
        contents,
      ),
      'ref',
      folder,
    )
    assert.deepEqual(
      report.missing.map(({ path }) => path),
      ['a', 'c'],
    )
    assert.deepEqual(readdirSync(folder), ['b'])
  })

  test('end the pull when all are required', async () => {
    await assert.rejects(
      pullTree(
        sourceOf(
          contents.map(({ file: info }) => info),
          contents,
        ),
        'ref',
        output(),
        { requireComplete: true },
      ),
      DamagedError,
    )
  })
})

test('an output that cannot be written to is named', async () => {
  const folder = mkdirp(output())
  writeFileSync(join(folder, 'file'), '')
  await assert.rejects(pullTree(store, pkg, join(folder, 'file')), AlreadyExistsError)
  await assert.rejects(pullTree(store, pkg, join(folder, 'n'.repeat(300))), InputInvalidError)
})
