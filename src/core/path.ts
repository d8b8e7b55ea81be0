import type { Brand } from './brand.ts'
import { utf8Length } from './bytes.ts'
import { InputInvalidError, PathInvalidError, type EntryProblem } from './errors.ts'

/** A path inside a package: relative, `/` between components, valid (docs/format/package.md, "Paths"). Not normalised. */
export type FilePath = Brand<string, 'FilePath'>

/** What can stand at a path. */
export type EntryKind = 'file' | 'symlink' | 'directory'

/** Longest path in bytes of UTF-8. */
const MAX_PATH_BYTES = 4096
/** Longest component of a path in bytes of UTF-8. */
const MAX_COMPONENT_BYTES = 255

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads a path. @throws PathInvalidError naming the path and the rule it breaks */
export function parsePath(text: string): FilePath {
  if (isFilePath(text)) return text
  const path = displayPath(text)
  const reason = pathProblem(text)
  throw new PathInvalidError(`path "${path}" ${reason ?? ''}`, { detail: { path, reason } })
}

/** Whether a text is a path of a package. */
export function isFilePath(text: string): text is FilePath {
  return pathProblem(text) === undefined
}

/** Reads a path as an archive or a file system holds it. @throws PathInvalidError also when it is not UTF-8 */
export function pathFromBytes(bytes: Uint8Array): FilePath {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch (cause) {
    const path = displayBytes(bytes)
    throw new PathInvalidError(`path "${path}" is not valid UTF-8`, { cause, detail: { path, reason: 'is not valid UTF-8' } })
  }
  return parsePath(text)
}

/** Why a text is no path of a package, or undefined. */
export function pathProblem(text: string): string | undefined {
  if (text === '') return 'is empty'
  if (text.includes('\0')) return 'contains a NUL character'
  if (!text.isWellFormed()) return 'is not valid Unicode (a surrogate stands alone)'
  if (text.startsWith('/')) return 'is absolute'
  // A UTF-16 unit is at most three bytes of UTF-8, so that most paths need no counting.
  if (text.length * 3 > MAX_PATH_BYTES && utf8Length(text) > MAX_PATH_BYTES) return `is longer than ${MAX_PATH_BYTES} bytes`
  for (const component of text.split('/')) {
    if (component === '') return 'has an empty component'
    if (component === '.' || component === '..') return `has a component "${component}"`
    if (component.length * 3 > MAX_COMPONENT_BYTES && utf8Length(component) > MAX_COMPONENT_BYTES) {
      return `has a component longer than ${MAX_COMPONENT_BYTES} bytes`
    }
  }
  return undefined
}

/** Orders by the bytes of UTF-8, which is the order of code points: negative, zero or positive. */
export function comparePaths(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const left = a.charCodeAt(index)
    const right = b.charCodeAt(index)
    if (left !== right) return codePointRank(left) - codePointRank(right)
  }
  return a.length - b.length
}

/** Moves surrogates, which stand for code points from U+10000 on, behind the other UTF-16 units. */
function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}

/** Unicode NFC; two paths with the same normal form cannot be in one package. */
export function normalForm(path: string): string {
  return path.normalize('NFC')
}

const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\\]/gu

/**
 * A path for people and terminals: control, format and line-separating characters and lone surrogates as `\u{…}`, the backslash doubled, so
 * that the result is one line, moves no cursor and is unambiguous.
 */
export function displayPath(text: string): string {
  return text.replace(UNPRINTABLE, (found) => (found === '\\' ? '\\\\' : `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`))
}

/** As {@link displayPath}, for names that may not be UTF-8: other bytes as `\x<2 hex>`. */
export function displayBytes(bytes: Uint8Array): string {
  try {
    return displayPath(utf8.decode(bytes))
  } catch {
    return Array.from(bytes, (byte) =>
      byte >= 0x20 && byte < 0x7f && byte !== 0x5c ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`,
    ).join('')
  }
}

/** An entry that is remembered because the next ones may lie below it. */
interface OpenEntry {
  readonly path: FilePath
  readonly kind: EntryKind
  hasChildren: boolean
}

/**
 * Finds what is wrong between the entries of one package. Entries are added in the order of {@link comparePaths}. Found are: a path given
 * twice; a file or link that is also the directory of another entry; and normalisation twins, that is two names in one directory, those of
 * directories included, that differ and have the same NFC. (Two whole paths with the same NFC always have such a pair of names on their way.)
 *
 * Memory follows depth and the number of names that are not normalised, not the number of entries. The price: of a twin whose other half *is*
 * normalised, only one half is remembered, so the caller looks the few {@link twinsToCheck} up in its own sorted list when all are added.
 */
export class PathConflicts {
  readonly #problems: EntryProblem[] = []
  readonly #emptyDirectories: FilePath[] = []
  /** Entries whose path is a beginning of the last one. In byte order everything below `a` starts with `a`, though `a-b` may come first. */
  readonly #open: OpenEntry[] = []
  readonly #twins = new Map<string, string>()
  #last: FilePath | undefined

  /** @throws InputInvalidError when the order is not kept */
  add(path: FilePath, kind: EntryKind): void {
    const order = this.#last === undefined ? 1 : comparePaths(path, this.#last)
    if (order < 0) throw new InputInvalidError(`path "${displayPath(path)}" comes out of order`)
    if (order === 0) {
      this.#problems.push({ path: displayPath(path), reason: 'appears twice' })
      return
    }
    this.#last = path
    this.#leave(path)
    for (const entry of this.#open) {
      if (!path.startsWith(`${entry.path}/`)) continue
      entry.hasChildren = true
      if (entry.kind === 'directory') continue
      const what = entry.kind === 'file' ? 'a file' : 'a link'
      this.#problems.push({ path: displayPath(path), reason: `lies below "${displayPath(entry.path)}", which is ${what}` })
    }
    this.#open.push({ path, kind, hasChildren: false })
    if (path !== normalForm(path)) this.#rememberTwins(path)
  }

  /** What was found among the entries alone. */
  problems(): EntryProblem[] {
    return [...this.#problems]
  }

  /**
   * What the caller must look up: path with a normalised last name → the same path as it was found. If an entry has the first as its path, or
   * lies below it, the two are twins: {@link twinProblem} of both.
   */
  twinsToCheck(): ReadonlyMap<string, string> {
    return this.#twins
  }

  /** The added directories that hold nothing, which are the only ones a package document lists. Ends the adding. */
  emptyDirectories(): readonly FilePath[] {
    this.#leave('')
    return this.#emptyDirectories
  }

  #leave(next: string): void {
    for (let top = this.#open.at(-1); top !== undefined && !next.startsWith(top.path); top = this.#open.at(-1)) {
      this.#open.pop()
      if (top.kind === 'directory' && !top.hasChildren) this.#emptyDirectories.push(top.path)
    }
  }

  #rememberTwins(path: string): void {
    let parent = ''
    for (const name of path.split('/')) {
      const found = parent + name
      const normal = parent + normalForm(name)
      const known = this.#twins.get(normal)
      if (found !== normal && known === undefined) this.#twins.set(normal, found)
      if (found !== normal && known !== undefined && known !== found) this.#problems.push(twinProblem(found, known))
      parent = `${found}/`
    }
  }
}

/** The refusal of two paths whose names are the same when normalised. */
export function twinProblem(path: string, twin: string): EntryProblem {
  return { path: displayPath(path), reason: `is the same name as "${displayPath(twin)}" after Unicode normalisation (NFC)` }
}
