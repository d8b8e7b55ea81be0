import { utf8Length } from './bytes.ts'
import type { EntryProblem } from './errors.ts'
import type { FilePath } from './path.ts'

/** Longest target in bytes of UTF-8: what Linux can hold (PATH_MAX less its NUL). */
const MAX_SYMLINK_TARGET_BYTES = 4095

/** A symbolic link of a package. The target is kept as it was found. */
export interface SymlinkEntry {
  readonly path: FilePath
  readonly target: string
}

/**
 * Why a link cannot be part of a package, or undefined: empty, too long, NUL, not Unicode, absolute, or leading out of the tree when read from
 * the directory that holds it. Whether it points at anything does not matter.
 */
export function checkSymlink(path: FilePath, target: string): string | undefined {
  if (target === '') return 'has an empty target'
  if (target.includes('\0')) return 'has a NUL character in its target'
  if (!target.isWellFormed()) return 'has a target that is not valid Unicode'
  if (utf8Length(target) > MAX_SYMLINK_TARGET_BYTES) return `has a target longer than ${MAX_SYMLINK_TARGET_BYTES} bytes`
  if (target.startsWith('/')) return 'has an absolute target'
  let depth = path.split('/').length - 1
  for (const component of stepsOf(target)) {
    depth += component === '..' ? -1 : 1
    if (depth < 0) return 'leads out of the tree'
  }
  return undefined
}

/**
 * Finds the links that pass {@link checkSymlink} one by one and still lead out together: `..` behind a name that is itself a link goes up from
 * where that link leads. (With `a -> .` and `b/c -> ../a/..`, `b/c` is the parent of the tree.) Such a step is refused wherever it leads.
 * Names are compared without letter case and normalised, as some file systems do.
 */
export function symlinkProblems(links: readonly SymlinkEntry[]): EntryProblem[] {
  const paths = new Set(links.map(({ path }) => folded(path)))
  return links
    .filter(({ path, target }) => climbsThroughLink(path, target, paths))
    .map(({ path }) => ({ path, reason: 'has a target that goes up ("..") behind another link' }))
}

function climbsThroughLink(path: FilePath, target: string, links: ReadonlySet<string>): boolean {
  const steps = stepsOf(target)
  const lastClimb = steps.lastIndexOf('..')
  const place = path.split('/').slice(0, -1)
  return steps.slice(0, lastClimb + 1).some((step) => {
    if (step === '..') {
      place.pop()
      return false
    }
    place.push(step)
    return links.has(folded(place.join('/')))
  })
}

function stepsOf(target: string): string[] {
  return target.split('/').filter((component) => component !== '' && component !== '.')
}

function folded(path: string): string {
  return path.normalize('NFC').toLowerCase()
}
