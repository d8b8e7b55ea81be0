import { InputInvalidError } from './errors.ts'
import { MEDIA_TYPES_BY_EXTENSION } from './media-type-table.ts'
import type { FilePath } from './path.ts'

/** Version of the extension table. It enters every digest: a changed table is a new version and a new package format. */
export const MEDIA_TYPE_TABLE_VERSION = 1
/** What is said of bytes nobody knows anything about. */
const OCTET_STREAM = 'application/octet-stream'
/** Longest media type with its parameters, in bytes. */
export const MAX_MEDIA_TYPE_BYTES = 255

/** What clients add without being told to (curl does for `--data-binary`): counts as not given. */
const NOT_GIVEN: ReadonlySet<string> = new Set([OCTET_STREAM, 'application/x-www-form-urlencoded'])

const NAME = '[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}'
const NAME_PATTERN = new RegExp(`^${NAME}/${NAME}$`)
const ESSENCE_PATTERN = new RegExp(`${NAME}/${NAME}`, 'y')
const TOKEN = "[A-Za-z0-9!#$%&'*+.^_`|~-]+"
const TOKEN_PATTERN = new RegExp(`^${TOKEN}$`)
const PARAMETER_PATTERN = new RegExp(
  `[ \\t]*;[ \\t]*(?:(${TOKEN})=(?:(${TOKEN})|"((?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\[\\t \\x21-\\x7e])*)"))?`,
  'y',
)

/** Whether a text is `type/subtype` after RFC 6838 section 4.2, without parameters. */
export function isMediaTypeName(text: string): boolean {
  return NAME_PATTERN.test(text)
}

/** The part in front of the parameters. */
export function essenceOf(mediaType: string): string {
  const semicolon = mediaType.indexOf(';')
  return semicolon === -1 ? mediaType : mediaType.slice(0, semicolon)
}

/**
 * Reads a media type with parameters (RFC 9110 section 8.3.1; names after RFC 6838 section 4.2) into its one spelling:
 * `type/subtype;name=value`, names and the value of `charset` in lower case, no blanks, values quoted only where they must be, the order kept.
 * @throws InputInvalidError
 */
export function parseMediaType(text: string): string {
  const trimmed = text.replace(/^[ \t]+|[ \t]+$/g, '')
  if (trimmed.length > MAX_MEDIA_TYPE_BYTES) throw new InputInvalidError(`media type is longer than ${MAX_MEDIA_TYPE_BYTES} bytes`)
  ESSENCE_PATTERN.lastIndex = 0
  const essence = ESSENCE_PATTERN.exec(trimmed)?.[0]
  if (essence === undefined) throw notAMediaType(text)
  let result = essence.toLowerCase()
  let position = essence.length
  while (position < trimmed.length) {
    PARAMETER_PATTERN.lastIndex = position
    const match = PARAMETER_PATTERN.exec(trimmed)
    if (match === null) throw notAMediaType(text)
    position = PARAMETER_PATTERN.lastIndex
    const name = match[1]?.toLowerCase()
    // RFC 9110 allows a semicolon with nothing behind it.
    if (name !== undefined) result += `;${name}=${parameterValue(name, match[2] ?? unescaped(match[3] ?? ''))}`
  }
  return result
}

/**
 * The media type of a file: what the caller says, unless that is what clients say by themselves; else what the table says for the last
 * extension (ASCII letters in either case; a dot in front of a name begins none); else `application/octet-stream`. Never sniffed.
 * @throws InputInvalidError when the given one is malformed
 */
export function mediaTypeFor(path: FilePath, given?: string): string {
  if (given !== undefined && given !== '') {
    const type = parseMediaType(given)
    if (!NOT_GIVEN.has(essenceOf(type))) return type
  }
  const name = path.slice(path.lastIndexOf('/') + 1)
  const dot = name.lastIndexOf('.')
  if (dot <= 0) return OCTET_STREAM
  const extension = name.slice(dot + 1).replace(/[A-Z]/g, (letter) => letter.toLowerCase())
  return MEDIA_TYPES_BY_EXTENSION.get(extension) ?? OCTET_STREAM
}

function parameterValue(name: string, value: string): string {
  const spelled = name === 'charset' ? value.toLowerCase() : value
  return TOKEN_PATTERN.test(spelled) ? spelled : `"${spelled.replace(/["\\]/g, '\\$&')}"`
}

function unescaped(quotedString: string): string {
  return quotedString.replace(/\\(.)/g, '$1')
}

function notAMediaType(text: string): InputInvalidError {
  return new InputInvalidError(`not a media type: ${JSON.stringify(text.slice(0, 300))}`)
}
