import { InputInvalidError } from '../core/errors.ts'

/** Opaque positions in lists and in the log: what they hold is nobody's business but ours. */

/** Writes a position. */
export function encodeCursor(parts: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url')
}

/** Reads a position of the given shape. @throws InputInvalidError */
export function decodeCursor<const Shape extends readonly ('string' | 'number')[]>(
  cursor: string,
  shape: Shape,
): { -readonly [I in keyof Shape]: Shape[I] extends 'string' ? string : number } {
  const parts = readParts(cursor)
  const fits =
    parts.length === shape.length &&
    shape.every((type, index) => typeof parts[index] === type && (type === 'string' || Number.isSafeInteger(parts[index])))
  if (!fits) throw new InputInvalidError(`not a position this store gave out: '${cursor.slice(0, 100)}'`)
  // Sound: the line above compared every part with the shape.
  return parts as { -readonly [I in keyof Shape]: Shape[I] extends 'string' ? string : number }
}

function readParts(cursor: string): readonly unknown[] {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return Array.isArray(parsed) ? parsed : []
  } catch {
    return []
  }
}
