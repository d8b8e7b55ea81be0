import { InputInvalidError } from './errors.ts'
import { compileGlob } from './glob.ts'
import { comparePaths, type FilePath } from './path.ts'

/** Says which files of a package form a named part. */
export interface FileSetRule {
  /** Lower-case letters, digits, `.`, `_` and `-`, starting with a letter or digit, at most 64 characters. */
  readonly name: string
  /** Patterns (docs/format/glob.md); a file that matches any of them belongs to the set. */
  readonly match: readonly string[]
  /** Retention class of the part. Policy, not content: it is not written into the package document. */
  readonly class?: string
}

/** A rule as the package document has it: patterns sorted and distinct, no class. */
export interface FileSetContent {
  readonly name: string
  readonly match: readonly string[]
}

/** Most rules of a package. */
export const MAX_FILE_SETS = 32
/** Most patterns of a rule. */
export const MAX_FILE_SET_PATTERNS = 64

const NAME_PATTERN = /^[a-z0-9][a-z0-9._-]{0,63}$/

/**
 * Compiles rules into the function that assigns a file to its part: the names of all matching sets, in order, joined by commas; `''` is the
 * unnamed set of what matches none. Depends on names and patterns only, never on classes or the order of the rules.
 * @throws InputInvalidError as {@link normaliseFileSets}
 */
export function compileFileSets(rules: readonly FileSetRule[]): (path: FilePath) => string {
  const sets = normaliseFileSets(rules).map(({ name, match }) => ({ name, globs: match.map(compileGlob) }))
  return (path) =>
    sets
      .filter(({ globs }) => globs.some((matches) => matches(path)))
      .map(({ name }) => name)
      .join(',')
}

/**
 * Rules in the one order and spelling that enters digests: sorted by name, patterns sorted and distinct, classes left out.
 * @throws InputInvalidError when a name is malformed or used twice, a pattern is malformed, there are too many, or a rule has no pattern
 */
export function normaliseFileSets(rules: readonly FileSetRule[]): readonly FileSetContent[] {
  if (rules.length > MAX_FILE_SETS) throw new InputInvalidError(`more than ${MAX_FILE_SETS} file sets`)
  const names = new Set<string>()
  for (const { name, match } of rules) {
    if (!NAME_PATTERN.test(name)) {
      throw new InputInvalidError(
        `not a name of a file set: ${JSON.stringify(name.slice(0, 100))} (lower-case letters, digits, ".", "_", "-"; at most 64)`,
      )
    }
    if (names.has(name)) throw new InputInvalidError(`file set "${name}" is declared twice`)
    names.add(name)
    if (match.length === 0) throw new InputInvalidError(`file set "${name}" has no pattern`)
    if (match.length > MAX_FILE_SET_PATTERNS) throw new InputInvalidError(`file set "${name}" has more than ${MAX_FILE_SET_PATTERNS} patterns`)
    match.forEach(compileGlob)
  }
  return rules
    .map(({ name, match }) => ({ name, match: [...new Set(match)].toSorted(comparePaths) }))
    .toSorted((left, right) => comparePaths(left.name, right.name))
}
