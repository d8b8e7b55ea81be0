import { createHash } from 'node:crypto'
import { parseRepositoryPattern, type RepositoryPattern, type Verb, verbs } from '../core/access.ts'
import { displayPath } from '../core/path.ts'
import { StoreError } from '../core/errors.ts'
import type { AcceptedToken } from '../http/authentication.ts'
import { usageFailure } from './command-failure.ts'
import type { Environment } from './configuration.ts'
import { parseSecretReference, type SecretReference, secretReader } from './secret-reference.ts'

/** A token that `serve` accepts, as a `[[tokens]]` table of the configuration file says. Of `hash` and `secret` one is there. */
export interface TokenSetting {
  readonly name: string
  /** SHA-256 of the token. */
  readonly hash?: Uint8Array
  /** Where the token itself is found. */
  readonly secret?: SecretReference
  readonly scopes: readonly Verb[]
  readonly repositories: readonly RepositoryPattern[]
}

/** The members of a `[[tokens]]` table. `docs/guides/configuration.md` lists exactly these. */
export const tokenMembers: Readonly<Record<'name' | 'hash' | 'secret' | 'scopes' | 'repositories', string>> = {
  name: 'What events call whoever presents it, as `token:<name>`: letters, digits, ".", "_", "-".',
  hash: '`sha256:` and the SHA-256 of the token, as the command `token` prints it. Either this or `secret`.',
  secret: 'Where the token itself is found: `env:NAME`, or `file:/path`, which is read again when it changes.',
  scopes: 'What it is good for: `read`, `write`, `delete`, `hold`, `retention`, `admin`.',
  repositories: 'Where: names, `prefix/**` for all below a name, `**` for all.',
}

const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const HASH_PATTERN = /^sha256:[0-9a-f]{64}$/
/** Shorter secrets could be guessed. */
const SHORTEST_SECRET = 20

/** Reads the `[[tokens]]` tables of a file. @throws CommandFailure (usage) */
export function readTokenSettings(value: unknown, file: string): readonly TokenSetting[] {
  if (!Array.isArray(value)) throw usageFailure(`tokens in ${file} must be written as [[tokens]] tables`)
  const settings = value.map((table: unknown, index) => readToken(table, `[[tokens]] number ${index + 1} in ${file}`))
  const twice = settings.find(({ name }, index) => settings.findIndex((other) => other.name === name) < index)
  if (twice !== undefined) throw usageFailure(`two [[tokens]] in ${file} have the name "${twice.name}"`)
  return settings
}

function readToken(table: unknown, where: string): TokenSetting {
  if (typeof table !== 'object' || table === null) throw usageFailure(`${where} must be a table`)
  const members = new Map<string, unknown>(Object.entries(table))
  const unknown = [...members.keys()].find((key) => !Object.hasOwn(tokenMembers, key))
  if (unknown !== undefined)
    throw usageFailure(`unknown key "${displayPath(unknown)}" in ${where}`, `Known keys: ${Object.keys(tokenMembers).join(', ')}.`)
  const name = text(members.get('name'), `name of ${where}`)
  if (!NAME_PATTERN.test(name)) throw usageFailure(`name of ${where} may have letters, digits, ".", "_" and "-", at most 64`)
  const hash = members.get('hash')
  const secret = members.get('secret')
  if ((hash === undefined) === (secret === undefined)) throw usageFailure(`${where} needs either a hash or a secret`)
  return {
    name,
    scopes: list(members.get('scopes'), `scopes of ${where}`).map((scope) => parseScope(scope, where)),
    repositories: list(members.get('repositories'), `repositories of ${where}`).map((pattern) => parsePattern(pattern, where)),
    ...(hash === undefined ? {} : { hash: parseHash(hash, where) }),
    ...(secret === undefined ? {} : { secret: parseSecretReference(text(secret, `secret of ${where}`), `secret of ${where}`) }),
  }
}

/** What a server makes of the settings. @throws CommandFailure (usage) when a secret cannot be read, or is so short that it could be guessed */
export function acceptedTokens(settings: readonly TokenSetting[], environment: Environment): readonly AcceptedToken[] {
  return settings.map(({ name, scopes, repositories, hash, secret }) => {
    if (secret === undefined) return { name, scopes, repositories, hash: () => hash }
    const read = secretReader(secret, environment)
    const first = read()
    if (first === undefined) throw usageFailure(`the secret of token "${name}" cannot be read, or is empty`)
    if (first.length < SHORTEST_SECRET) throw usageFailure(`the secret of token "${name}" is shorter than ${SHORTEST_SECRET} characters`)
    return { name, scopes, repositories, hash: hashOf(read) }
  })
}

/** Hashes what it reads, once for each secret. One that became too short counts as none. */
function hashOf(read: () => string | undefined): () => Uint8Array | undefined {
  let known: string | undefined
  let hash: Uint8Array | undefined
  return () => {
    const secret = read()
    if (secret !== known) hash = secret === undefined || secret.length < SHORTEST_SECRET ? undefined : tokenHash(secret)
    known = secret
    return hash
  }
}

/** SHA-256 of a token. */
export function tokenHash(token: string): Uint8Array {
  return createHash('sha256').update(token).digest()
}

/** Reads the name of a scope. @throws CommandFailure (usage) */
export function parseScope(scope: string, where: string): Verb {
  const found = verbs.find((verb) => verb === scope)
  if (found === undefined) throw usageFailure(`${where}: there is no scope "${displayPath(scope)}"`, `Scopes: ${verbs.join(', ')}.`)
  return found
}

/** Reads a pattern of repositories. @throws CommandFailure (usage) */
export function parsePattern(pattern: string, where: string): RepositoryPattern {
  try {
    return parseRepositoryPattern(pattern)
  } catch (error) {
    if (error instanceof StoreError) throw usageFailure(`${where}: ${error.message}`)
    throw error
  }
}

function parseHash(value: unknown, where: string): Uint8Array {
  if (typeof value === 'string' && HASH_PATTERN.test(value)) return Buffer.from(value.slice('sha256:'.length), 'hex')
  throw usageFailure(`hash of ${where} must be "sha256:" and 64 hexadecimal digits in lower case`, 'The command token prints it.')
}

function list(value: unknown, where: string): readonly string[] {
  if (!Array.isArray(value) || value.length === 0) throw usageFailure(`${where} must be a list with at least one text`)
  return value.map((item: unknown) => text(item, where))
}

function text(value: unknown, where: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw usageFailure(`${where} must be a text that is not empty`)
}
