import { Type, type Static, type TInteger, type TObject, type TProperties, type TString, type TUnsafe } from 'typebox'
import type { JsonObject } from '../../core/canonical-json.ts'

/**
 * What a type of the store looks like as JSON: brands are plain strings, lists are lists. Used to hold a schema against the type it describes.
 */
export type Wire<T> = T extends string
  ? string
  : T extends readonly (infer Item)[]
    ? Wire<Item>[]
    : T extends object
      ? { -readonly [Key in keyof T]: Wire<T[Key]> }
      : T

/** Fails to compile unless schema and type say the same, both ways. */
type Same<T, Members extends TProperties> = [Wire<Static<TObject<Members>>>] extends [Wire<T>]
  ? [Wire<T>] extends [Wire<Static<TObject<Members>>>]
    ? Members
    : never
  : never

/**
 * Makes the closed schema of a type: `closed<OpenPackage>()({ … })`. An unknown member is refused, and a schema that differs from the type does not
 * compile.
 * @param title names the schema in documents, where it then stands once
 */
export function closed<T>(
  title?: string,
): <Members extends TProperties>(
  members: Members & Same<T, Members>,
  options?: { readonly $id?: string; readonly description?: string },
) => TUnsafe<T> {
  const name = title === undefined ? {} : { title }
  return (members, options = {}) => Type.Unsafe<T>(Type.Object(members, { ...name, ...options, additionalProperties: false }))
}

/** A JSON object with members of the user's own. */
export function freeObject(description: string): TUnsafe<JsonObject> {
  return Type.Unsafe<JsonObject>({ type: 'object', description, additionalProperties: true })
}

/** A text of at most `maxLength` characters; forms are checked by the store, which says what is wrong with them. */
export function text(description: string, maxLength = 1024): TString {
  return Type.String({ description, maxLength })
}

/** Where {@link spelled} keeps a spelling: a keyword that nothing is validated by. */
export const SPELLING = 'x-spelling'

/**
 * A text of at most `maxLength` characters that is spelled like this, a regular expression. Documents say so; what is spelled otherwise is refused by
 * the store, in words that help more than a pattern.
 */
export function spelled(description: string, maxLength: number, spelling: string): TString {
  return Type.String({ description, maxLength, [SPELLING]: spelling })
}

/** One of a few words. */
export function oneOf<const Word extends string>(words: readonly Word[], description: string): TUnsafe<Word> {
  return Type.Unsafe<Word>({ type: 'string', enum: [...words], description })
}

/** A number of bytes, files or packages. */
export function count(description: string): TInteger {
  return Type.Integer({ description, minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
}

/** An RFC 3339 time in UTC. */
export function time(description: string): TString {
  return Type.String({ description, format: 'date-time' })
}
