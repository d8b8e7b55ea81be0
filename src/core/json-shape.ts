import { isJsonObject, type JsonObject, type JsonValue } from './canonical-json.ts'
import { DocumentInvalidError } from './errors.ts'

/**
 * Reads the members of parsed JSON by type. `where` names the place in messages, as in `layers[3].size`. A member that is absent is `undefined`;
 * the readers refuse it, {@link optional} lets it pass. All throw DocumentInvalidError.
 */
export type Reader<T> = (value: JsonValue | undefined, where: string) => T

/** Reads an object with any members. */
export const readObject: Reader<JsonObject> = (value, where) => {
  if (isJsonObject(value)) return value
  throw unexpected(where, 'an object')
}

/** Reads an object that may have these members and no others. */
export function readClosed(value: JsonValue | undefined, where: string, members: readonly string[]): JsonObject {
  const object = readObject(value, where)
  const unknown = Object.keys(object).find((key) => !members.includes(key))
  if (unknown === undefined) return object
  throw new DocumentInvalidError(`${where} has an unknown member ${JSON.stringify(unknown.slice(0, 100))} (known: ${members.join(', ')})`)
}

/** Reads a string. */
export const readString: Reader<string> = (value, where) => {
  if (typeof value === 'string') return value
  throw unexpected(where, 'a string')
}

/** Reads a boolean. */
export const readBoolean: Reader<boolean> = (value, where) => {
  if (typeof value === 'boolean') return value
  throw unexpected(where, 'true or false')
}

/** Reads an integer from 0 to 2^53-1. */
export const readSize: Reader<number> = (value, where) => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw unexpected(where, 'an integer from 0 to 2^53-1')
}

/** Reads an array of what `item` reads. */
export function readArray<T>(value: JsonValue | undefined, where: string, item: Reader<T>): readonly T[] {
  if (value === undefined || !isArray(value)) throw unexpected(where, 'an array')
  return value.map((element, index) => item(element, `${where}[${index}]`))
}

/** Reads an object whose members are all strings. */
export const readStringMap: Reader<Readonly<Record<string, string>>> = (value, where) => {
  const entries = Object.entries(readObject(value, where))
  return Object.fromEntries(entries.map(([key, member]) => [key, readString(member, `${where}.${key}`)]))
}

/** Reads what may be absent. */
export function optional<T>(value: JsonValue | undefined, where: string, reader: Reader<T>): T | undefined {
  return value === undefined ? undefined : reader(value, where)
}

function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}

function unexpected(where: string, what: string): DocumentInvalidError {
  return new DocumentInvalidError(`${where} must be ${what}`)
}
