import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { CommandFailure } from './command-failure.ts'
import type { Configuration, ConfigurationSources } from './configuration.ts'
import { configurationKeys, folderOf, platformFolders, readConfiguration, variableOf } from './configuration.ts'
import type { SecretReference } from './secret-reference.ts'
import { webhookMembers } from './webhook-settings.ts'

const guide = await readFile(new URL('../../docs/guides/configuration.md', import.meta.url), 'utf8')

let directory = ''
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'configuration-'))
})
after(() => rm(directory, { recursive: true }))

const read = (sources: Partial<ConfigurationSources>): Promise<Configuration> =>
  readConfiguration({ flags: {}, environment: { HOME: '/home/ann' }, platform: 'linux', ...sources })

async function configFile(content: string): Promise<string> {
  const file = join(directory, `${content.length}.toml`)
  await writeFile(file, content)
  return file
}

const refused = (pattern: RegExp, next?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof CommandFailure)
  assert.equal(error.exitCode, 2)
  assert.match(error.message, pattern)
  if (next !== undefined) assert.match(error.next ?? '', next)
  return true
}

describe('configuration', () => {
  test('a flag wins over a variable, a variable over the file, the file over the default', async () => {
    const file = await configFile("home = 'from-file'")
    const environment = { HOME: '/home/ann', ARTIFACT_STORE_HOME: '/from/variable' }
    assert.equal((await read({ flags: { home: '/from/flag' }, environment, file })).home, '/from/flag')
    assert.equal((await read({ environment, file })).home, '/from/variable')
    assert.equal((await read({ file })).home, join(directory, 'from-file'))
    assert.equal((await read({})).home, '/home/ann/.local/share/artifact-store')
  })

  test('folders of flags and variables are relative to where the command runs', async () => {
    assert.equal((await read({ flags: { home: 'data' } })).home, resolve('data'))
    assert.equal((await read({ environment: { ARTIFACT_STORE_CACHE: 'c' } })).cache, resolve('c'))
  })

  test('the file can be named by a variable, and an empty variable counts as not set', async () => {
    const ARTIFACT_STORE_CONFIG = await configFile('port = 9000')
    assert.equal((await read({ environment: { ARTIFACT_STORE_CONFIG } })).port, 9000)
    assert.equal((await read({ environment: { ARTIFACT_STORE_CONFIG: '', ARTIFACT_STORE_PORT: '' } })).port, 8080)
  })

  test('values have the type of their key, from the file and from variables', async () => {
    const file = await configFile('host = "::1"\nport = 0\nallow_anonymous_bind = true\n')
    const fromFile = await read({ file })
    assert.deepEqual([fromFile.host, fromFile.port, fromFile.allow_anonymous_bind], ['::1', 0, true])
    const environment = { ARTIFACT_STORE_HOST: '::1', ARTIFACT_STORE_PORT: '0', ARTIFACT_STORE_ALLOW_ANONYMOUS_BIND: 'true' }
    const fromEnvironment = await read({ environment })
    assert.deepEqual([fromEnvironment.host, fromEnvironment.port, fromEnvironment.allow_anonymous_bind], ['::1', 0, true])
    await assert.rejects(read({ environment: { ARTIFACT_STORE_PORT: '8o80' } }), refused(/^ARTIFACT_STORE_PORT must be a port number/))
    await assert.rejects(read({ environment: { ARTIFACT_STORE_ALLOW_ANONYMOUS_BIND: 'maybe' } }), refused(/must be true or false/))
    await assert.rejects(read({ file: await configFile('port = 70000') }), refused(/^port in .* must be a port number/))
    await assert.rejects(read({ file: await configFile('home = 12') }), refused(/^home in .* must be a text/))
  })

  test('an unknown key is an error with a suggestion', async () => {
    await assert.rejects(read({ file: await configFile('hoem = "x"') }), refused(/unknown key "hoem"/, /Did you mean "home"\?/))
    await assert.rejects(read({ file: await configFile('database_pool = 1') }), refused(/unknown key/, /Known keys: home, url/))
  })

  test('a file that is missing or is no TOML is named with the place of the mistake', async () => {
    await assert.rejects(read({ file: join(directory, 'none.toml') }), refused(/none\.toml: ENOENT/))
    await assert.rejects(read({ file: await configFile('port = 1\nhost = ::1\n') }), refused(/line 2, column \d+: /))
  })

  test('a server is used, unless a folder is named nearer to the command line', async () => {
    const environment = { ARTIFACT_STORE_URL: 'https://example.org', ARTIFACT_STORE_HOME: '/a' }
    const flag = await read({ flags: { url: 'https://example.org' } })
    assert.deepEqual(flag.server, { url: 'https://example.org', from: '--url' })
    assert.throws(() => folderOf(flag), refused(/works on the folder of a store, and a server is named \(--url\)/, /--store DIR/))
    assert.deepEqual((await read({ environment })).server, { url: 'https://example.org', from: 'ARTIFACT_STORE_URL' })
    const nearer = await read({ environment, flags: { home: '/b' } })
    assert.deepEqual([nearer.server, folderOf(nearer)], [undefined, '/b'])
  })

  test('a token is itself in a variable, in a file that a flag names, and never in the configuration', async () => {
    const environment = { ARTIFACT_STORE_URL: 'https://example.org', ARTIFACT_STORE_TOKEN: 'secret' }
    const tokenOf = async (sources: Partial<ConfigurationSources>): Promise<SecretReference | undefined> => (await read(sources)).server?.token
    assert.deepEqual(await tokenOf({ environment }), { kind: 'env', name: 'ARTIFACT_STORE_TOKEN' })
    assert.deepEqual(await tokenOf({ environment, flags: { token: 'a/token' } }), { kind: 'file', path: resolve('a/token') })
    const url = 'url = "https://example.org"\n'
    assert.deepEqual(await tokenOf({ file: await configFile(`${url}token = "env:MINE"`) }), { kind: 'env', name: 'MINE' })
    assert.deepEqual(await tokenOf({ file: await configFile(`${url}token = "file:/run/token"`) }), { kind: 'file', path: '/run/token' })
    await assert.rejects(
      read({ file: await configFile(`${url}token = "secret"`) }),
      (error: unknown) => refused(/^token in .* must say where the secret is/)(error) && !String(error).includes('"secret"'),
    )
  })

  test('each platform has its own folders', () => {
    assert.deepEqual(platformFolders({ HOME: '/h', XDG_DATA_HOME: '/d', XDG_CACHE_HOME: 'relative' }, 'linux'), {
      data: '/d/artifact-store',
      cache: '/h/.cache/artifact-store',
    })
    assert.equal(platformFolders({ HOME: '/h' }, 'darwin').data, '/h/Library/Application Support/artifact-store')
    assert.equal(platformFolders({ LOCALAPPDATA: '/l' }, 'win32').data, '/l/artifact-store/data')
  })

  test('the guide lists every key with its variable and flag, and no other', async () => {
    const [table = ''] = guide.split('## Defaults')
    const rows = table.split('\n').filter((line) => line.startsWith('| `'))
    const expected = Object.entries(configurationKeys).map(([key, { kind, flag, meaning }]) => {
      const variable = variableOf(key as keyof typeof configurationKeys)
      const flags = flag === '' ? '' : `\`${flag.split(' ')[0] ?? ''}\`${flag.includes(' ') ? flag.slice(flag.indexOf(' ')) : ''}`
      return `| \`${key}\` | ${kind} | \`${variable}\` | ${flags} | ${meaning} |`.replaceAll('|  |', '| |')
    })
    assert.deepEqual(rows, expected)
  })

  test('the example in the guide is a valid file', async () => {
    const example = /```toml\n([^`]*)```/.exec(guide)?.[1] ?? ''
    const file = await configFile(example)
    assert.deepEqual(await read({ file }), {
      home: join(directory, 'data'),
      homeFrom: file,
      cache: '/var/cache/artifact-store',
      host: '127.0.0.1',
      port: 8080,
      allow_anonymous_bind: false,
      tokens: [],
      webhooks: [],
    })
  })

  test('the example of webhooks in the guide is a valid file, and the guide says what each member means', async () => {
    const example = [...guide.matchAll(/```toml\n([^`]*)```/g)][2]?.[1] ?? ''
    const { webhooks } = await read({ file: await configFile(example) })
    assert.deepEqual(webhooks, [
      {
        name: 'chat',
        url: 'https://chat.example.org/hooks/42',
        secret: { kind: 'file', path: '/run/secrets/chat-webhook' },
        events: ['package.finalized', 'hold.*'],
        repository: 'demo',
      },
    ])
    for (const [member, meaning] of Object.entries(webhookMembers)) assert.ok(guide.includes(`| \`${member}\` | ${meaning} |`), member)
    for (const [content, problem] of [
      ['webhooks = 1', /must be written as \[\[webhooks\]\] tables/],
      ['[[webhooks]]\nurl = "http://a"', /name of .* must be a text/],
      ['[[webhooks]]\nname = "a:b"\nurl = "http://a"', /name of .* may have letters/],
      ['[[webhooks]]\nname = "a"\nurl = "http://a"\nsecret = "whsec_x"', /must say where the secret is/],
      ['[[webhooks]]\nname = "a"\nurl = "http://a"\nevents = []', /events of .* must be a list/],
      ['[[webhooks]]\nname = "a"\nurl = "http://a"\nevent = ["x"]', /unknown key "event"/],
      ['[[webhooks]]\nname = "a"\nurl = "http://a"\n[[webhooks]]\nname = "a"\nurl = "http://b"', /two \[\[webhooks\]\]/],
    ] as const) {
      await assert.rejects(read({ file: await configFile(content) }), refused(problem), content)
    }
  })

  test('a State Hub is named by a key, by its variable, or by the variable that others use', async () => {
    const [own, shared] = ['ARTIFACT_STORE_STATE_HUB_URL', 'STATE_HUB_URL']
    assert.equal((await read({})).state_hub_url, undefined)
    assert.equal((await read({ environment: { [shared]: 'http://b' } })).state_hub_url, 'http://b')
    assert.equal((await read({ environment: { [own]: 'http://a', [shared]: 'http://b' } })).state_hub_url, 'http://a')
    assert.equal((await read({ file: await configFile('state_hub_url = "http://c"') })).state_hub_url, 'http://c')
  })

  test('the example of tokens in the guide is a valid file, and tokens are known where keys are', async () => {
    const example = [...guide.matchAll(/```toml\n([^`]*)```/g)][1]?.[1] ?? ''
    const { tokens } = await read({ file: await configFile(example) })
    assert.deepEqual(
      tokens.map(({ name, scopes, repositories }) => [name, scopes, repositories]),
      [
        ['ci', ['read', 'write'], ['demo/**']],
        ['auditor', ['read'], ['**']],
      ],
    )
    await assert.rejects(read({ file: await configFile('[[token]]\nname = "x"\n') }), refused(/token/))
    await assert.rejects(read({ file: await configFile('[[tokenz]]\n') }), refused(/unknown key "tokenz"/, /Did you mean "tokens?"/))
  })
})
