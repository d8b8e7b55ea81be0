import { readFile } from 'node:fs/promises'
import { defaultRedactionRules, LEAD_BYTES, type RedactionRule } from '../adapters/redactor-rules/redaction-rule.ts'
import { displayPath } from '../core/path.ts'
import { systemReason, usageFailure } from './command-failure.ts'

const NAME_PATTERN = /^[a-z0-9][a-z0-9-]{0,63}$/
/** White space that one blank of a text stands for at most. */
const BLANK = 8
/** Ends a secret when a rule says nothing else. */
const ENDS_AT = '\r\n"\\'

/**
 * Reads redaction rules, from a file in TOML or (named `.json`) JSON: `defaults`, and a list `rules` of `{name, after, ends_at?}`. `after` are the texts
 * that stand right before a secret, upper or lower case; a blank in them stands for up to 8 of any white space, or none.
 * @throws CommandFailure (usage)
 */
export async function readRedactionRules(file: string): Promise<readonly RedactionRule[]> {
  const shown = displayPath(file)
  const content = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw usageFailure(`cannot read the redaction rules ${shown}: ${systemReason(cause)}`)
  })
  const document = members(await parse(content, file), shown, ['defaults', 'rules'])
  const { defaults = true, rules = [] } = document
  if (typeof defaults !== 'boolean') throw usageFailure(`defaults in ${shown} must be true or false`)
  if (!Array.isArray(rules)) throw usageFailure(`rules in ${shown} must be a list`)
  const own = rules.map((rule: unknown, index) => readRule(rule, `rule ${index + 1} in ${shown}`))
  const all = defaults ? [...defaultRedactionRules, ...own] : own
  const twice = all.find(({ name }, index) => all.findIndex((other) => other.name === name) < index)
  if (twice !== undefined) throw usageFailure(`there are two rules "${twice.name}" in ${shown}`, 'The default rules have names too.')
  return all
}

async function parse(content: string, file: string): Promise<unknown> {
  try {
    if (file.endsWith('.json')) return JSON.parse(content)
    const { parse: parseToml } = await import('smol-toml')
    return parseToml(content)
  } catch (cause) {
    throw usageFailure(`${displayPath(file)}: ${cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause)}`)
  }
}

function readRule(value: unknown, where: string): RedactionRule {
  const { name, after, ends_at: endsAt = ENDS_AT } = members(value, where, ['name', 'after', 'ends_at'])
  if (typeof name !== 'string' || !NAME_PATTERN.test(name)) throw usageFailure(`name of ${where} must be lower-case letters, digits and "-"`)
  if (typeof endsAt !== 'string' || endsAt === '') throw usageFailure(`ends_at of ${where} must be the characters that end a secret`)
  const texts: readonly unknown[] = Array.isArray(after) ? after : []
  if (texts.length === 0) throw usageFailure(`after of ${where} must be a list of texts`)
  return { name, lead: new RegExp(texts.map((text) => leadOf(text, where)).join('|'), 'gi'), endsAt: latin1(endsAt) }
}

/** A pattern of bounded length: what may follow a lead is held back only so far. */
function leadOf(text: unknown, where: string): string {
  if (typeof text !== 'string' || text.trim() === '') throw usageFailure(`after of ${where} must be a list of texts`)
  const words = latin1(text)
    .split(' ')
    .map((word) => RegExp.escape(word))
  const longest = Buffer.byteLength(text) + (words.length - 1) * BLANK
  if (longest > LEAD_BYTES) throw usageFailure(`a text of ${where} is too long: it may match ${longest} bytes, at most ${LEAD_BYTES} are possible`)
  return words.join(`\\s{0,${BLANK}}`)
}

/** The bytes of a text as the characters that rules are matched with. */
function latin1(text: string): string {
  return Buffer.from(text).toString('latin1')
}

function members(value: unknown, where: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw usageFailure(`${where} must be a table`)
  const unknown = Object.keys(value).find((key) => !known.includes(key))
  if (unknown !== undefined) throw usageFailure(`unknown key "${displayPath(unknown)}" in ${where}`, `Known keys: ${known.join(', ')}.`)
  return Object.fromEntries(Object.entries(value))
}
