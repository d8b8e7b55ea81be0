import assert from 'node:assert/strict'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, mock, test } from 'node:test'
import { CommandFailure } from './command-failure.ts'
import { parseSecretReference, secretReader } from './secret-reference.ts'
import { acceptedTokens, readTokenSettings, tokenHash, tokenMembers } from './token-settings.ts'

let directory = ''
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tokens-'))
})
after(() => rm(directory, { recursive: true }))

const hash = `sha256:${'ab'.repeat(32)}`
const table = { name: 'ci', hash, scopes: ['read', 'write'], repositories: ['demo/**'] }

describe('a [[tokens]] table', () => {
  test('says who may come in, and what for', () => {
    const [setting, second] = readTokenSettings([table, { ...table, name: 'b', hash: undefined, secret: 'env:B' }].map(defined), 'f.toml')
    assert.deepEqual(setting, { name: 'ci', hash: Buffer.alloc(32, 0xab), scopes: ['read', 'write'], repositories: ['demo/**'] })
    assert.deepEqual(second?.secret, { kind: 'env', name: 'B' })
  })

  test('with a mistake is refused, and the mistake is named', () => {
    const cases: readonly (readonly [object, RegExp])[] = [
      [{ scope: ['read'] }, /unknown key "scope"/],
      [{ name: 'a b' }, /name of \[\[tokens\]\] number 1/],
      [{ hash: 'secret' }, /hash of .* must be "sha256:"/],
      [{ hash: `sha256:${'AB'.repeat(32)}` }, /hash of/],
      [{ secret: 'env:A' }, /needs either a hash or a secret/],
      [{ hash: undefined }, /needs either a hash or a secret/],
      [{ hash: undefined, secret: 'my-secret' }, /env:NAME or file:\/absolute\/path/],
      [{ hash: undefined, secret: 'file:relative' }, /env:NAME or file:/],
      [{ scopes: ['write', 'all'] }, /there is no scope "all"/],
      [{ scopes: [] }, /scopes of .* must be a list/],
      [{ scopes: 'read' }, /scopes of .* must be a list/],
      [{ repositories: ['demo/*'] }, /not a pattern of repositories/],
    ]
    for (const [change, pattern] of cases) {
      assert.throws(
        () => readTokenSettings([defined({ ...table, ...change })], 'f.toml'),
        (error: unknown) => error instanceof CommandFailure && error.exitCode === 2 && pattern.test(error.message),
        JSON.stringify(change),
      )
    }
    assert.throws(() => readTokenSettings([table, table], 'f.toml'), /have the name "ci"/)
    assert.throws(() => readTokenSettings('x', 'f.toml'), /\[\[tokens\]\] tables/)
  })

  test('is explained in the guide, member by member', async () => {
    const guide = await readFile(new URL('../../docs/guides/configuration.md', import.meta.url), 'utf8')
    for (const [member, meaning] of Object.entries(tokenMembers)) assert.ok(guide.includes(`| \`${member}\` | ${meaning} |`), member)
  })
})

describe('the secret of a token', () => {
  test('is read where the setting says, and must not be so short that it can be guessed', () => {
    const [setting] = readTokenSettings([defined({ ...table, hash: undefined, secret: 'env:T' })], 'f.toml')
    assert.ok(setting)
    const [accepted] = acceptedTokens([setting], { T: ' a-long-enough-secret-of-ci\n' })
    assert.deepEqual(accepted?.hash(), tokenHash('a-long-enough-secret-of-ci'))
    assert.throws(() => acceptedTokens([setting], {}), /cannot be read/)
    assert.throws(() => acceptedTokens([setting], { T: 'short' }), /shorter than 20/)
  })

  test('in a file is read again when the file changes', async () => {
    const file = join(directory, 'secret')
    await writeFile(file, 'first-secret-of-this-token\n')
    let now = 10_000
    const clock = mock.method(performance, 'now', () => now)
    const read = secretReader(parseSecretReference(`file:${file}`, 'x'), {})
    assert.equal(read(), 'first-secret-of-this-token')
    await writeFile(`${file}.new`, 'second-secret-of-this-token\n')
    await rename(`${file}.new`, file)
    assert.equal(read(), 'first-secret-of-this-token', 'at most once a second')
    now += 1_001
    assert.equal(read(), 'second-secret-of-this-token')
    await rm(file)
    now += 1_001
    assert.equal(read(), undefined)
    clock.mock.restore()
  })
})

function defined(members: object): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
}
