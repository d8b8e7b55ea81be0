import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, linkSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import { AbortedError, InputInvalidError, TreeRefusedError } from '../core/errors.ts'
import type { EntryProblem } from '../core/errors.ts'
import { walkTree } from './local-tree.ts'
import type { LocalEntry, WalkTreeOptions } from './local-tree.ts'

function newTree(t: TestContext, files: readonly string[] = []): string {
  const root = mkdtempSync(join(tmpdir(), 'local-tree-'))
  t.after(() => rmSync(root, { recursive: true }))
  for (const path of files) addFile(root, path)
  return root
}

function addFile(root: string, path: string, content = ''): string {
  const absolute = `${root}/${path}`
  mkdirSync(dirname(absolute), { recursive: true })
  writeFileSync(absolute, content)
  return absolute
}

async function walk(root: string, options?: WalkTreeOptions): Promise<readonly LocalEntry[]> {
  return (await Array.fromAsync(walkTree(root, options))).flat()
}

async function pathsOf(root: string, options?: WalkTreeOptions): Promise<readonly string[]> {
  return (await walk(root, options)).map((entry) => entry.path)
}

async function problemsOf(root: string, options?: WalkTreeOptions): Promise<readonly EntryProblem[]> {
  try {
    await walk(root, options)
  } catch (error) {
    if (error instanceof TreeRefusedError) return error.problems
    throw error
  }
  return []
}

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

describe('the order', () => {
  test('is that of the bytes of whole paths, whatever stands beside a folder', async (t) => {
    const files = ['a/b', 'a-b', 'a0', 'a.b/c', 'a!', 'a/!', 'B', 'é', '\u{1f600}/x', '\ufffd', '\uffee', '\u{10000}', 'a\u0001', 'a b']
    const root = newTree(t, files)
    assert.deepEqual(await pathsOf(root), files.toSorted(byBytes))
  })

  test('places an empty folder where a file of its name would be', async (t) => {
    const root = newTree(t, ['a-b', 'a0', 'c/d'])
    for (const folder of ['a', 'c/e', 'c/e-', 'z']) mkdirSync(`${root}/${folder}`)
    const entries = await walk(root)
    assert.deepEqual(
      entries.map(({ kind, path }) => `${kind} ${path}`),
      ['directory a', 'file a-b', 'file a0', 'file c/d', 'directory c/e', 'directory c/e-', 'directory z'],
    )
  })

  test('is kept in every tree, and nothing is left out or told twice', async (t) => {
    const root = newTree(t)
    const name = fc.string({
      unit: fc.constantFrom('a', '-', '.', '0', '!', 'é', '\u{1f600}', '\uffee', 'e\u0301', '\n'),
      minLength: 1,
      maxLength: 3,
    })
    const path = fc.array(
      name.filter((text) => text !== '.' && text !== '..'),
      { minLength: 1, maxLength: 4 },
    )
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.array(path, { maxLength: 30 }), async (paths) => {
        const tree = join(root, String(run++))
        mkdirSync(tree)
        const files = new Set<string>()
        for (const components of paths) {
          const text = components.join('/')
          const isTaken = [...files].some((file) => file === text || file.startsWith(`${text}/`) || text.startsWith(`${file}/`))
          if (isTaken) continue
          addFile(tree, text)
          files.add(text)
        }
        assert.deepEqual(await pathsOf(tree), [...files].toSorted(byBytes))
      }),
      { numRuns: 60 },
    )
  })
})

describe('an entry', () => {
  test('of a file has what identifies it', async (t) => {
    const root = newTree(t)
    const absolute = addFile(root, 'sub/file', 'some bytes')
    utimesSync(absolute, 1_234_567_890.123, 1_234_567_890.123)
    const { ino, size, mtimeNs, ctimeNs } = lstatSync(absolute, { bigint: true })
    assert.deepEqual(await walk(root), [
      { kind: 'file', path: 'sub/file', absolute: `${root}/sub/file`, fingerprint: { ino, size, mtimeNs, ctimeNs }, executable: false },
    ])
  })

  test('is executable if its owner may execute it', async (t) => {
    const root = newTree(t)
    for (const [name, mode] of [
      ['owner', 0o700],
      ['all', 0o755],
      ['others', 0o655],
      ['none', 0o644],
    ] as const)
      chmodSync(addFile(root, name), mode)
    const executable = (await walk(root)).filter((entry) => entry.kind === 'file' && entry.executable)
    assert.deepEqual(
      executable.map(({ path }) => path),
      ['all', 'owner'],
    )
  })

  test('of a link inside the tree is the link, whether its target exists or not', async (t) => {
    const root = newTree(t, ['sub/file'])
    symlinkSync('file', `${root}/sub/link`)
    symlinkSync('../sub', `${root}/sub/up`)
    symlinkSync('missing', `${root}/dangling`)
    symlinkSync('sub', `${root}/folder`)
    assert.deepEqual(
      (await walk(root)).filter(({ kind }) => kind === 'symlink'),
      [
        { kind: 'symlink', path: 'dangling', target: 'missing' },
        { kind: 'symlink', path: 'folder', target: 'sub' },
        { kind: 'symlink', path: 'sub/link', target: 'file' },
        { kind: 'symlink', path: 'sub/up', target: '../sub' },
      ],
    )
  })

  test('of a file with several names is a file for each', async (t) => {
    const root = newTree(t, ['one'])
    linkSync(`${root}/one`, `${root}/two`)
    const [one, two] = await walk(root)
    assert.ok(one?.kind === 'file' && two?.kind === 'file')
    assert.equal(one.fingerprint.ino, two.fingerprint.ino)
  })

  test('of a sparse file has the length that a reader will see', async (t) => {
    const root = newTree(t, ['sparse'])
    truncateSync(`${root}/sparse`, 5_000_000_000)
    const [entry] = await walk(root)
    assert.ok(entry?.kind === 'file')
    assert.equal(entry.fingerprint.size, 5_000_000_000n)
  })
})

describe('awkward names', () => {
  test('are taken as they are: newlines, controls, twins, spaces, backslashes, 255 bytes', async (t) => {
    const long = `${'é'.repeat(127)}x`
    const files = [
      'new\nline',
      'tab\t',
      '\u0001',
      'bell\u0007/in\nside',
      'é',
      'e\u0301',
      ' ',
      'back\\slash',
      '-rf',
      '~',
      long,
      `d/${long}/${long}`,
      '\ufffd',
    ]
    const root = newTree(t, files)
    assert.deepEqual(await pathsOf(root), files.toSorted(byBytes))
  })

  test('that are not UTF-8 are refused, each with its bytes, beside others that are fine', async (t) => {
    const root = newTree(t, ['fine/\ufffd'])
    const bad = (path: string, byte: number): Buffer => Buffer.concat([Buffer.from(`${root}/${path}`), Buffer.of(byte)])
    writeFileSync(bad('fine/file', 0xff), '')
    mkdirSync(bad('folder', 0xc3))
    writeFileSync(bad('', 0x80), '')
    assert.deepEqual(await problemsOf(root), [
      { path: '\\x80', reason: 'is not valid UTF-8' },
      { path: 'fine/file\\xff', reason: 'is not valid UTF-8' },
      { path: 'folder\\xc3', reason: 'is not valid UTF-8' },
    ])
  })

  test('that make a path too long are refused, and nothing below is looked at', async (t) => {
    const root = newTree(t)
    // Made step by step: no system call takes so long a path at once.
    execFileSync('sh', ['-c', 'i=0; n=$(printf "%0200d" 0); while [ $i -lt 21 ]; do mkdir "$n" && cd -P "$n" || exit 1; i=$((i+1)); done; : > f'], {
      cwd: root,
    })
    t.after(() => execFileSync('rm', ['-rf', `${root}/${'0'.repeat(200)}`]))
    const problems = await problemsOf(root)
    assert.equal(problems.length, 1)
    assert.match(problems[0]?.reason ?? '', /longer than 4096 bytes|ENAMETOOLONG/)
  })
})

describe('what cannot be stored', () => {
  test('is refused all at once, after everything was walked', async (t) => {
    const root = newTree(t, ['fine', 'sub/fine', 'zz'])
    execFileSync('mkfifo', [`${root}/pipe`, `${root}/sub/pipe\n`])
    const server = createServer().listen(`${root}/socket`)
    await new Promise((resolve) => server.once('listening', resolve))
    t.after(() => server.close())
    symlinkSync('/etc/passwd', `${root}/absolute`)
    symlinkSync('../../outside', `${root}/sub/out`)
    symlinkSync(Buffer.of(0x61, 0xff), `${root}/bytes`)
    const seen: string[] = []
    let refusal: unknown
    try {
      for await (const entries of walkTree(root)) seen.push(...entries.map(({ path }) => path))
    } catch (error) {
      refusal = error
    }
    assert.deepEqual(seen, ['fine', 'sub/fine', 'zz'])
    assert.ok(refusal instanceof TreeRefusedError)
    assert.equal(refusal.detail['count'], 6)
    assert.deepEqual(refusal.problems, [
      { path: 'absolute', reason: 'has an absolute target: /etc/passwd' },
      { path: 'bytes', reason: 'has a target that is not valid UTF-8: a\\xff' },
      { path: 'pipe', reason: 'is a named pipe (FIFO)' },
      { path: 'socket', reason: 'is a socket' },
      { path: 'sub/out', reason: 'leads out of the tree: ../../outside' },
      { path: 'sub/pipe\\u{a}', reason: 'is a named pipe (FIFO)' },
    ])
  })

  test('includes devices', async (t) => {
    if (process.getuid?.() !== 0) return t.skip('only root can make a device')
    const root = newTree(t)
    execFileSync('mknod', [`${root}/null`, 'c', '1', '3'])
    assert.deepEqual(await problemsOf(root), [{ path: 'null', reason: 'is a device' }])
  })

  test('includes folders that cannot be listed, and files in them that cannot be looked at', async (t) => {
    const root = newTree(t, ['closed/file', 'blind/file', 'open'])
    chmodSync(root, 0o755)
    chmodSync(`${root}/closed`, 0)
    chmodSync(`${root}/blind`, 0o444)
    // Root may read everything: another user for the while.
    const isRoot = process.geteuid?.() === 0
    if (isRoot) process.seteuid?.(65_534)
    try {
      assert.deepEqual(await problemsOf(root), [
        { path: 'blind/file', reason: 'cannot be looked at (EACCES)' },
        { path: 'closed', reason: 'cannot be listed (EACCES)' },
      ])
    } finally {
      if (isRoot) process.seteuid?.(0)
      for (const name of ['closed', 'blind']) chmodSync(`${root}/${name}`, 0o700)
    }
  })

  test('is counted in full when it is too much to list', async (t) => {
    const root = newTree(t)
    for (let index = 0; index < 10_050; index += 1) symlinkSync('/', `${root}/${String(index)}`)
    await assert.rejects(
      walk(root),
      (error) => error instanceof TreeRefusedError && error.problems.length === 10_000 && error.detail['count'] === 10_050,
    )
  })

  test('is no problem where it is excluded', async (t) => {
    const root = newTree(t, ['keep'])
    execFileSync('mkfifo', [`${root}/pipe`])
    symlinkSync('/', `${root}/out`)
    assert.deepEqual(await pathsOf(root, { exclude: [(path) => path === 'pipe', (path) => path === 'out'] }), ['keep'])
  })
})

describe('exclusion', () => {
  test('of a folder leaves out what is below without looking at it', async (t) => {
    const root = newTree(t, ['a', 'skip/x', 'skip/deep/y', 'skipped'])
    const asked: string[] = []
    const exclude = [
      (path: string): boolean => {
        asked.push(path)
        return path === 'skip'
      },
    ]
    assert.deepEqual(await pathsOf(root, { exclude }), ['a', 'skipped'])
    assert.deepEqual(asked.toSorted(), ['a', 'skip', 'skipped'])
  })

  test('of all there is in a folder leaves the folder, empty', async (t) => {
    const root = newTree(t, ['logs/1', 'logs/2', 'a'])
    assert.deepEqual(
      (await walk(root, { exclude: [(path) => path.startsWith('logs/')] })).map(({ kind, path }) => `${kind} ${path}`),
      ['file a', 'directory logs'],
    )
  })
})

describe('the root', () => {
  test('may be a single file, which is named as it is', async (t) => {
    const root = newTree(t, ['report.json', 'other'])
    const [entry, ...more] = await walk(`${root}/report.json`)
    assert.deepEqual(more, [])
    assert.ok(entry?.kind === 'file')
    assert.equal(entry.path, 'report.json')
    assert.equal(entry.absolute, `${root}/report.json`)
  })

  test('may be a link, which is followed', async (t) => {
    const root = newTree(t, ['tree/a', 'tree/b'])
    symlinkSync('tree', `${root}/link`)
    symlinkSync('tree/a', `${root}/named`)
    assert.deepEqual(await pathsOf(`${root}/link`), ['a', 'b'])
    const [entry] = await walk(`${root}/named`)
    assert.ok(entry?.kind === 'file')
    assert.deepEqual([entry.path, entry.absolute], ['named', `${root}/tree/a`])
  })

  test('that is empty has no entries, one that is missing is an error, a pipe is refused', async (t) => {
    const root = newTree(t)
    assert.deepEqual(await walk(root), [])
    await assert.rejects(walk(`${root}/missing`), InputInvalidError)
    execFileSync('mkfifo', [`${root}/pipe`])
    assert.deepEqual(await problemsOf(`${root}/pipe`), [{ path: 'pipe', reason: 'is a named pipe (FIFO)' }])
  })
})

describe('a long walk', () => {
  test('comes in batches and lets others work in between', async (t) => {
    const root = newTree(t)
    for (let index = 0; index < 5_000; index += 1) addFile(root, `${String(index % 50)}/${String(index)}`)
    let turns = 0
    const timer = setInterval(() => (turns += 1), 0)
    const batches = await Array.fromAsync(walkTree(root))
    clearInterval(timer)
    assert.equal(batches.flat().length, 5_000)
    assert.ok(batches.length >= 5 && batches.every(({ length }) => length > 0 && length <= 1_000))
    assert.ok(turns > 0)
  })

  test('stops when its signal is aborted', async (t) => {
    const root = newTree(t)
    for (let index = 0; index < 3_000; index += 1) addFile(root, String(index))
    const controller = new AbortController()
    await assert.rejects(async () => {
      for await (const entries of walkTree(root, { signal: controller.signal })) {
        assert.ok(entries.length < 3_000)
        controller.abort()
      }
    }, AbortedError)
  })
})
