import type { Brand } from './brand.ts'
import { encodeCanonical, type JsonObject } from './canonical-json.ts'
import { InputInvalidError, LimitExceededError, NameInvalidError } from './errors.ts'

/** A dotted name that ends in its version, such as `report.run.v1`. */
export type SchemaName = Brand<string, 'SchemaName'>

/** The only dialect of JSON Schema that is understood here. */
const DIALECT = 'https://json-schema.org/draft/2020-12/schema'
/** Largest schema, bytes of canonical JSON. */
const LARGEST_SCHEMA = 262_144
const LONGEST_NAME = 128
const NAME_PATTERN = /^[a-z0-9]+(?:[._-][a-z0-9]+)*\.v\d+(?:\.\d+)*$/

/** Reads the name of a schema. @throws NameInvalidError */
export function parseSchemaName(text: string): SchemaName {
  if (isSchemaName(text)) return text
  throw new NameInvalidError(
    `not the name of a schema: ${JSON.stringify(text.slice(0, 300))} (lower-case words separated by ".", "-" or "_", ending in a version, such as report.run.v1)`,
  )
}

function isSchemaName(text: string): text is SchemaName {
  return text.length <= LONGEST_NAME && NAME_PATTERN.test(text)
}

/**
 * Writes a schema in its one spelling. Whether it is a schema that can be used is found out by compiling it.
 * @throws LimitExceededError, InputInvalidError for another dialect, DocumentInvalidError for what is nested too deeply
 */
export function encodeMetadataSchema(schema: JsonObject): Uint8Array {
  const dialect = schema['$schema']
  if (dialect !== undefined && dialect !== DIALECT) {
    throw new InputInvalidError(`$schema must be ${DIALECT}, or be left out; no other dialect is understood`)
  }
  const bytes = encodeCanonical(schema)
  if (bytes.length <= LARGEST_SCHEMA) return bytes
  throw new LimitExceededError(`the schema takes ${bytes.length} bytes; at most ${LARGEST_SCHEMA} are allowed`)
}

/** One thing that is wrong with metadata: a JSON pointer (empty: the whole) and what is wrong there. */
export interface MetadataProblem {
  readonly path: string
  readonly message: string
}
