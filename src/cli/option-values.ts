import { readFile } from 'node:fs/promises'
import type { JsonObject } from '../core/canonical-json.ts'
import { StoreError } from '../core/errors.ts'
import type { FileSetRule } from '../core/file-set.ts'
import type { PackageLink } from '../core/package-document.ts'
import { displayPath } from '../core/path.ts'
import { systemReason, usageFailure } from './command-failure.ts'

/** Gathers an option that may be given several times. */
export function gather(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}

/** Splits `NAME=VALUE` at the first `=`. @throws CommandFailure (usage) naming the option */
function parsePair(option: string, form: string, text: string): readonly [name: string, value: string] {
  const at = text.indexOf('=')
  if (at <= 0) throw usageFailure(`${option} wants ${form}, not "${displayPath(text)}"`)
  return [text.slice(0, at), text.slice(at + 1)]
}

/** `--link REL=URL`. */
export function parseLink(text: string): PackageLink {
  const [rel, url] = parsePair('--link', 'REL=URL', text)
  return { rel, url }
}

/**
 * `--file-set NAME=GLOB[,GLOB…][:CLASS]`. A comma or colon that belongs to a pattern is written `\,` or `\:`, which the patterns themselves
 * understand (docs/format/glob.md). Names and patterns are checked by the store.
 */
export function parseFileSet(text: string): FileSetRule {
  const [name, rest] = parsePair('--file-set', 'NAME=GLOB[,GLOB…][:CLASS]', text)
  const parts = splitUnescaped(rest, ':')
  const last = parts.length > 1 ? parts.pop() : undefined
  const match = splitUnescaped(parts.join(':'), ',')
  if (match.includes('')) throw usageFailure(`--file-set ${displayPath(name)} has an empty pattern`)
  return last === undefined || last === '' ? { name, match } : { name, match, class: last }
}

function splitUnescaped(text: string, separator: string): string[] {
  const parts = ['']
  let escaped = false
  for (const character of text) {
    if (character === separator && !escaped) {
      parts.push('')
      continue
    }
    escaped = character === '\\' && !escaped
    parts.push((parts.pop() ?? '') + character)
  }
  return parts
}

/** `--range A-B`, both inclusive and counted from 0, as HTTP counts; `A-` to the end; `-N` the last N bytes. */
export type ByteRange = { readonly start: number; readonly end?: number } | { readonly last: number }

/** Reads a {@link ByteRange}. @throws CommandFailure (usage) */
export function parseByteRange(text: string): ByteRange {
  const [, first = '', last = ''] = /^(\d{0,15})-(\d{0,15})$/.exec(text) ?? []
  if (first === '' && last !== '' && Number(last) > 0) return { last: Number(last) }
  if (first !== '' && last === '') return { start: Number(first) }
  if (first !== '' && Number(first) <= Number(last)) return { start: Number(first), end: Number(last) }
  throw usageFailure(`--range wants A-B, A- or -N in bytes (the first byte is 0), not "${displayPath(text)}"`)
}

/** A count of at least 1. @throws CommandFailure (usage) naming the option */
export function parseLimit(option: string, text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text)
  throw usageFailure(`${option} wants a number from 1 on, not "${displayPath(text)}"`)
}

/**
 * Metadata from `--metadata-file` (a JSON object) and `--metadata K=V` (the value is a text); what is given as a flag wins.
 * @returns undefined when neither is given
 * @throws CommandFailure (usage) when the file cannot be read or holds no JSON object
 */
export async function readMetadata(file: string | undefined, pairs: readonly string[]): Promise<JsonObject | undefined> {
  if (file === undefined && pairs.length === 0) return undefined
  const fromFile = file === undefined ? {} : await readMetadataFile(file)
  return Object.fromEntries([...Object.entries(fromFile), ...pairs.map((pair) => parsePair('--metadata', 'KEY=VALUE', pair))])
}

async function readMetadataFile(file: string): Promise<JsonObject> {
  const shown = displayPath(file)
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw usageFailure(`cannot read the metadata file ${shown}: ${systemReason(cause)}`)
  })
  const { parseJson } = await import('../core/canonical-json.ts')
  try {
    const value = parseJson(bytes)
    if (isObject(value)) return value
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    throw usageFailure(`the metadata file ${shown} cannot be used: ${error.message}`)
  }
  throw usageFailure(`the metadata file ${shown} must hold one JSON object, such as {"tests": 12}`)
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Reads `true` or `false`. @throws CommandFailure (usage) naming the option */
export function parseSwitch(option: string, text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined
  if (text === 'true' || text === 'false') return text === 'true'
  throw usageFailure(`${option} wants true or false, not "${displayPath(text)}"`)
}

/** Times as people write them, and their milliseconds. */
const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A length of time such as `24h`, `30m`, `0s`. @returns milliseconds @throws CommandFailure (usage) naming the option */
export function parseDuration(option: string, text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? []
  const milliseconds = TIME_UNITS[unit]
  if (milliseconds === undefined) throw usageFailure(`${option} wants a time such as 24h, 30m or 0s, not "${displayPath(text)}"`)
  return Number(count) * milliseconds
}

/** Bytes a second such as `20M` or `500K`. @throws CommandFailure (usage) naming the option */
export function parseByteRate(option: string, text: string): number {
  const [, count = '', unit = ''] = /^([1-9]\d{0,8})([KMG]?)$/.exec(text) ?? []
  if (count === '') throw usageFailure(`${option} wants bytes a second such as 20M or 500K, not "${displayPath(text)}"`)
  return Number(count) * 1024 ** ['', 'K', 'M', 'G'].indexOf(unit)
}
