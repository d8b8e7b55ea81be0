import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { runCli } from './cli.ts'
import { readConfiguration } from './configuration.ts'

let folder = ''
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'setting-up-'))
  await done('init')
})
after(() => rmSync(folder, { recursive: true }))

async function cli(...given: readonly string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const pieces: { stdout: string; stderr: string } = { stdout: '', stderr: '' }
  const collector = (name: 'stdout' | 'stderr'): Writable =>
    new Writable({
      write: (piece, _encoding, taken) => {
        pieces[name] += String(piece)
        taken()
      },
    })
  const code = await runCli({
    arguments: given,
    environment: { HOME: folder, ARTIFACT_STORE_HOME: join(folder, 'store') },
    platform: 'linux',
    stdin: Readable.from([]),
    stdout: collector('stdout'),
    stderr: collector('stderr'),
    signals: new EventEmitter(),
    kill: () => assert.fail('killed'),
  })
  return { code, ...pieces }
}

async function done(...given: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(...given)
  assert.equal(code, 0, stderr)
  return stdout
}

describe('repository', () => {
  test('set changes what is named and leaves the rest, show tells what holds', async () => {
    const policyOf = async (...given: readonly string[]): Promise<unknown> =>
      (JSON.parse(await done('repository', ...given, '--json')) as { policy: unknown }).policy
    assert.deepEqual(await policyOf('set', 'demo/app', '--default-class', 'raw-evidence', '--immutable-tags', 'true'), {
      defaultClass: 'raw-evidence',
      immutableTags: true,
    })
    assert.deepEqual(await policyOf('set', 'demo/app', '--public-read', 'true', '--immutable-tags', 'false'), {
      defaultClass: 'raw-evidence',
      publicRead: true,
    })
    assert.deepEqual(await policyOf('set', 'demo/app', '--default-class', 'none', '--separation-of-duties', 'true'), {
      publicRead: true,
      separationOfDuties: true,
    })
    assert.deepEqual(await policyOf('show', 'demo/app'), { publicRead: true, separationOfDuties: true })
    const shown = await done('repository', 'show', 'demo/app')
    assert.match(shown, /^repository +demo\/app$/m)
    assert.match(shown, /^default class +none$/m)
    assert.match(shown, /^public read +yes$/m)
  })

  test('set refuses what is no policy, and show what is not there', async () => {
    const cases: readonly (readonly [number, RegExp, ...string[]])[] = [
      [2, /nothing to change was named/, 'set', 'demo/app'],
      [2, /--public-read wants true or false/, 'set', 'demo/app', '--public-read', 'yes'],
      [2, /unknown retention class 'x'/, 'set', 'demo/app', '--default-class', 'x'],
      [2, /not a repository name/, 'set', 'No Name', '--public-read', 'true'],
      [3, /no repository 'demo\/none'/, 'show', 'demo/none'],
    ]
    for (const [expected, message, ...given] of cases) {
      const { code, stderr } = await cli('repository', ...given)
      assert.match(stderr, message)
      assert.equal(code, expected, stderr)
    }
  })
})

describe('schema', () => {
  test('add registers a file, list and show tell of it, and push holds metadata to it', async () => {
    const file = join(folder, 'report.schema.json')
    writeFileSync(file, JSON.stringify({ type: 'object', required: ['board'], properties: { board: { type: 'string', maxLength: 3 } } }))
    assert.match(await done('schema', 'add', 'report.v1', file), /^report\.v1 is sha256:[0-9a-f]{64}\n$/)
    assert.equal(await done('schema', 'list', '--quiet'), 'report.v1\n')
    assert.deepEqual(JSON.parse(await done('schema', 'show', 'report.v1')), JSON.parse(await done('schema', 'show', 'report.v1', '--json')))
    const facts = ['push', file, '--repository', 'demo/schemas', '--schema', 'report.v1']
    const { code, stderr } = await cli(...facts, '--metadata', 'board=four')
    assert.equal(code, 2)
    assert.match(stderr, /does not fit schema 'report.v1': \/board must NOT have more than 3 characters/)
    const all = await cli('push', file, '--repository', 'demo/schemas', '--schema', 'report.v1', '--metadata', 'bord=a')
    assert.match(all.stderr, /must have required property 'board'/)
    await done(...facts, '--metadata', 'board=one')
  })

  test('add refuses what is no schema', async () => {
    const bad = join(folder, 'bad.json')
    for (const [content, message] of [
      ['{"type": "nonsense"}', /the schema cannot be used/],
      ['[]', /must hold one JSON object/],
      ['{', /is no JSON/],
    ] as const) {
      writeFileSync(bad, content)
      const { code, stderr } = await cli('schema', 'add', 'bad.v1', bad)
      assert.deepEqual([code, message.test(stderr)], [2, true], stderr)
    }
    assert.match((await cli('schema', 'add', 'bad.v1', join(folder, 'absent.json'))).stderr, /cannot read the schema/)
    assert.equal((await cli('schema', 'show', 'bad.v1')).code, 3)
  })
})

describe('serve', () => {
  test('lets in whom the configuration names, and listens anywhere when it does', async (context) => {
    const printed = await done('token', 'ci', '--scope', 'read', '--scope', 'write', '--repository', 'served/**')
    const [, token = ''] = /^Token: (\S+)$/m.exec(printed) ?? []
    const file = join(folder, 'serve.toml')
    writeFileSync(file, printed.slice(printed.indexOf('[[tokens]]')))
    const signals = new EventEmitter()
    context.after(() => signals.emit('SIGTERM'))
    const [address, stopped] = serveWith(signals, '--host', '0.0.0.0', '--port', '0', '--config', file)
    const url = (await address).replace('0.0.0.0', '127.0.0.1')
    const open = (headers: Readonly<Record<string, string>>): Promise<Response> =>
      fetch(`${url}/packages`, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: '{"repository":"served/a"}' })
    assert.equal((await open({})).status, 401)
    assert.equal((await open({ Authorization: 'Bearer wrong' })).status, 401)
    assert.equal((await open({ Authorization: `Bearer ${token}` })).status, 201)
    await done('repository', 'set', 'shown', '--public-read', 'true')
    await done('repository', 'set', 'hidden', '--public-read', 'false')
    const list = await fetch(`${url}/repositories`, { headers: { Authorization: `Bearer ${token}` } })
    const names = ((await list.json()) as { items: readonly { name: string }[] }).items.map(({ name }) => name)
    assert.deepEqual([names.includes('served/a'), names.includes('shown'), names.includes('hidden')], [true, true, false])
    const events = (await done('events', '--json'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { actor: string; resource: string })
    assert.deepEqual(
      events.filter(({ resource }) => resource === 'repositories/served/a').map(({ actor }) => actor),
      ['token:ci'],
    )
    signals.emit('SIGTERM')
    assert.equal(await stopped, 0)
  })

  test('refuses a secret that is not there', async () => {
    const file = join(folder, 'secret.toml')
    writeFileSync(file, '[[tokens]]\nname = "x"\nsecret = "env:NOT_THERE"\nscopes = ["read"]\nrepositories = ["**"]\n')
    const { code, stderr } = await cli('serve', '--port', '0', '--config', file)
    assert.deepEqual([code, /the secret of token "x" cannot be read/.test(stderr)], [2, true], stderr)
  })
})

/** Runs `serve`. @returns its address, and the exit code it ends with */
function serveWith(signals: EventEmitter, ...given: readonly string[]): readonly [address: Promise<string>, stopped: Promise<number>] {
  const address = Promise.withResolvers<string>()
  const stdout = new Writable({
    write: (piece, _encoding, taken) => {
      const { address: found } = JSON.parse(String(piece)) as { address: string }
      address.resolve(found)
      taken()
    },
  })
  const stderr = new Writable({ write: (_piece, _encoding, taken) => taken() })
  const environment = { HOME: folder, ARTIFACT_STORE_HOME: join(folder, 'store') }
  const stdin = Readable.from([])
  const stopped = runCli({
    arguments: ['serve', '--json', ...given],
    environment,
    platform: 'linux',
    stdin,
    stdout,
    stderr,
    signals,
    kill: () => assert.fail('killed'),
  })
  return [address.promise, stopped]
}

describe('token', () => {
  test('makes a token that cannot be guessed, and the table that lets it in', async () => {
    const printed = await done('token', 'ci', '--scope', 'read', '--scope', 'write', '--repository', 'demo/**')
    const [, token = ''] = /^Token: (ast_[A-Za-z0-9_-]{43})$/m.exec(printed) ?? []
    const file = join(folder, 'artifact-store.toml')
    writeFileSync(file, printed.slice(printed.indexOf('[[tokens]]')))
    const { tokens } = await readConfiguration({ flags: {}, environment: {}, platform: 'linux', file })
    assert.deepEqual(tokens, [
      { name: 'ci', scopes: ['read', 'write'], repositories: ['demo/**'], hash: createHash('sha256').update(token).digest() },
    ])
    assert.notEqual(await done('token', 'ci', '--quiet'), await done('token', 'ci', '--quiet'))
  })

  test('refuses names, scopes and patterns that are none', async () => {
    for (const given of [['a b'], ['ci', '--scope', 'all'], ['ci', '--repository', 'demo/*']]) {
      assert.equal((await cli('token', ...given)).code, 2, given.join(' '))
    }
  })
})
