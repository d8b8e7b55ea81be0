import { displayPath } from '../core/path.ts'
import { usageFailure } from './command-failure.ts'
import { parseSecretReference, type SecretReference } from './secret-reference.ts'

/** Somebody who is told of events, as a `[[webhooks]]` table of the configuration file says. */
export interface WebhookSetting {
  readonly name: string
  readonly url: string
  readonly secret?: SecretReference
  readonly events?: readonly string[]
  readonly repository?: string
}

/** The members of a `[[webhooks]]` table. `docs/guides/configuration.md` lists exactly these. */
export const webhookMembers: Readonly<Record<'name' | 'url' | 'secret' | 'events' | 'repository', string>> = {
  name: 'Under this name the store remembers what it told: letters, digits, ".", "_", "-". A new name is told everything from the beginning.',
  url: 'Where events are posted to. The operator may name addresses that are not public.',
  secret: 'Where the secret that signs them is found: `env:NAME`, or `file:/path`, which is read again when it changes. Not signed without.',
  events: 'Which types of events, such as `package.finalized`; `package.*` for all that begin so. All without.',
  repository: 'Only what happens in this repository, and in those below it.',
}

const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** Reads the `[[webhooks]]` tables of a file. @throws CommandFailure (usage) */
export function readWebhookSettings(value: unknown, file: string): readonly WebhookSetting[] {
  if (!Array.isArray(value)) throw usageFailure(`webhooks in ${file} must be written as [[webhooks]] tables`)
  const settings = value.map((table: unknown, index) => readWebhook(table, `[[webhooks]] number ${index + 1} in ${file}`))
  const twice = settings.find(({ name }, index) => settings.findIndex((other) => other.name === name) < index)
  if (twice !== undefined) throw usageFailure(`two [[webhooks]] in ${file} have the name "${twice.name}"`)
  return settings
}

function readWebhook(table: unknown, where: string): WebhookSetting {
  if (typeof table !== 'object' || table === null) throw usageFailure(`${where} must be a table`)
  const members = new Map<string, unknown>(Object.entries(table))
  const unknown = [...members.keys()].find((key) => !Object.hasOwn(webhookMembers, key))
  if (unknown !== undefined)
    throw usageFailure(`unknown key "${displayPath(unknown)}" in ${where}`, `Known keys: ${Object.keys(webhookMembers).join(', ')}.`)
  const name = text(members.get('name'), `name of ${where}`)
  if (!NAME_PATTERN.test(name)) throw usageFailure(`name of ${where} may have letters, digits, ".", "_" and "-", at most 64`)
  const [secret, events, repository] = [members.get('secret'), members.get('events'), members.get('repository')]
  return {
    name,
    url: text(members.get('url'), `url of ${where}`),
    ...(secret === undefined ? {} : { secret: parseSecretReference(text(secret, `secret of ${where}`), `secret of ${where}`) }),
    ...(events === undefined ? {} : { events: list(events, `events of ${where}`) }),
    ...(repository === undefined ? {} : { repository: text(repository, `repository of ${where}`) }),
  }
}

function list(value: unknown, where: string): readonly string[] {
  if (!Array.isArray(value) || value.length === 0) throw usageFailure(`${where} must be a list with at least one text`)
  return value.map((item: unknown) => text(item, where))
}

function text(value: unknown, where: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw usageFailure(`${where} must be a text that is not empty`)
}
