import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { displayPath } from '../core/path.ts'
import { systemReason, usageFailure } from './command-failure.ts'
import { parseSecretReference, type SecretReference } from './secret-reference.ts'
import type { TokenSetting } from './token-settings.ts'
import type { WebhookSetting } from './webhook-settings.ts'

/** Variables of the environment by name. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A server to use instead of a folder. */
export interface ServerSetting {
  readonly url: string
  /** Where `url` was found, for messages. */
  readonly from: string
  /** Where the token is found, if one is to be presented. */
  readonly token?: SecretReference
}

/** Everything that can be set once for all commands. */
export interface Configuration {
  /** The server, when one is named nearer to the command line than a folder. */
  readonly server?: ServerSetting
  /** Folder of the store, absolute. */
  readonly home: string
  /** Where `home` was found, for messages: `--store`, a variable, a file, or the default. */
  readonly homeFrom: string
  /** Folder of what may be forgotten at any time, absolute. */
  readonly cache: string
  readonly host: string
  readonly port: number
  readonly allow_anonymous_bind: boolean
  /** The `[[tokens]]` tables of the configuration file: whom `serve` lets in. */
  readonly tokens: readonly TokenSetting[]
  /** Where links to runs are sent. */
  readonly state_hub_url?: string
  /** Where others find this store; else it is the address of the server, or the folder. */
  readonly public_url?: string
  /** The `[[webhooks]]` tables of the configuration file: who is told of events. */
  readonly webhooks: readonly WebhookSetting[]
}

/** A setting: its key in the configuration file. */
export type ConfigurationKey = 'home' | 'url' | 'token' | 'cache' | 'host' | 'port' | 'allow_anonymous_bind' | 'public_url' | 'state_hub_url'

/** What is known of a setting. `docs/guides/configuration.md` lists exactly these. */
export interface ConfigurationKeyFacts {
  readonly kind: 'folder' | 'text' | 'secret' | 'port' | 'boolean'
  /** The flag that wins over it, and the commands that have it. */
  readonly flag: string
  readonly meaning: string
}

/** All settings. Each is also read from the variable {@link variableOf} it. */
export const configurationKeys: Readonly<Record<ConfigurationKey, ConfigurationKeyFacts>> = {
  home: { kind: 'folder', flag: '--store', meaning: 'Folder of the store.' },
  url: {
    kind: 'text',
    flag: '--url',
    meaning: 'Address of a server to use instead of a folder.',
  },
  token: {
    kind: 'secret',
    flag: '--token-file',
    meaning: 'The token to present to the server: itself in the variable, a file that holds it with the flag; in a file `env:NAME` or `file:/path`.',
  },
  cache: { kind: 'folder', flag: '', meaning: 'Folder where push remembers what the files of a tree hashed to. May be deleted at any time.' },
  host: { kind: 'text', flag: '--host (serve)', meaning: 'Address that serve listens on.' },
  port: { kind: 'port', flag: '--port (serve)', meaning: 'Port that serve listens on; 0 takes any free one.' },
  allow_anonymous_bind: {
    kind: 'boolean',
    flag: '--allow-anonymous-bind (serve)',
    meaning: 'Lets serve listen where other machines reach it, although it asks nobody who they are.',
  },
  public_url: { kind: 'text', flag: '', meaning: 'Address under which others find this store, for links to it.' },
  state_hub_url: { kind: 'text', flag: '', meaning: 'Address of a State Hub, which is told where the runs of guide-board are kept.' },
}

/** The variable of a setting: `ARTIFACT_STORE_` and the key in capitals. */
export function variableOf(key: ConfigurationKey): string {
  return `ARTIFACT_STORE_${key.toUpperCase()}`
}

/** What {@link readConfiguration} looks at. */
export interface ConfigurationSources {
  /** Values given as flags, as text. */
  readonly flags: Readonly<Partial<Record<ConfigurationKey, string | undefined>>>
  /** The file named by `--config`. */
  readonly file?: string | undefined
  readonly environment: Environment
  readonly platform: NodeJS.Platform
}

type Value = string | number | boolean

interface Found {
  readonly value: Value
  readonly from: string
  /** 0 flag, 1 environment, 2 file. */
  readonly rank: number
  /** What relative folders are relative to. */
  readonly base: string
}

/**
 * Finds every setting: flag, then environment, then the file of `--config` (or `ARTIFACT_STORE_CONFIG`), then the default.
 * @throws CommandFailure (usage) for an unknown key, a value of the wrong form, an unreadable file, or when a server is asked for
 */
export async function readConfiguration(sources: ConfigurationSources): Promise<Configuration> {
  const fileName = sources.file ?? set(sources.environment['ARTIFACT_STORE_CONFIG'])
  const { values: file, tokens, webhooks } = fileName === undefined ? emptyFile : await readConfigurationFile(fileName)
  const find = (key: ConfigurationKey): Found | undefined => {
    const base = process.cwd()
    const flag = sources.flags[key]
    if (flag !== undefined) return { value: checked(key, flag, flagName(key)), from: flagName(key), rank: 0, base }
    const variable = set(sources.environment[variableOf(key)])
    if (variable !== undefined) return { value: checked(key, variable, variableOf(key)), from: variableOf(key), rank: 1, base }
    return file.get(key)
  }

  const home = find('home')
  const server = serverSetting(find('url'), home, find('token'))
  const folders = platformFolders(sources.environment, sources.platform)
  // Programs that report to a State Hub share this variable.
  const stateHub = text(find('state_hub_url')) ?? set(sources.environment['STATE_HUB_URL'])
  const publicUrl = text(find('public_url'))
  return {
    home: folder(home) ?? folders.data,
    homeFrom: home?.from ?? 'the default',
    cache: folder(find('cache')) ?? folders.cache,
    host: text(find('host')) ?? '127.0.0.1',
    port: Number(find('port')?.value ?? 8080),
    allow_anonymous_bind: find('allow_anonymous_bind')?.value === true,
    tokens,
    webhooks,
    ...(publicUrl === undefined ? {} : { public_url: publicUrl }),
    ...(stateHub === undefined ? {} : { state_hub_url: stateHub }),
    ...(server === undefined ? {} : { server }),
  }
}

/**
 * The folder of the store, for what works on this machine only.
 * @throws CommandFailure (usage) when a server is to be used
 */
export function folderOf({ home, server }: Configuration): string {
  if (server === undefined) return home
  throw usageFailure(
    `this works on the folder of a store, and a server is named (${server.from})`,
    'Run it on the machine of the store, and name its folder: --store DIR',
  )
}

/** The folders where a program of this platform keeps data and caches of its user. */
export function platformFolders(environment: Environment, platform: NodeJS.Platform): { readonly data: string; readonly cache: string } {
  const home = set(environment['HOME']) ?? homedir()
  if (platform === 'win32') {
    const local = set(environment['LOCALAPPDATA']) ?? join(home, 'AppData', 'Local')
    return { data: join(local, 'artifact-store', 'data'), cache: join(local, 'artifact-store', 'cache') }
  }
  if (platform === 'darwin') {
    return { data: join(home, 'Library', 'Application Support', 'artifact-store'), cache: join(home, 'Library', 'Caches', 'artifact-store') }
  }
  // XDG Base Directory Specification: relative values are to be ignored.
  const data = absolute(environment['XDG_DATA_HOME']) ?? join(home, '.local', 'share')
  const cache = absolute(environment['XDG_CACHE_HOME']) ?? join(home, '.cache')
  return { data: join(data, 'artifact-store'), cache: join(cache, 'artifact-store') }
}

interface ConfigurationFile {
  readonly values: ReadonlyMap<ConfigurationKey, Found>
  readonly tokens: readonly TokenSetting[]
  readonly webhooks: readonly WebhookSetting[]
}

const emptyFile: ConfigurationFile = { values: new Map(), tokens: [], webhooks: [] }

async function readConfigurationFile(name: string): Promise<ConfigurationFile> {
  const shown = displayPath(name)
  const content = await readFile(name, 'utf8').catch((cause: unknown) => {
    throw usageFailure(`cannot read the configuration file ${shown}: ${systemReason(cause)}`)
  })
  const { parse, TomlError } = await import('smol-toml')
  let table: Readonly<Record<string, unknown>>
  try {
    table = parse(content)
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause
    throw usageFailure(`${shown}, line ${cause.line}, column ${cause.column}: ${cause.message.split('\n')[0] ?? ''}`)
  }
  const found = new Map<ConfigurationKey, Found>()
  const { tokens, webhooks, ...values } = table
  for (const [key, value] of Object.entries(values)) {
    if (!isKey(key)) throw unknownKey(key, shown)
    found.set(key, { value: checked(key, value, `${key} in ${shown}`), from: shown, rank: 2, base: dirname(resolve(name)) })
  }
  const { readTokenSettings } = await import('./token-settings.ts')
  const { readWebhookSettings } = await import('./webhook-settings.ts')
  return {
    values: found,
    tokens: tokens === undefined ? [] : readTokenSettings(tokens, shown),
    webhooks: webhooks === undefined ? [] : readWebhookSettings(webhooks, shown),
  }
}

function isKey(key: string): key is ConfigurationKey {
  return Object.hasOwn(configurationKeys, key)
}

function unknownKey(key: string, file: string): Error {
  const known = [...Object.keys(configurationKeys), 'tokens', 'webhooks']
  const [near] = known.map((name) => ({ name, distance: editDistance(key.toLowerCase(), name) })).toSorted((a, b) => a.distance - b.distance)
  const advice = near !== undefined && near.distance <= 3 ? `Did you mean "${near.name}"?` : `Known keys: ${known.join(', ')}.`
  return usageFailure(`unknown key "${displayPath(key)}" in ${file}`, advice)
}

/** How many characters must be changed, added or removed to make one text of the other (Levenshtein). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [i, character] of Array.from(from).entries()) {
    const next = [i + 1]
    for (let j = 0; j < to.length; j++) {
      const substitution = (row[j] ?? 0) + (character === to[j] ? 0 : 1)
      next.push(Math.min(substitution, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}

/** Reads a value as its key wants it; flags and variables come as text. */
function checked(key: ConfigurationKey, value: unknown, where: string): Value {
  const { kind } = configurationKeys[key]
  if (kind === 'boolean') {
    if (value === true || value === 'true' || value === '1') return true
    if (value === false || value === 'false' || value === '0') return false
    throw usageFailure(`${where} must be true or false`)
  }
  if (kind === 'port') {
    const port = typeof value === 'string' && /^\d{1,5}$/.test(value) ? Number(value) : value
    if (typeof port === 'number' && Number.isInteger(port) && port >= 0 && port <= 65_535) return port
    throw usageFailure(`${where} must be a port number from 0 to 65535`)
  }
  if (typeof value !== 'string' || value === '') throw usageFailure(`${where} must be a text that is not empty`)
  return value
}

function serverSetting(url: Found | undefined, home: Found | undefined, token: Found | undefined): ServerSetting | undefined {
  if (url === undefined) return undefined
  // A folder named nearer to the command line than the address wins, as every flag wins over a variable.
  if (home !== undefined && home.rank < url.rank) return undefined
  const server = { url: String(url.value), from: url.from }
  return token === undefined ? server : { ...server, token: tokenReference(token) }
}

/** A flag names a file, a variable is the token itself, and a file says where it is. */
function tokenReference({ value, rank, base, from }: Found): SecretReference {
  if (rank === 0) return { kind: 'file', path: resolve(base, String(value)) }
  return rank === 1 ? { kind: 'env', name: from } : parseSecretReference(String(value), `token in ${from}`)
}

function flagName(key: ConfigurationKey): string {
  return configurationKeys[key].flag.split(' ')[0] ?? key
}

/** An empty variable counts as not set. */
function set(variable: string | undefined): string | undefined {
  return variable === '' ? undefined : variable
}

function absolute(variable: string | undefined): string | undefined {
  return variable?.startsWith('/') === true ? variable : undefined
}

function text(found: Found | undefined): string | undefined {
  return found === undefined ? undefined : String(found.value)
}

function folder(found: Found | undefined): string | undefined {
  return found === undefined ? undefined : resolve(found.base, String(found.value))
}
