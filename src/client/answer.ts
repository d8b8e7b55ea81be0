import { parseDigest, type Digest } from '../core/digest-text.ts'
import { DocumentInvalidError } from '../core/errors.ts'
import type { JsonObject } from '../core/canonical-json.ts'
import type { Page } from '../store/interface.ts'

/**
 * Reads parsed JSON of an answer by type; `where` names the place in messages. Members that are not known are passed over: a newer server may say more.
 * All throw DocumentInvalidError.
 */
export type Read<T> = (value: unknown, where: string) => T

/** Reads a text. */
export const readText: Read<string> = (value, where) => {
  if (typeof value === 'string') return value
  throw unexpected(where, 'a text')
}

/** Reads an integer from 0 to 2^53-1. */
export const readCount: Read<number> = (value, where) => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw unexpected(where, 'a number from 0 to 2^53-1')
}

/** Reads a boolean. */
export const readBoolean: Read<boolean> = (value, where) => {
  if (typeof value === 'boolean') return value
  throw unexpected(where, 'true or false')
}

/** Reads a digest. */
export const readDigest: Read<Digest> = (value, where) => branded(parseDigest, value, where)

/** Reads an object whose members are the user's own. */
export const readJsonObject: Read<JsonObject> = (value, where) => {
  if (isJsonObject(value)) return value
  throw unexpected(where, 'an object')
}

/** Reads an object whose members are all texts. */
export const readTextMap: Read<Readonly<Record<string, string>>> = (value, where) =>
  Object.fromEntries(Object.entries(readJsonObject(value, where)).map(([key, member]) => [key, readText(member, `${where}.${key}`)]))

/** Reads one of a few words. */
export function readWord<const Word extends string>(...words: readonly Word[]): Read<Word> {
  return (value, where) => {
    const found = words.find((word) => word === value)
    if (found !== undefined) return found
    throw unexpected(where, words.join(' or '))
  }
}

/** Reads a list of what `item` reads. */
export function readList<T>(item: Read<T>): Read<readonly T[]> {
  return (value, where) => {
    if (!Array.isArray(value)) throw unexpected(where, 'a list')
    return value.map((element: unknown, index) => item(element, `${where}[${index}]`))
  }
}

/** Reads what a parser of `core` makes of a text. */
export function readBrand<T>(parse: (text: string) => T): Read<T> {
  return (value, where) => branded(parse, value, where)
}

/** Reads one page of a list. */
export function readPage<T>(item: Read<T>): Read<Page<T>> {
  return (value, where) => {
    const members = new Members(value, where)
    return { items: members.one('items', readList(item)), ...members.maybe('next', readText) }
  }
}

/** An object of an answer, read member by member. */
export class Members {
  readonly #object: JsonObject
  readonly #where: string

  constructor(value: unknown, where: string) {
    this.#object = readJsonObject(value, where)
    this.#where = where
  }

  /** A member that must be there. */
  one<T>(name: string, read: Read<T>): T {
    return read(this.#object[name], `${this.#where}.${name}`)
  }

  /** A member that may be missing: an object that has it, or nothing. */
  maybe<Name extends string, T>(name: Name, read: Read<T>): { readonly [Key in Name]?: T } {
    const value = this.#object[name]
    const found = value === undefined || value === null ? {} : { [name]: read(value, `${this.#where}.${name}`) }
    // Sound: the only member it can have is the one named, as `read` made it.
    return found as { readonly [Key in Name]?: T }
  }
}

function branded<T>(parse: (text: string) => T, value: unknown, where: string): T {
  const text = readText(value, where)
  try {
    return parse(text)
  } catch (cause) {
    throw new DocumentInvalidError(`the server's answer has no proper ${where}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function unexpected(where: string, what: string): DocumentInvalidError {
  return new DocumentInvalidError(`the server's answer is not understood: ${where} must be ${what}`)
}
