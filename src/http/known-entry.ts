import { Ajv } from 'ajv'
import { InputInvalidError } from '../core/errors.ts'
import { type KnownEntry, knownEntry } from './schema/file-schema.ts'

const validate = new Ajv({ strict: false }).compile<KnownEntry>(knownEntry)

/** Reads a line of the question which files must be sent. @throws InputInvalidError */
export function parseKnownEntry(value: unknown): KnownEntry {
  if (validate(value)) return value
  const [first] = validate.errors ?? []
  const at = first?.instancePath ?? ''
  throw new InputInvalidError(`a line of the body is not {path, type, …}: ${at} ${first?.message ?? ''}`.trim(), {
    detail: { line: JSON.stringify(value).slice(0, 1_000) },
  })
}
