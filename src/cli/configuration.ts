import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { displayPath } from '../core/path.ts'
import { systemReason, usageFailure } from './command-failure.ts'

/** Variables of the environment by name. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Everything that can be set once for all commands. */
export interface Configuration {
  /** Folder of the store, absolute. */
  readonly home: string
  /** Where `home` was found, for messages: `--store`, a variable, a file, or the default. */
  readonly homeFrom: string
  /** Folder of what may be forgotten at any time, absolute. */
  readonly cache: string
  readonly host: string
  readonly port: number
  readonly allow_anonymous_bind: boolean
}

/** A setting: its key in the configuration file. */
export type ConfigurationKey = 'home' | 'url' | 'cache' | 'host' | 'port' | 'allow_anonymous_bind'

/** What is known of a setting. `docs/guides/configuration.md` lists exactly these. */
export interface ConfigurationKeyFacts {
  readonly kind: 'folder' | 'text' | 'port' | 'boolean'
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
    meaning: 'Address of a server to use instead of a folder. Recognised and refused: this release has no network client.',
  },
  cache: { kind: 'folder', flag: '', meaning: 'Folder where push remembers what the files of a tree hashed to. May be deleted at any time.' },
  host: { kind: 'text', flag: '--host (serve)', meaning: 'Address that serve listens on.' },
  port: { kind: 'port', flag: '--port (serve)', meaning: 'Port that serve listens on; 0 takes any free one.' },
  allow_anonymous_bind: {
    kind: 'boolean',
    flag: '--allow-anonymous-bind (serve)',
    meaning: 'Lets serve listen where other machines reach it, although it asks nobody who they are.',
  },
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
  const file = fileName === undefined ? new Map<ConfigurationKey, Found>() : await readConfigurationFile(fileName)
  const find = (key: ConfigurationKey): Found | undefined => {
    const base = process.cwd()
    const flag = sources.flags[key]
    if (flag !== undefined) return { value: checked(key, flag, flagName(key)), from: flagName(key), rank: 0, base }
    const variable = set(sources.environment[variableOf(key)])
    if (variable !== undefined) return { value: checked(key, variable, variableOf(key)), from: variableOf(key), rank: 1, base }
    return file.get(key)
  }

  const home = find('home')
  refuseServer(find('url'), home)
  const folders = platformFolders(sources.environment, sources.platform)
  return {
    home: folder(home) ?? folders.data,
    homeFrom: home?.from ?? 'the default',
    cache: folder(find('cache')) ?? folders.cache,
    host: text(find('host')) ?? '127.0.0.1',
    port: Number(find('port')?.value ?? 8080),
    allow_anonymous_bind: find('allow_anonymous_bind')?.value === true,
  }
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

async function readConfigurationFile(name: string): Promise<ReadonlyMap<ConfigurationKey, Found>> {
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
  for (const [key, value] of Object.entries(table)) {
    if (!isKey(key)) throw unknownKey(key, shown)
    found.set(key, { value: checked(key, value, `${key} in ${shown}`), from: shown, rank: 2, base: dirname(resolve(name)) })
  }
  return found
}

function isKey(key: string): key is ConfigurationKey {
  return Object.hasOwn(configurationKeys, key)
}

function unknownKey(key: string, file: string): Error {
  const known = Object.keys(configurationKeys)
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

function refuseServer(url: Found | undefined, home: Found | undefined): void {
  if (url === undefined) return
  // A folder named nearer to the command line than the address wins, as every flag wins over a variable.
  if (home !== undefined && home.rank < url.rank) return
  throw usageFailure(
    `cannot use a server (${url.from}): this release has no network client`,
    'Name the folder of a store on this machine instead: --store DIR',
  )
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
