import { Buffer } from 'node:buffer'
import { InputInvalidError } from './errors.ts'
import type { FilePath } from './path.ts'

/** Longest pattern in bytes of UTF-8. */
const MAX_GLOB_BYTES = 1024

/** One thing a component of a pattern asks for: a code point, any one, or any number of any. */
type Token = number
const ANY_ONE = -1
const ANY_MANY = -2

/** A component of a pattern; `undefined` is `**`. */
type Component = readonly Token[] | undefined

/**
 * Compiles a pattern of the grammar in docs/format/glob.md: the whole path must match, letter case counts; `*` and `?` stay within a component,
 * `**` is a whole component and stands for any number of them, `\` takes the next character as it is, a `/` at the end means everything below.
 * Matching takes time proportional to the product of both lengths at worst.
 * @throws InputInvalidError when the pattern is malformed, longer than {@link MAX_GLOB_BYTES}, or uses a character kept for later
 */
export function compileGlob(pattern: string): (path: FilePath) => boolean {
  const components = parseGlob(pattern)
  return (path) => matchComponents(components, path.split('/'))
}

function parseGlob(pattern: string): readonly Component[] {
  if (pattern === '') throw invalid(pattern, 'is empty')
  if (!pattern.isWellFormed() || pattern.includes('\0')) throw invalid(pattern, 'holds a NUL character or a lone surrogate')
  if (Buffer.byteLength(pattern) > MAX_GLOB_BYTES) throw invalid(pattern, `is longer than ${MAX_GLOB_BYTES} bytes`)
  if (pattern.startsWith('/')) throw invalid(pattern, 'starts with "/": patterns are relative, as paths are')
  if (pattern.startsWith('!')) throw invalid(pattern, 'starts with "!": negation is not part of the grammar (write "\\!" for the character)')
  const texts = pattern.split('/')
  // "logs/" is everything below "logs".
  if (texts.at(-1) === '') texts[texts.length - 1] = '**'
  return texts.map((text) => parseComponent(pattern, text))
}

function parseComponent(pattern: string, text: string): Component {
  if (text === '') throw invalid(pattern, 'has an empty component')
  if (text === '.' || text === '..') throw invalid(pattern, `has a component "${text}", which no path has`)
  if (text === '**') return undefined
  const tokens: Token[] = []
  let escaped = false
  for (const character of text) {
    if (escaped) {
      tokens.push(codePoint(character))
      escaped = false
    } else if (character === '\\') {
      escaped = true
    } else if (character === '*') {
      if (tokens.at(-1) === ANY_MANY) throw invalid(pattern, 'has "**" beside other characters: it must be a whole component')
      tokens.push(ANY_MANY)
    } else if (character === '?') {
      tokens.push(ANY_ONE)
    } else if ('[]{}'.includes(character)) {
      throw invalid(pattern, `has an unescaped "${character}", kept for later (write "\\${character}" for the character)`)
    } else {
      tokens.push(codePoint(character))
    }
  }
  if (escaped) throw invalid(pattern, 'has a "\\" with nothing to escape')
  return tokens
}

/** `**` in front or between stands for any number of components, none included; at the end for one or more. */
function matchComponents(pattern: readonly Component[], path: readonly string[]): boolean {
  const last = pattern.length - 1
  const open = pattern[last] === undefined
  // What a final "**" needs is one component more; the rest of the pattern then matches any beginning.
  const wanted = open ? pattern.slice(0, last) : pattern
  let at = 0
  let position = 0
  let retryAt = -1
  let retryPosition = 0
  for (;;) {
    if (at === wanted.length && (open ? position < path.length : position === path.length)) return true
    const component = wanted[at]
    if (at < wanted.length && component === undefined) {
      retryAt = ++at
      retryPosition = position
      continue
    }
    const name = path[position]
    if (component !== undefined && name !== undefined && matchComponent(component, name)) {
      at += 1
      position += 1
      continue
    }
    if (retryAt === -1 || retryPosition >= path.length) return false
    // Only the last "**" need be tried again: an earlier one could only give it less.
    at = retryAt
    position = ++retryPosition
  }
}

function matchComponent(tokens: readonly Token[], name: string): boolean {
  let at = 0
  let position = 0
  let retryAt = -1
  let retryPosition = 0
  while (position < name.length) {
    const found = name.codePointAt(position) ?? 0
    const token = tokens[at]
    if (token === ANY_MANY) {
      retryAt = ++at
      retryPosition = position
    } else if (token === ANY_ONE || token === found) {
      at += 1
      position += width(found)
    } else if (retryAt === -1) {
      return false
    } else {
      at = retryAt
      retryPosition += width(name.codePointAt(retryPosition) ?? 0)
      position = retryPosition
    }
  }
  while (tokens[at] === ANY_MANY) at += 1
  return at === tokens.length
}

function codePoint(character: string): number {
  return character.codePointAt(0) ?? 0
}

/** UTF-16 units of a code point. */
function width(point: number): number {
  return point > 0xffff ? 2 : 1
}

function invalid(pattern: string, reason: string): InputInvalidError {
  return new InputInvalidError(`pattern ${JSON.stringify(pattern.slice(0, 300))} ${reason}`)
}
