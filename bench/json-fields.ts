/** Reads what a child process printed. Nothing of it is trusted to be there. */

/** A JSON object. */
export type JsonFields = Readonly<Record<string, unknown>>

/** @throws TypeError when the text is no JSON object */
export function parseFields(text: string): JsonFields {
  const value: unknown = JSON.parse(text)
  if (!isFields(value)) throw new TypeError(`not a JSON object: ${text.slice(0, 200)}`)
  return value
}

/** Whether something is an object, as far as JSON goes. */
export function isFields(value: unknown): value is JsonFields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** @throws TypeError when there is no such number */
export function numberField(fields: JsonFields, name: string): number {
  const value = fields[name]
  if (typeof value !== 'number') throw new TypeError(`there is no number ${name} in ${JSON.stringify(fields).slice(0, 200)}`)
  return value
}

/** @throws TypeError when there is no such text */
export function textField(fields: JsonFields, name: string): string {
  const value = fields[name]
  if (typeof value !== 'string') throw new TypeError(`there is no text ${name} in ${JSON.stringify(fields).slice(0, 200)}`)
  return value
}

/** @throws TypeError when there is no such object */
export function objectField(fields: JsonFields, name: string): JsonFields {
  const value = fields[name]
  if (!isFields(value)) throw new TypeError(`there is no object ${name} in ${JSON.stringify(fields).slice(0, 200)}`)
  return value
}

/** A number that may be absent. */
export function optionalNumberField(fields: JsonFields, name: string): number | undefined {
  return fields[name] === undefined ? undefined : numberField(fields, name)
}

/** @throws TypeError when there is no such list of numbers */
export function numbersField(fields: JsonFields, name: string): readonly number[] {
  const value = fields[name]
  if (Array.isArray(value) && value.every((item) => typeof item === 'number')) return value
  throw new TypeError(`there is no list of numbers ${name} in ${JSON.stringify(fields).slice(0, 200)}`)
}
