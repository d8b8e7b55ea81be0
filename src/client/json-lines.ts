import { DocumentInvalidError } from '../core/errors.ts'

/** Longest line, in characters. A line says something of one file. */
const MAX_LINE = 1 << 20

/**
 * The values of JSON Lines (https://jsonlines.org), one at a time. A last line without its end is a value only if it is complete JSON.
 * @throws DocumentInvalidError for a line that is no JSON or longer than 1 Mi characters
 */
export async function* jsonLines(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<unknown, void, undefined> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  let rest = ''
  for await (const piece of pieces) {
    const text = decoder.decode(piece, { stream: true })
    let start = 0
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', start)) {
      const line = rest + text.slice(start, end)
      rest = ''
      start = end + 1
      if (line !== '') yield parsed(line)
    }
    rest += text.slice(start)
    if (rest.length > MAX_LINE) throw new DocumentInvalidError(`the server's answer has a line of more than ${MAX_LINE} characters`)
  }
  rest += decoder.decode()
  if (rest !== '') yield parsed(rest)
}

/** Writes values as JSON Lines. */
export function toJsonLines(values: readonly object[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join('')
}

function parsed(line: string): unknown {
  try {
    const value: unknown = JSON.parse(line)
    return value
  } catch (cause) {
    throw new DocumentInvalidError(`the server's answer has a line that is no JSON: ${line.slice(0, 100)}`, { cause })
  }
}
