import { Buffer } from 'node:buffer'
import canonicalize from 'canonicalize'
import { DocumentInvalidError } from './errors.ts'

/** What JSON can say. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject
/** A JSON object. May hold a key `__proto__`: copy with spread or `Object.fromEntries`, never by assignment. */
export interface JsonObject {
  readonly [key: string]: JsonValue
}

/** Bounds of what is parsed. */
export interface JsonLimits {
  /** Longest input in bytes; 8 MiB unless told. */
  readonly maxBytes?: number
  /** How many arrays and objects may lie in one another; 64 unless told. */
  readonly maxDepth?: number
}

/** Longest JSON input, bytes. */
export const MAX_JSON_BYTES = 8_388_608
/** Deepest nesting of JSON, read or written. */
export const MAX_JSON_DEPTH = 64

/** From here on RFC 8785 writes numbers with an exponent; below, an integer could be taken for one that is exact. */
const EXPONENT_FROM = 1e21

const parseLoosely: (text: string) => JsonValue = JSON.parse

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The one spelling of a value (RFC 8785). What {@link parseJson} would not take back is refused: NaN, infinities, lone surrogates, integers
 * beyond ±(2^53-1), deeper nesting than {@link MAX_JSON_DEPTH}. (-0 is written 0.)
 * @throws DocumentInvalidError
 */
export function canonicalJson(value: JsonValue): string {
  checkWritable(value, 0)
  try {
    return canonicalize(value) ?? ''
  } catch (cause) {
    throw new DocumentInvalidError(`value cannot be written as canonical JSON: ${messageOf(cause)}`, { cause })
  }
}

/** The one spelling of a value, UTF-8. @throws DocumentInvalidError as {@link canonicalJson} */
export function encodeCanonical(value: JsonValue): Uint8Array {
  return Buffer.from(canonicalJson(value))
}

/** Whether a value is an object and no array. What its members are is found out when it is written. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function checkWritable(value: unknown, depth: number): void {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return
  if (typeof value === 'number') {
    if (isInexact(value)) throw new DocumentInvalidError(`integer beyond 2^53-1 in JSON: ${value} (write it as a string)`)
    return
  }
  if (typeof value !== 'object') throw new DocumentInvalidError(`JSON has no way to write ${typeof value}`)
  if (depth === MAX_JSON_DEPTH) throw new DocumentInvalidError(`JSON is nested deeper than ${MAX_JSON_DEPTH}`)
  for (const member of Object.values(value)) checkWritable(member, depth + 1)
}

/** Whether a number is written with the digits of an integer although doubles around it have gaps. */
function isInexact(value: number): boolean {
  return Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < EXPONENT_FROM
}

/**
 * Reads JSON strictly: valid UTF-8 without a byte order mark, no duplicate keys (however escaped), no lone surrogates, no integers beyond
 * ±(2^53-1) and no numbers beyond a double, bounded in size and depth.
 * @throws DocumentInvalidError saying what is wrong and where (an offset in UTF-16 units)
 */
export function parseJson(bytes: Uint8Array, limits: JsonLimits = {}): JsonValue {
  const maxBytes = limits.maxBytes ?? MAX_JSON_BYTES
  if (bytes.byteLength > maxBytes) throw new DocumentInvalidError(`JSON is longer than ${maxBytes} bytes (${bytes.byteLength})`)
  let text: string
  let value: JsonValue
  try {
    text = utf8.decode(bytes)
    value = parseLoosely(text)
  } catch (cause) {
    throw new DocumentInvalidError(`not JSON: ${messageOf(cause)}`, { cause })
  }
  new StrictScan(text, limits.maxDepth ?? MAX_JSON_DEPTH).run()
  return value
}

/** Finds in a text that is JSON what `JSON.parse` lets pass. One pass over the text; memory follows depth and keys of open objects. */
class StrictScan {
  readonly #text: string
  readonly #maxDepth: number
  /** Keys seen in each open object; undefined for an open array. */
  readonly #open: (Set<string> | undefined)[] = []

  constructor(text: string, maxDepth: number) {
    this.#text = text
    this.#maxDepth = maxDepth
  }

  run(): void {
    const text = this.#text
    let position = 0
    let expectsKey = false
    while (position < text.length) {
      const character = text[position]
      switch (character) {
        case '{':
        case '[':
          this.#enter(character, position)
          expectsKey = character === '{'
          break
        case '}':
        case ']':
          this.#open.pop()
          expectsKey = false
          break
        case ',':
          expectsKey = this.#open.at(-1) !== undefined
          break
        case '"': {
          const end = endOfString(text, position)
          const string = this.#string(position, end)
          if (expectsKey) this.#key(string, position)
          expectsKey = false
          position = end
          continue
        }
        default:
          if (character === '-' || (character !== undefined && character >= '0' && character <= '9')) {
            position = this.#number(position)
            continue
          }
      }
      position += 1
    }
  }

  #enter(bracket: string, position: number): void {
    if (this.#open.length === this.#maxDepth) throw refused(`nested deeper than ${this.#maxDepth}`, position)
    this.#open.push(bracket === '{' ? new Set() : undefined)
  }

  #string(start: number, end: number): string {
    const literal = this.#text.slice(start + 1, end - 1)
    // The input was valid UTF-8, so that only an escape can bring in a lone surrogate.
    if (!literal.includes('\\')) return literal
    const string: unknown = JSON.parse(this.#text.slice(start, end))
    if (typeof string !== 'string' || !string.isWellFormed()) throw refused('a lone surrogate in a string', start)
    return string
  }

  #key(key: string, position: number): void {
    const keys = this.#open.at(-1)
    if (keys?.has(key) === true) throw refused(`the key ${JSON.stringify(key.slice(0, 100))} appears twice in one object`, position)
    keys?.add(key)
  }

  #number(start: number): number {
    NUMBER_PATTERN.lastIndex = start
    const literal = NUMBER_PATTERN.exec(this.#text)?.[0] ?? ''
    const value = Number(literal)
    if (!Number.isFinite(value)) throw refused('a number beyond the range of a double', start)
    if (isInexact(value) || (!Number.isSafeInteger(value) && INTEGER_PATTERN.test(literal))) throw refused('an integer beyond 2^53-1', start)
    return start + literal.length
  }
}

const NUMBER_PATTERN = /[-+.0-9eE]+/y
const INTEGER_PATTERN = /^-?[0-9]+$/

/** Where the string literal that starts here ends, exclusive. */
function endOfString(text: string, start: number): number {
  let quote = start
  for (;;) {
    quote = text.indexOf('"', quote + 1)
    let slash = quote - 1
    while (text[slash] === '\\') slash -= 1
    if ((quote - slash) % 2 === 1) return quote + 1
  }
}

function refused(what: string, offset: number): DocumentInvalidError {
  return new DocumentInvalidError(`JSON refused: ${what} (at ${offset})`, { detail: { offset } })
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
