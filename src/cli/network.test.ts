/** The command line over the network: what works on a folder works on a server. */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { pack } from 'tar-stream'
import { Authentication } from '../http/authentication.ts'
import { parseRepositoryPattern } from '../core/access.ts'
import { compareTrees } from '../testing/compare-trees.ts'
import { followGuide } from '../testing/guide-run.ts'
import { serveNewStore } from '../testing/served-store.ts'
import { runCli } from './cli.ts'
import { tokenHash } from './token-settings.ts'

const TOKEN = 'a-token-that-nobody-could-guess'
const tokens = [{ name: 'ann', scopes: ['read', 'write'] as const, repositories: [parseRepositoryPattern('team/**')], hash: () => tokenHash(TOKEN) }]

const { address } = await serveNewStore()
const authentication = new Authentication(tokens)
const guarded = await serveNewStore({
  storeFor: ({ method, headers }) => guarded.store.actingAs(authentication.accessOf({ method, authorization: headers.authorization })),
})

let directory = ''
let tree = ''
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'network-'))
  tree = join(directory, 'tree')
  await mkdir(join(tree, 'sub'), { recursive: true })
  await mkdir(join(tree, 'empty'))
  await writeFile(join(tree, 'a.txt'), 'hello\n')
  await writeFile(join(tree, 'sub/run.sh'), '#!/bin/sh\n')
  await chmod(join(tree, 'sub/run.sh'), 0o755)
  await writeFile(join(tree, 'line\nbreak'), 'x')
  await writeFile(join(tree, 'large'), Buffer.alloc(3_000_000, 'large '))
  await symlink('sub/run.sh', join(tree, 'link'))
})
after(() => rm(directory, { recursive: true }))

interface Surroundings {
  readonly stdin?: Readable
  readonly environment?: Readonly<Record<string, string>>
  readonly signals?: EventEmitter
}

interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

async function cli(...given: readonly (string | Surroundings)[]): Promise<Result> {
  const surroundings = given.find((item) => typeof item !== 'string') ?? {}
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []]
  const collector = (pieces: Buffer[]): Writable =>
    new Writable({
      write: (piece: Buffer, _encoding, taken) => {
        pieces.push(piece)
        taken()
      },
    })
  const code = await runCli({
    arguments: given.filter((item) => typeof item === 'string'),
    environment: { HOME: directory, ARTIFACT_STORE_URL: address, ARTIFACT_STORE_CACHE: join(directory, 'cache'), ...surroundings.environment },
    platform: 'linux',
    stdin: surroundings.stdin ?? Readable.from([]),
    stdout: collector(stdout),
    stderr: collector(stderr),
    signals: surroundings.signals ?? new EventEmitter(),
    kill: () => assert.fail('killed'),
  })
  return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }
}

async function done(...given: readonly (string | Surroundings)[]): Promise<string> {
  const { code, stdout, stderr } = await cli(...given)
  assert.equal(code, 0, stderr)
  return stdout
}

async function fails(code: number, message: RegExp, ...given: readonly (string | Surroundings)[]): Promise<Result> {
  const result = await cli(...given)
  assert.equal(result.code, code, result.stderr)
  assert.match(result.stderr, message)
  return result
}

/** An output without what is chance or time, and without the order of members in JSON. */
function plain(output: string): string {
  return output
    .replaceAll(/^\{.*\}$/gm, (line) =>
      JSON.stringify(Object.entries(JSON.parse(line) as object).toSorted(([left], [right]) => (left < right ? -1 : 1))),
    )
    .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID')
    .replaceAll(/\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d+Z)?/g, 'TIME')
    .replaceAll(/\["cursor","[^"]*"\]/g, '["cursor",""]')
    .replaceAll(/\b(?:os:\w+|anonymous) +/g, 'ACTOR ')
    .replaceAll(/\["actor","[^"]*"\]/g, '["actor",""]')
    .replaceAll(/[0-9a-f]{64}/g, (hash, at: number, text: string) => (text.slice(at - 7, at) === 'sha256:' ? hash : 'HASH'))
}

describe('over the network', () => {
  test('every command of the guide says what it says on a folder, but for those that need the folder', async (t) => {
    const bin = await mkdtemp(join(tmpdir(), 'network-bin-'))
    t.after(() => rm(bin, { recursive: true }))
    const launcher = fileURLToPath(new URL('../../bin/artifact-store', import.meta.url))
    const script = `#!/bin/sh\ncase $1 in init) test -z "$ARTIFACT_STORE_URL" || exit 0;; doctor|stats) exit 0;; esac\nexec '${launcher}' "$@"\n`
    await writeFile(join(bin, 'artifact-store'), script, { mode: 0o755 })
    const PATH = `${bin}${delimiter}${process.env['PATH'] ?? ''}`
    const fresh = await serveNewStore()
    const local = await followGuide('cli.md', { PATH })
    const remote = await followGuide('cli.md', { PATH, ARTIFACT_STORE_URL: fresh.address })
    assert.match(remote.stdout, /reusedExisting {2}true/)
    assert.equal(plain(remote.stdout), plain(local.stdout.replace(/^Made a store in .*\n/, '')))
    assert.equal(remote.stderr, '')
    await fresh.stop()
  })

  test('a tree comes back as it was, and is not sent again', async () => {
    const first = JSON.parse(await done('push', tree, '--repository', 'team/tree', '--json')) as { packageId: string; reusedExisting: boolean }
    await done('pull', first.packageId, '--output', join(directory, 'copy'))
    assert.deepEqual(await compareTrees(tree, join(directory, 'copy')), [])
    const again = JSON.parse(await done('push', tree, '--repository', 'team/tree', '--json')) as { packageId: string; reusedExisting: boolean }
    assert.deepEqual([again.packageId, again.reusedExisting], [first.packageId, true])
  })

  test('an archive on standard input becomes the package that its tree becomes', async () => {
    const archive = pack()
    archive.entry({ name: 'a.txt' }, 'hello\n')
    archive.finalize()
    const folder = join(directory, 'one-file')
    await mkdir(folder)
    await cp(join(tree, 'a.txt'), join(folder, 'a.txt'))
    const digestOf = (json: string): unknown => (JSON.parse(json) as { manifestDigest: unknown }).manifestDigest
    const fromTree = digestOf(await done('push', folder, '--repository', 'team/archive', '--json'))
    assert.equal(digestOf(await done('push', '-', '--repository', 'team/archive', '--json', { stdin: Readable.from(archive) })), fromTree)
  })

  test('a run that was pushed before is compared with what the server has', async () => {
    const push = ['push', tree, '--repository', 'team/run', '--run-id', 'r1', '--quiet']
    const id = await done(...push)
    assert.equal(await done(...push), id)
    const other = join(directory, 'other')
    await mkdir(other)
    await writeFile(join(other, 'a.txt'), 'something else')
    await fails(4, /is package .* already, with other content/, 'push', other, '--repository', 'team/run', '--run-id', 'r1')
  })

  test('refusals have the exit codes and words that they have on a folder', async () => {
    await fails(3, /no package 'team\/tree:nothing'|there is no/, 'show', 'team/tree:nothing')
    await fails(2, /not a repository name/, 'push', tree, '--repository', 'Not A Name')
    const bad = join(directory, 'bad')
    await mkdir(bad)
    await symlink('../../etc/passwd', join(bad, 'out'))
    const { stdout } = await fails(4, /out: has a target that leads out|leads out of the tree/, 'push', bad, '--repository', 'team/bad')
    assert.equal(stdout, '')
  })

  test('a stopped push says so and can be made again', async () => {
    const signals = new EventEmitter()
    const stdin = Readable.from(
      (async function* () {
        yield Buffer.alloc(512)
        signals.emit('SIGINT')
        await new Promise(() => undefined)
      })(),
    )
    await fails(6, /stopped/, 'push', '-', '--repository', 'team/stopped', { stdin, signals })
  })
})

describe('the address of a server', () => {
  test('that nobody listens at is named, with exit code 6', async () => {
    const { stderr } = await fails(6, /cannot reach the server http:\/\/127\.0\.0\.1:9\//, 'ls', '--url', 'http://127.0.0.1:9')
    assert.match(stderr, /Check the address/)
    const json = await fails(6, /"retryable":true/, 'ls', '--url', 'http://127.0.0.1:9', '--json')
    assert.equal((JSON.parse(json.stderr) as { error: { code: string } }).error.code, 'server_unreachable')
  })

  test('that is none is told as wrong usage, with where it was found', async () => {
    await fails(2, /--url: not the address of a server/, 'ls', '--url', 'example.org')
    await fails(2, /ARTIFACT_STORE_URL: .* password/, 'ls', { environment: { ARTIFACT_STORE_URL: 'https://user:secret@example.org' } })
  })

  test('is refused by what works on a folder alone', async () => {
    for (const command of [['doctor'], ['stats'], ['rebuild'], ['recover'], ['serve', '--port', '0'], ['init']]) {
      const { stderr } = await fails(2, /this works on the folder of a store, and a server is named \(ARTIFACT_STORE_URL\)/, ...command)
      assert.match(stderr, /--store DIR/)
    }
  })

  test('gives way to a folder that is named nearer to the command line', async () => {
    const home = join(directory, 'folder')
    await done('init', home)
    assert.match(await done('stats', '--store', home), /packages/i)
  })
})

describe('a token', () => {
  const at = (environment: Readonly<Record<string, string>> = {}): Surroundings => ({
    environment: { ARTIFACT_STORE_URL: guarded.address, ...environment },
  })

  test('is taken from a file, from a variable, and from where the configuration says', async () => {
    const file = join(directory, 'token')
    await writeFile(file, `${TOKEN}\n`)
    await done('push', tree, '--repository', 'team/a', '--token-file', file, at())
    await done('ls', 'team/a', at({ ARTIFACT_STORE_TOKEN: TOKEN }))
    const config = join(directory, 'artifact-store.toml')
    await writeFile(config, `url = "${guarded.address}"\ntoken = "file:${file}"\n`)
    await done('ls', 'team/a', '--config', config, { environment: { ARTIFACT_STORE_URL: '' } })
    await writeFile(config, `url = "${guarded.address}"\ntoken = "env:MY_TOKEN"\n`)
    await done('ls', 'team/a', '--config', config, { environment: { ARTIFACT_STORE_URL: '', MY_TOKEN: TOKEN } })
  })

  test('that is missing, wrong or not enough is told with what to do, and is never shown', async () => {
    await fails(4, /needs a token[^]*--token-file/, 'push', tree, '--repository', 'team/a', at())
    const wrong = await fails(4, /token is not known[^]*--token-file/, 'ls', at({ ARTIFACT_STORE_TOKEN: 'wrong-but-secret' }))
    assert.doesNotMatch(wrong.stderr, /wrong-but-secret/)
    // What may not be read is not there.
    await fails(3, /no repository/, 'push', tree, '--repository', 'elsewhere/a', at({ ARTIFACT_STORE_TOKEN: TOKEN }))
    const odd = await fails(2, /characters that no token has/, 'ls', at({ ARTIFACT_STORE_TOKEN: 'secret with blanks' }))
    assert.doesNotMatch(odd.stderr, /secret with/)
  })

  test('that cannot be found is wrong usage', async () => {
    await fails(2, /there is no token in file:.*nowhere/, 'ls', '--token-file', 'nowhere', at())
    const config = join(directory, 'bad.toml')
    await writeFile(config, `url = "${guarded.address}"\ntoken = "${TOKEN}"\n`)
    const { stderr } = await fails(2, /token in .* must say where the secret is/, 'ls', '--config', config, {
      environment: { ARTIFACT_STORE_URL: '' },
    })
    assert.doesNotMatch(stderr, new RegExp(TOKEN))
  })
})
