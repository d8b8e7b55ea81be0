import { type ErrorObject, Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import type { MetadataProblem } from '../core/metadata-schema.ts'

/** What a thread is asked: to compile a schema (JSON text, named by its digest) and, with a value (JSON text), to hold the value against it. */
export interface SchemaTask {
  readonly digest: string
  readonly schema: string
  readonly value?: string
}

/** What came of it: `refused` says why the schema cannot be used. */
export type SchemaOutcome = { readonly problems: readonly MetadataProblem[] } | { readonly refused: string }

/** Problems that are told; whoever made so many will find the rest. */
const TOLD_PROBLEMS = 100
/** Compiled schemas that are kept. */
const KEPT = 50

const compiled = new Map<string, ValidateFunction>()

/** Compiles and validates. Takes as long as the schema wants, which is why it runs on a thread of its own: see {@link SchemaThread}. */
export function runSchemaTask({ digest, schema, value }: SchemaTask): SchemaOutcome {
  try {
    const validate = compiledSchema(digest, schema)
    if (value === undefined) return { problems: [] }
    const parsed: unknown = JSON.parse(value)
    const isValid: unknown = validate(parsed)
    if (isValid === true) return { problems: [] }
    return { problems: (validate.errors ?? []).slice(0, TOLD_PROBLEMS).map(problemOf) }
  } catch (error) {
    return { refused: error instanceof Error ? error.message : String(error) }
  }
}

function compiledSchema(digest: string, text: string): ValidateFunction {
  const known = compiled.get(digest)
  if (known !== undefined) return known
  const schema: unknown = JSON.parse(text)
  if (typeof schema !== 'object' || schema === null) throw new TypeError('a schema is an object')
  if ('$async' in schema) throw new TypeError('$async is no keyword of JSON Schema')
  // One for each schema: what one calls itself by $id is nothing to another. Unknown keywords and formats are mistakes; nothing is fetched.
  const ajv = new Ajv2020({ strictSchema: true, strictNumbers: true, allErrors: true, inlineRefs: false, logger: false, unicodeRegExp: true })
  formats.default(ajv)
  const validate = ajv.compile(schema)
  // One that refers to itself without end shows it at once.
  validate({})
  if (compiled.size >= KEPT) compiled.clear()
  compiled.set(digest, validate)
  return validate
}

function problemOf({ instancePath, message, params }: ErrorObject): MetadataProblem {
  const named: unknown = params['additionalProperty'] ?? params['unevaluatedProperty']
  return { path: instancePath, message: `${message ?? 'is not valid'}${typeof named === 'string' ? `: ${JSON.stringify(named)}` : ''}` }
}
