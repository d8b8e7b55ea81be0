import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { openStore } from '../store/open.ts'
import { runCli } from './cli.ts'

let folder = ''
let origin = ''
let packageId = ''
let copies = 0

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'keeping-'))
  origin = join(folder, 'origin')
  await done(origin, 'init')
  const tree = join(folder, 'tree')
  cpSync(new URL('../../docs/format', import.meta.url), tree, { recursive: true })
  packageId = (
    await done(origin, 'push', tree, '--repository', 'demo/a', '--tag', 'v1', '--tag', 'a-tag-of-its-own-1', '--producer', 'maker-one', '--quiet')
  ).trim()
  await done(origin, 'push', tree, '--repository', 'demo/b', '--metadata', 'k=v', '--retention', 'raw-evidence')
  await done(origin, 'tag', packageId, 'v2')
})
after(() => rmSync(folder, { recursive: true, force: true }))

interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function collector(pieces: string[]): Writable {
  return new Writable({
    write: (piece, _encoding, taken) => {
      pieces.push(String(piece))
      taken()
    },
  })
}

/** Runs a command on a store. */
async function cli(home: string, ...given: readonly string[]): Promise<Result> {
  const [stdout, stderr]: [string[], string[]] = [[], []]
  const code = await runCli({
    arguments: given,
    environment: { HOME: folder, ARTIFACT_STORE_HOME: home, ARTIFACT_STORE_CACHE: join(folder, 'cache') },
    platform: 'linux',
    stdin: Readable.from([]),
    stdout: collector(stdout),
    stderr: collector(stderr),
    signals: new EventEmitter(),
    kill: () => assert.fail('killed'),
  })
  return { code, stdout: stdout.join(''), stderr: stderr.join('') }
}

async function done(home: string, ...given: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(home, ...given)
  assert.equal(code, 0, stderr + stdout)
  return stdout
}

async function ends(code: number, home: string, ...given: readonly string[]): Promise<Result> {
  const result = await cli(home, ...given)
  assert.equal(result.code, code, result.stderr + result.stdout)
  return result
}

function copy(): string {
  copies += 1
  const directory = join(folder, `copy-${copies}`)
  cpSync(origin, directory, { recursive: true })
  return directory
}

const registryOf = (home: string): string => join(home, 'registry.db')

/** Changes one text in the file of a closed registry to another of the same length, as a careless or wicked hand would. */
function edit(home: string, from: string, to: string): void {
  assert.equal(from.length, to.length)
  const bytes = readFileSync(registryOf(home))
  const at = bytes.indexOf(from)
  assert.ok(at > 0, from)
  bytes.write(to, at)
  writeFileSync(registryOf(home), bytes)
}

/** The same in all tables and indexes, but not in the events, where a text stands in quotes. */
function editRows(home: string, from: string, to: string): void {
  const bytes = readFileSync(registryOf(home))
  let edits = 0
  for (let at = bytes.indexOf(from); at !== -1; at = bytes.indexOf(from, at + 1)) {
    if (bytes[at - 1] === 0x22) continue
    bytes.write(to, at)
    edits += 1
  }
  assert.ok(edits > 0, from)
  writeFileSync(registryOf(home), bytes)
}

function json(text: string): Readonly<Record<string, unknown>> {
  return JSON.parse(text) as Readonly<Record<string, unknown>>
}

describe('doctor', () => {
  test('tells what is well in lines that fit, and as JSON, one finding a line', async () => {
    const text = await done(origin, 'doctor')
    assert.match(text, /^ok {4}configuration the store is the folder .*origin \(from ARTIFACT_STORE_HOME\)\nok {4}permissions {3}/)
    assert.match(text, /(All is well\.|Nothing failed, \d warnings?\.)\n$/)
    assert.ok(
      text.split('\n').every((line) => line.length <= 110),
      text,
    )
    const lines = (await done(origin, 'doctor', '--json', '--read-only')).trimEnd().split('\n').map(json)
    assert.deepEqual(
      lines.map(({ check }) => check),
      [
        'configuration',
        'permissions',
        'space',
        'settings',
        'store',
        'writers',
        'objects',
        'log',
        'references',
        'counters',
        'damage',
        'drafts',
        'uploads',
        'reviews',
        'clock',
      ],
    )
    assert.ok(lines.every(({ status }) => status === 'ok'))
    assert.equal(await done(origin, 'doctor', '--quiet', '--read-only'), '')
  })

  test('ends with 5 when something is wrong, and says what to do', async () => {
    const home = copy()
    rmSync(registryOf(home))
    const { stdout } = await ends(5, home, 'doctor', '--quiet', '--read-only')
    assert.match(
      stdout,
      /^FAIL {2}store {9}the objects of a store are in .*\n(.*\n)*.*-> .*put it back\. Otherwise rebuild it\n.*from the objects: artifact-store recover\.\n$/,
    )
    assert.match((await ends(5, home, 'doctor', '--read-only')).stdout, /\n1 check failed, 0 warnings\.\n$/)
  })
})

describe('stats', () => {
  test('shows with bars what deduplication and compression save, by repository and class', async () => {
    const text = await done(origin, 'stats')
    assert.match(text, /^packages {7}2\nfiles {10}\d+ \([\d.]+ KiB\)\nopen packages {2}none\n\nall files +[\d.]+ KiB {2}\[#{30}\]\n/)
    assert.match(text, /\neach once +[\d.]+ KiB {2}\[#{15}\.{15}\] {2}[\d.]+ KiB saved by deduplication \(50 %\)\n/)
    assert.match(text, /REPOSITORY\n( +1 .* \[#{12}\] {2}demo\/[ab]\n){2}\n/)
    assert.match(text, /RETENTION CLASS\n(.*\n)* +1 .*raw-evidence\n/)
  })

  test('gives programs exact values, and people as many rows as they want', async () => {
    const { packages, files, repositories } = json(await done(origin, 'stats', '--json'))
    assert.deepEqual([packages, Number(files) > 10], [2, true])
    assert.deepEqual(new Set((repositories as readonly { name: string }[]).map(({ name }) => name)), new Set(['demo/a', 'demo/b']))
    const { stdout, stderr } = await cli(origin, 'stats', '--limit', '1')
    assert.equal([...stdout.matchAll(/demo\/[ab]\n/g)].length, 1)
    assert.match(stderr, /… and 1 more/)
    assert.match((await ends(2, origin, 'stats', '--limit', 'x')).stderr, /--limit/)
  })

  test('of a store that is not there is an error', async () => {
    assert.match((await ends(3, join(folder, 'nowhere'), 'stats')).stderr, /there is no store/)
  })
})

describe('recover', () => {
  test('rebuilds a lost registry, with the same ids, tags and events', async () => {
    const home = copy()
    rmSync(registryOf(home))
    const text = await done(home, 'recover')
    assert.match(
      text,
      /^Rebuilt the registry from \d packs? .*: 2 packages, \d+ chunks\nComplete up to event \d, which hashes to [0-9a-f]{64}\nNothing is missing\.\n$/,
    )
    assert.equal(await done(home, 'events', '--json'), await done(origin, 'events', '--json'))
    assert.equal(await done(home, 'show', 'demo/a:v2', '--json'), await done(origin, 'show', 'demo/a:v2', '--json'))
    await done(home, 'verify', '--all')
    await done(home, 'rebuild')
    assert.equal(await done(home, 'doctor', '--quiet', '--read-only'), '')
  })

  test('refuses where there is nothing to recover, and while the store is in use', async () => {
    const home = copy()
    const { stderr } = await ends(4, home, 'recover')
    assert.match(stderr, /nothing to recover\n.*artifact-store doctor.*--anyway/)
    {
      await using store = await openStore(home)
      await store.packages.search()
      assert.match((await ends(6, home, 'recover', '--anyway')).stderr, /another process has the store in .* open\nEnd it/)
    }
    const report = json(await done(home, 'recover', '--anyway', '--json'))
    assert.deepEqual([report['packages'], report['lossy'], existsSync(String(report['previousRegistry']))], [2, false, true])
  })

  test('says what may be missing, and ends with 5', async () => {
    const home = copy()
    const log = readdirSync(join(home, 'objects'), { recursive: true, encoding: 'utf8' })
      .filter((key) => /\/log\/.*\/\d{12}-/.test(key))
      .toSorted()
    rmSync(join(home, 'objects', log.at(-2) ?? ''))
    rmSync(registryOf(home))
    const { stdout } = await ends(5, home, 'recover')
    assert.match(stdout, /Something may be missing:\n( {2}- .*\n)+The log goes on under the new id [0-9a-f-]{36}/)
    assert.match(stdout, /Manifests that belong to no package: .*\n( {2}- sha256:[0-9a-f]{64}\n)+/)
  })

  test('of a store that a newer release wrote is refused', async () => {
    const home = copy()
    edit(home, 'schema-version1', 'schema-version9')
    assert.match((await ends(1, home, 'recover')).stderr, /schema version 9/)
  })

  test('needs objects', async () => {
    assert.match((await ends(3, join(folder, 'nowhere'), 'recover')).stderr, /there is no folder/)
  })
})

describe('rebuild', () => {
  test('finds nothing in a registry that is what its log says', async () => {
    assert.match(await done(origin, 'rebuild'), /^Replayed \d events; compared \d+ rows: all of them there\n$/)
    assert.deepEqual(json(await done(origin, 'rebuild', '--json'))['listed'], [])
  })

  test('prints what differs, and ends with 5', async () => {
    const home = copy()
    editRows(home, 'a-tag-of-its-own-1', 'a-tag-of-its-own-2')
    editRows(home, 'maker-one', 'maker-two')
    const { stdout } = await ends(5, home, 'rebuild')
    assert.match(stdout, new RegExp(`^tags: missing in the registry: demo/a a-tag-of-its-own-1 ${packageId}$`, 'm'))
    assert.match(stdout, new RegExp(`^tags: not in the log: demo/a a-tag-of-its-own-2 ${packageId}$`, 'm'))
    assert.match(stdout, new RegExp(`^packages: ${packageId} demo/a 0\n {2}producer: registry maker-two, log maker-one$`, 'm'))
    assert.match(stdout, /compared \d+ rows: 3 differences\n$/)
    const { differences, listed } = json((await ends(5, home, 'rebuild', '--json')).stdout)
    assert.deepEqual([differences, (listed as readonly object[]).length], [3, 3])
  })
})

describe('events verify', () => {
  test('names an event that was edited in the registry, and ends with 5', async () => {
    const home = copy()
    edit(home, '"tag":"v2"', '"tag":"v3"')
    const { stderr } = await ends(5, home, 'events', 'verify')
    assert.match(stderr, /event \d \([0-9a-f-]{36}, tag\.set of .*\) was changed: registry and mirror differ in its data\n/)
    assert.equal((json((await cli(home, 'events', 'verify', '--json')).stderr)['error'] as { detail: { type: string } }).detail.type, 'tag.set')
    assert.match((await ends(5, home, 'doctor', '--quiet', '--read-only')).stdout, /^FAIL {2}log {11}event \d/)
  })
})

describe('verify', () => {
  test('of a package whose own document is damaged names it, and goes on to the files', async () => {
    const home = copy()
    const objects = join(home, 'objects')
    const files = readdirSync(objects, { recursive: true, withFileTypes: true }).filter(
      (entry) => entry.isFile() && !entry.parentPath.includes('/log'),
    )
    const file = files.map((entry) => join(entry.parentPath, entry.name)).find((path) => readFileSync(path).includes('"k":"v"'))
    assert.ok(file !== undefined)
    const bytes = readFileSync(file)
    bytes.write('"k":"w"', bytes.indexOf('"k":"v"'))
    writeFileSync(file, bytes)
    const [listed] = (await done(home, 'ls', 'demo/b', '--quiet')).split('\n')
    const { stdout } = await ends(5, home, 'verify', String(listed))
    assert.match(stdout, /its document sha256:.*\nRead \d+ files \(.*\): 1 problem found\n$/)
  })
})

test('events are filtered by type, by repository and by what they are about', async () => {
  const told = async (...given: readonly string[]): Promise<string> =>
    (await done(origin, 'events', ...given)).replaceAll(/^ +\d+ +\S+ \S+ +(\S+).*$/gm, '$1').replace(/^.*\n/, '')
  assert.equal(await told('--repository', 'demo/b'), 'repository.created\npackage.finalized\n')
  assert.equal(await told('--repository', 'demo', '--type', 'package.*', '--type', 'tag.set'), 'package.finalized\npackage.finalized\ntag.set\n')
  assert.equal(await told('--resource', `packages/${packageId}`), 'package.finalized\n')
  assert.equal(await told('--type', 'nothing.of.it', '--json'), '')
})
