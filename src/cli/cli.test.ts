import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { pack } from 'tar-stream'
import { digestOf } from '../core/digest.ts'
import { openStore } from '../store/open.ts'
import { runCli } from './cli.ts'

let directory = ''
let tree = ''
let home = ''

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cli-'))
  tree = join(directory, 'tree')
  home = join(directory, 'store')
  await mkdir(join(tree, 'sub'), { recursive: true })
  await mkdir(join(tree, 'empty'))
  await writeFile(join(tree, 'a.txt'), 'hello\n')
  await writeFile(join(tree, 'sub/run.sh'), '#!/bin/sh\n')
  await chmod(join(tree, 'sub/run.sh'), 0o755)
  await writeFile(join(tree, 'line\nbreak'), 'x')
  await symlink('sub/run.sh', join(tree, 'link'))
  assert.equal((await cli('init')).code, 0)
})
after(() => rm(directory, { recursive: true }))

interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

class Collector extends Writable {
  readonly pieces: Buffer[] = []

  override _write(piece: Buffer, _encoding: string, done: () => void): void {
    this.pieces.push(piece)
    this.emit('piece')
    done()
  }

  get text(): string {
    return Buffer.concat(this.pieces).toString()
  }
}

interface Surroundings {
  readonly stdin?: Readable
  readonly environment?: Readonly<Record<string, string>>
  readonly signals?: EventEmitter
  readonly stdout?: Writable
}

async function cli(...given: readonly (string | Surroundings)[]): Promise<Result> {
  const surroundings = given.find((item) => typeof item !== 'string') ?? {}
  const [stdout, stderr] = [new Collector(), new Collector()]
  const code = await runCli({
    arguments: given.filter((item) => typeof item === 'string'),
    environment: { HOME: directory, ARTIFACT_STORE_HOME: home, ARTIFACT_STORE_CACHE: join(directory, 'cache'), ...surroundings.environment },
    platform: 'linux',
    stdin: surroundings.stdin ?? Readable.from([]),
    stdout: surroundings.stdout ?? stdout,
    stderr,
    signals: surroundings.signals ?? new EventEmitter(),
    kill: () => assert.fail('killed'),
  })
  return { code, stdout: stdout.text, stderr: stderr.text }
}

async function done(...given: readonly (string | Surroundings)[]): Promise<string> {
  const result = await cli(...given)
  assert.equal(result.code, 0, result.stderr)
  return result.stdout
}

async function fails(code: number, message: RegExp, ...given: readonly (string | Surroundings)[]): Promise<Result> {
  const result = await cli(...given)
  assert.match(result.stderr, message)
  assert.equal(result.code, code, result.stderr)
  return result
}

interface Receipt {
  readonly packageId: string
  readonly manifestDigest: string
  readonly fileCount: number
  readonly size: number
  readonly reusedExisting: boolean
}

async function push(...given: readonly (string | Surroundings)[]): Promise<Receipt> {
  return JSON.parse(await done('push', '--json', ...given)) as Receipt
}

function jsonLines(text: string): readonly Readonly<Record<string, unknown>>[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>)
}

describe('calling a command wrongly', () => {
  test('is exit code 2, with what to do', async () => {
    await fails(2, /unknown command 'psuh'\nDid you mean push\?/, 'psuh')
    await fails(2, /unknown option '--jsno'.*\nDid you mean --json\? Run artifact-store ls --help/, 'ls', '--jsno')
    await fails(2, /missing required argument 'path'\nRun artifact-store push --help/, 'push')
    await fails(2, /unknown option '--repositry'/, 'push', '.', '--repositry', 'x')
    await fails(2, /push wants --repository NAME/, 'push', '.')
    await fails(2, /not a repository name: "Demo"/, 'push', '.', '--repository', 'Demo')
    await fails(2, /there is no file or folder .*nowhere/, 'push', join(directory, 'nowhere'), '--repository', 'x')
    await fails(2, /verify wants either a package or --all/, 'verify')
    await fails(2, /not a reference/, 'show', 'demo')
    await fails(2, /not the address of a server/, 'ls', '--url', 'example.org')
    await fails(2, /too many arguments/, 'repository', 'list', 'a', 'b')
  })

  test('without a command shows the help', async () => {
    const result = await cli()
    assert.equal(result.code, 2)
    assert.match(result.stderr, /^Usage: artifact-store/)
    assert.equal(result.stdout, '')
  })

  test('with --json is told as JSON', async () => {
    const { stderr, stdout } = await fails(2, /"code":"usage"/, 'ls', '--nope', '--json')
    assert.equal((JSON.parse(stderr) as { error: { exitCode: number } }).error.exitCode, 2)
    assert.equal(stdout, '')
  })

  test('a help text that cannot be written is a failure, unless nobody reads it', async () => {
    const failing = (code: string): Writable =>
      new Writable({ write: (_piece, _encoding, fail) => fail(Object.assign(new Error(code), { code, syscall: 'write' })) })
    assert.equal((await cli('--help', { stdout: failing('ENOSPC') })).code, 1)
    assert.equal((await cli('--help', { stdout: failing('EPIPE') })).code, 0)
  })

  test('help and version go to standard output', async () => {
    assert.match(await done('--help'), /^Usage: artifact-store \[options\] COMMAND/)
    assert.match(await done('push', '--help'), /^Usage: artifact-store push/)
    assert.match(await done('events', 'verify', '--help'), /^Usage: artifact-store events verify/)
    assert.match(await done('--version'), /^\d+\.\d+\.\d+\n$/)
  })
})

describe('init', () => {
  test('makes a store once', async () => {
    const folder = join(directory, 'other')
    assert.equal(await done('init', folder), `Made a store in ${folder}\n`)
    await fails(4, /there is a store in .*other already/, 'init', folder)
    await fails(2, /two folders were given/, 'init', folder, '--store', home)
  })

  test('is what every other command asks for when there is no store', async () => {
    const folder = join(directory, 'none')
    const { stderr } = await fails(3, /there is no store in/, 'push', tree, '--repository', 'demo', '--store', folder)
    assert.match(stderr, new RegExp(`Make one: artifact-store init ${folder}\n`))
    await assert.rejects(stat(folder))
  })
})

describe('push', () => {
  test('prints what became of it', async () => {
    const text = await done('push', tree, '--repository', 'demo/push', '--tag', 'latest')
    assert.match(
      text,
      /^package {9}[0-9a-f-]{36}\nrepository {6}demo\/push :latest\nmanifest {8}sha256:[0-9a-f]{64}\nfiles {11}3\nsize {12}17 B \(17 bytes\)\n/,
    )
    assert.match(text, /reusedExisting {2}false\n$/)
    assert.match(await done('push', tree, '--repository', 'demo/push'), /reusedExisting {2}true \(/)
    assert.match(await done('push', tree, '--repository', 'demo/push', '--quiet'), /^[0-9a-f-]{36}\n$/)
  })

  test('gives the same package from a folder and from a tar archive on standard input', async () => {
    const archive = pack()
    archive.entry({ name: './sub', type: 'directory' })
    archive.entry({ name: './sub/run.sh', mode: 0o755 }, '#!/bin/sh\n')
    archive.entry({ name: './empty', type: 'directory' })
    archive.entry({ name: './a.txt', mode: 0o644 }, 'hello\n')
    archive.entry({ name: './line\nbreak', mode: 0o644 }, 'x')
    archive.entry({ name: './link', type: 'symlink', linkname: 'sub/run.sh' })
    archive.finalize()
    const fromFolder = await push(tree, '--repository', 'demo/same')
    const fromArchive = await push('-', '--repository', 'demo/same', { stdin: Readable.from(archive) })
    assert.deepEqual(fromArchive, { ...fromFolder, reusedExisting: true })
    await fails(2, /--exclude works on a folder/, 'push', '-', '--repository', 'demo/same', '--exclude', 'a')
  })

  test('stores a single file under its own name', async () => {
    const { packageId } = await push(join(tree, 'a.txt'), '--repository', 'demo/file')
    assert.equal(await done('ls', packageId, '--quiet'), 'a.txt\n')
  })

  test('leaves out what is excluded', async () => {
    const { packageId } = await push(tree, '--repository', 'demo/excluded', '--exclude', 'sub', '--exclude', 'l*', '--exclude', 'empty')
    assert.equal(await done('ls', packageId, '--quiet'), 'a.txt\n')
  })

  test('takes every fact about the package', async () => {
    const file = join(directory, 'facts.json')
    await writeFile(file, '{"tests": 12, "board": "a"}')
    await writeFile(file.replace('facts', 'schema'), '{"required": ["tests", "board"]}')
    const facts = ['--producer', 'ci', '--subject', 'board', '--type', 'report', '--schema', 'board.v1', '--retention', 'raw-evidence']
    const more = ['--metadata-file', file, '--metadata', 'board=b', '--link', 'build=https://example.org/1', '--run-id', 'all-facts']
    const sets = ['--file-set', 'scripts=sub/**:transient', '--tag', 'one', '--tag', 'two']
    await done('schema', 'add', 'board.v1', file.replace('facts', 'schema'))
    const { packageId } = await push(tree, '--repository', 'demo/facts', ...facts, ...more, ...sets)
    const shown = JSON.parse(await done('show', packageId, '--json')) as Readonly<Record<string, unknown>>
    assert.deepEqual(
      {
        producer: shown['producer'],
        subject: shown['subject'],
        type: shown['type'],
        metadataSchema: shown['metadataSchema'],
        retentionClass: shown['retentionClass'],
        metadata: shown['metadata'],
        links: shown['links'],
        runId: shown['runId'],
        fileSets: shown['fileSets'],
      },
      {
        producer: 'ci',
        subject: 'board',
        type: 'application/vnd.artifact-store.report',
        metadataSchema: 'board.v1',
        retentionClass: 'raw-evidence',
        metadata: { board: 'b', tests: 12 },
        links: [{ rel: 'build', url: 'https://example.org/1' }],
        runId: 'all-facts',
        fileSets: [{ name: 'scripts', match: ['sub/**'] }],
      },
    )
    assert.deepEqual(new Set(shown['tags'] as readonly string[]), new Set(['one', 'two', 'all-facts']))
    assert.deepEqual(shown['parts'], [
      { fileSets: [], fileCount: 2, size: 7 },
      { fileSets: ['scripts'], fileCount: 1, size: 10 },
    ])
  })

  test('refuses a tree that cannot be stored, names every entry, and leaves nothing', async () => {
    const bad = join(directory, 'bad')
    await mkdir(bad)
    await symlink('../outside', join(bad, 'out'))
    await symlink('/etc/passwd', join(bad, 'absolute'))
    await writeFile(join(bad, 'fine'), 'x')
    const { stderr } = await fails(4, /cannot be stored/, 'push', bad, '--repository', 'demo/bad')
    assert.match(stderr, /\n {2}absolute: .*\n {2}out: /)
    assert.match(stderr, /--exclude GLOB/)
    assert.equal(await done('ls', 'demo/bad', '--json'), '')
    assert.equal((await push(bad, '--repository', 'demo/bad', '--exclude', 'out', '--exclude', 'absolute')).fileCount, 1)
  })
})

describe('a run id', () => {
  test('finds the same package again, and refuses other files', async () => {
    const run = join(directory, 'run')
    await mkdir(join(run, 'sub'), { recursive: true })
    await writeFile(join(run, 'sub/a'), 'a')
    await writeFile(join(run, 'b'), 'b')
    const arguments_ = [run, '--repository', 'demo/run', '--run-id', 'run-1'] as const
    const first = await push(...arguments_)
    assert.deepEqual(await push(...arguments_), { ...first, reusedExisting: true })
    assert.deepEqual(await push(...arguments_, '--rehash'), { ...first, reusedExisting: true })
    await writeFile(join(run, 'sub/a'), 'other')
    await fails(4, /run 'run-1' of demo\/run is package .* already, with other content: sub\/a is not what it was\n/, 'push', ...arguments_)
    await rm(join(run, 'sub'), { recursive: true })
    await writeFile(join(run, 'new'), 'n')
    await fails(4, /content: new is not what it was, sub\/a is missing now/, 'push', ...arguments_)
    await chmod(join(run, 'b'), 0o755)
    await fails(4, /b is not what it was/, 'push', ...arguments_)
  })

  test('continues a push that broke off, without files that are gone since', async () => {
    const request = { repository: 'demo/resumed', runId: 'run-2' }
    {
      await using store = await openStore(home)
      const draft = await store.packages.open(request)
      await draft.put('stale', Buffer.from('stale'))
      await draft.put('a.txt', Buffer.from('hello\n'))
    }
    const { packageId } = await push(tree, '--repository', 'demo/resumed', '--run-id', 'run-2')
    assert.equal(await done('ls', packageId, '--quiet'), 'a.txt\nline\\u{a}break\nsub/run.sh\nlink\nempty\n')
  })

  test('keeps what a stopped push had stored, and says so', async () => {
    const { code, stderr } = await stopped('push', tree, '--repository', 'demo/stopped', '--run-id', 'run-3')
    assert.equal(code, 6, stderr)
    assert.match(stderr, /^Stopping … .*\nWhat was stored so far is kept for run run-3: the same command continues it\.\nartifact-store: stopped/)
  })

  test('keeps nothing of an archive that was stopped, as it is stored as a whole or not at all', async () => {
    const { code, stderr } = await stopped('push', '-', '--repository', 'demo/stopped', '--run-id', 'run-4')
    assert.equal(code, 6, stderr)
    assert.match(stderr, /^Stopping … .*\nartifact-store: stopped/)
  })

  /** Runs a command that is told to stop as soon as it listens; nothing comes on its standard input. */
  async function stopped(...words: readonly string[]): ReturnType<typeof cli> {
    const signals = new EventEmitter()
    const running = cli(...words, { signals, stdin: new PassThrough() })
    while (signals.listenerCount('SIGINT') === 0) await setImmediate()
    signals.emit('SIGINT')
    return running
  }
})

describe('ls', () => {
  test('lists repositories, packages and files in aligned columns', async () => {
    const { packageId } = await push(tree, '--repository', 'list/a', '--tag', 'v1')
    await push(join(tree, 'a.txt'), '--repository', 'list/b')
    assert.match(await done('ls'), /^PACKAGES {2}CREATED {14}REPOSITORY\n(.*\n)* {7}1 {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}list\/a\n/)
    const packages = (await done('ls', 'list')).split('\n')
    assert.match(packages[0] ?? '', /^PACKAGE {31}SEALED {17}FILES {6}SIZE {2}REPOSITORY AND TAGS$/)
    assert.match(packages[1] ?? '', /^[0-9a-f-]{36} {2}[\d-]{10} [\d:]{8} {8}1 {7}6 B {2}list\/b$/)
    assert.match(packages[2] ?? '', new RegExp(`^${packageId} .* 3 {6}17 B {2}list/a :v1$`))
    assert.equal(
      await done('ls', 'list/a:v1'),
      [
        '    SIZE  KIND   PATH',
        '     6 B  file   a.txt',
        '     1 B  file   line\\u{a}break',
        '    10 B  exec   sub/run.sh',
        '          link   link -> sub/run.sh',
        '          empty  empty/',
        '',
      ].join('\n'),
    )
  })

  test('gives programs exact values, one object a line', async () => {
    const files = jsonLines(await done('ls', 'list/a:v1', '--json'))
    assert.deepEqual(
      files.map(({ path }) => path),
      ['a.txt', 'line\nbreak', 'sub/run.sh', 'link', 'empty'],
    )
    assert.deepEqual(files[0], {
      kind: 'file',
      path: 'a.txt',
      digest: digestOf(Buffer.from('hello\n')),
      size: 6,
      mediaType: 'text/plain',
      executable: false,
      fileSets: [],
    })
    assert.deepEqual(
      jsonLines(await done('repository', 'list', 'list', '--json')).map(({ name, packages }) => [name, packages]),
      [
        ['list/a', 1],
        ['list/b', 1],
      ],
    )
  })

  test('stops at the limit, and follows pages beyond the first', async () => {
    assert.equal(jsonLines(await done('ls', 'list', '--limit', '1', '--json')).length, 1)
    assert.equal((await done('ls', 'list/a:v1', '--limit', '2', '--quiet')).split('\n').length, 3)
    await using store = await openStore(home)
    const sealed = Array.from({ length: 120 }, async (_, index) => {
      const draft = await store.packages.open({ repository: 'pages', subject: index.toString() })
      return draft.finalize()
    })
    await Promise.all(sealed)
    assert.equal(new Set((await done('ls', 'pages', '--quiet')).trimEnd().split('\n')).size, 120)
  })

  test('says when there is nothing of that name', async () => {
    await fails(3, /there is no repository nothing and none below it\n.*artifact-store ls/, 'ls', 'nothing')
    await fails(3, /no package 'list\/a:v9'/, 'ls', 'list/a:v9')
  })
})

describe('cat', () => {
  test('prints the bytes of a file, or a part of them', async () => {
    const { packageId } = await push(tree, '--repository', 'demo/cat')
    assert.equal(await done('cat', packageId, 'a.txt'), 'hello\n')
    assert.equal(await done('cat', packageId, 'a.txt', '--range', '1-3'), 'ell')
    assert.equal(await done('cat', packageId, 'a.txt', '--range', '3-'), 'lo\n')
    assert.equal(await done('cat', packageId, 'a.txt', '--range', '-2'), 'o\n')
    assert.equal(await done('cat', packageId, 'a.txt', '--range', '-99'), 'hello\n')
    await fails(3, /has no file 'nope'\n.*artifact-store ls REF/, 'cat', packageId, 'nope')
    await fails(2, /cannot print JSON/, 'cat', packageId, 'a.txt', '--json')
    await fails(2, /beyond/, 'cat', packageId, 'a.txt', '--range', '100-')
  })

  test('ends quietly when nobody reads any more', async () => {
    const { packageId } = await push(tree, '--repository', 'demo/cat')
    const stdout = new Writable({ write: (_piece, _encoding, fail) => fail(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })) })
    const { code, stderr } = await cli('cat', packageId, 'a.txt', { stdout })
    assert.deepEqual([code, stderr], [0, ''])
  })
})

describe('show', () => {
  test('tells everything, and prints the exact manifest', async () => {
    const { packageId, manifestDigest } = await push(tree, '--repository', 'demo/show', '--metadata', 'k=v')
    const text = await done('show', `demo/show@${manifestDigest}`)
    assert.match(text, new RegExp(`^package +${packageId}\n(.*\n)*metadata\n {2}k {2}v\n$`))
    assert.equal(digestOf(Buffer.from(await done('show', packageId, '--manifest'))), manifestDigest)
    await fails(3, /no package/, 'show', 'demo/show:none')
  })
})

describe('pull', () => {
  test('writes a package that is the tree it came from, and replaces nothing unless told', async () => {
    await push(tree, '--repository', 'demo/pull', '--tag', 'v1')
    const folder = join(directory, 'pulled')
    assert.match(await done('pull', 'demo/pull:v1', '--output', folder), /^Wrote 3 files \(17 B\) to .*pulled\n$/)
    assert.deepEqual((await readdir(folder, { recursive: true })).toSorted(), (await readdir(tree, { recursive: true })).toSorted())
    assert.equal((await stat(join(folder, 'sub/run.sh'))).mode & 0o111, (await stat(join(tree, 'sub/run.sh'))).mode & 0o111)
    await fails(4, /./, 'pull', 'demo/pull:v1', '--output', folder)
    assert.match(await done('pull', 'demo/pull:v1', '--output', folder, '--overwrite'), /3 files of them there already/)
    const report = JSON.parse(await done('pull', 'demo/pull:v1', '--output', join(directory, 'part'), '--path', 'sub', '--json')) as object
    assert.partialDeepStrictEqual(report, { files: 1, bytes: 10, missing: [] })
  })
})

describe('tag', () => {
  test('gives a package a name and takes it away', async () => {
    const { packageId } = await push(tree, '--repository', 'demo/tag')
    assert.equal(await done('tag', packageId, 'v1'), `demo/tag:v1 is package ${packageId}\n`)
    assert.equal(await done('tag', 'demo/tag:v1', 'v1', '--remove'), 'Removed demo/tag:v1\n')
    await fails(3, /has no tag v1/, 'tag', packageId, 'v1', '--remove')
    await fails(2, /not a tag/, 'tag', packageId, '.v1')
  })
})

describe('verify', () => {
  test('reads everything, and names what is damaged', async () => {
    const fresh = join(directory, 'damaged')
    const big = join(directory, 'big')
    await mkdir(big)
    await writeFile(join(big, 'big.bin'), Buffer.alloc(3_000_000, 7))
    await writeFile(join(big, 'small.txt'), 'fine')
    const store = ['--store', fresh]
    await done('init', fresh)
    await push(big, '--repository', 'demo/big', '--tag', 'v1', ...store)
    assert.match(await done('verify', '--all', ...store), /^Read 2 files \(2\.9 MiB\): all of it is what it was\n$/)

    const objects = join(fresh, 'objects')
    const sized = await Promise.all(
      (await readdir(objects, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map(async (entry) => ({ file: join(entry.parentPath, entry.name), size: (await stat(join(entry.parentPath, entry.name))).size })),
    )
    const { file } = sized.reduce((largest, one) => (one.size > largest.size ? one : largest))
    await chmod(file, 0o644)
    const bytes = await readFile(file)
    bytes[1_500_000] = 8
    await writeFile(file, bytes)

    const { stdout } = await fails(5, /^$/, 'verify', 'demo/big:v1', ...store)
    assert.match(stdout, /^[0-9a-f-]{36} {2}big\.bin {2}.+\nRead 2 files \(2\.9 MiB\): 1 problem found\n$/)
    const lines = jsonLines((await cli('verify', 'demo/big:v1', '--json', ...store)).stdout)
    assert.deepEqual(
      lines.filter(({ path }) => path !== undefined).map(({ path, ok }) => [path, ok]),
      lines.filter(({ path }) => path !== undefined).map(({ path }) => [path, path === 'small.txt']),
    )
    await fails(5, /is damaged/, 'cat', 'demo/big:v1', 'big.bin', ...store)
    await fails(5, /big\.bin.*\n1 file could not be read/, 'pull', 'demo/big:v1', '--output', join(directory, 'saved'), ...store)
    assert.equal(await readFile(join(directory, 'saved/small.txt'), 'utf8'), 'fine')
  })
})

describe('events', () => {
  test('prints the log, in order, from any event on', async () => {
    const events = jsonLines(await done('events', '--json'))
    assert.deepEqual(
      events.map(({ seq }) => seq),
      events.map((_event, index) => index + 1),
    )
    const third = events[2]?.['cursor']
    assert.equal(typeof third, 'string')
    assert.deepEqual(jsonLines(await done('events', '--json', '--after', String(third), '--limit', '2')), events.slice(3, 5))
    assert.match(await done('events', '--limit', '1'), /^ EVENT {2}TIME .*\n {5}1 {2}[\d-]{10} [\d:]{8} {2}store\.created +os:\S+ +store\n$/)
    await fails(2, /not a position/, 'events', '--after', 'x')
  })

  test('follows what happens until it is stopped', async () => {
    const signals = new EventEmitter()
    const stdout = new Collector()
    const running = cli('events', '--follow', '--json', { signals, stdout })
    while (!stdout.text.includes('followed')) {
      const piece = once(stdout, 'piece')
      if (!stdout.text.includes('"demo/followed"')) await push(join(tree, 'a.txt'), '--repository', 'demo/followed', '--tag', 'followed')
      await piece
    }
    signals.emit('SIGINT')
    assert.equal((await running).code, 0)
  })

  test('verify recomputes the chain', async () => {
    const { events, head } = JSON.parse(await done('events', 'verify', '--json')) as { events: number; head: string }
    const last = jsonLines(await done('events', '--json')).at(-1)
    assert.deepEqual([last?.['seq'], last?.['hash']], [events, head])
    assert.match(await done('events', 'verify'), /^\d+ events as they were written, in both copies; the last one hashes to [0-9a-f]{64}\n$/)
  })
})

describe('serve', () => {
  test('answers probes until it is told to stop', async () => {
    const signals = new EventEmitter()
    const stdout = new Collector()
    const ready = once(stdout, 'piece')
    const running = cli('serve', '--port', '0', '--json', { signals, stdout })
    await ready
    const { address } = JSON.parse(stdout.text) as { address: string }
    const health = await fetch(`${address}/health`)
    assert.equal(health.status, 200)
    assert.equal(((await health.json()) as { status: string }).status, 'pass')
    signals.emit('SIGTERM')
    const { code, stderr } = await running
    assert.equal(code, 0, stderr)
  })

  test('refuses to be reached from other machines, unless allowed', async () => {
    await fails(4, /refused to listen on 0\.0\.0\.0.*\n.*--allow-anonymous-bind/, 'serve', '--host', '0.0.0.0', '--port', '0')
    await fails(2, /--port must be a port number/, 'serve', '--port', 'http')
  })
})
