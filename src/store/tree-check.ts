import type { EntryProblem } from '../core/errors.ts'
import { comparePaths, PathConflicts, twinProblem } from '../core/path.ts'
import type { EntryKind, FilePath } from '../core/path.ts'
import { symlinkProblems } from '../core/symlink.ts'
import type { SymlinkEntry } from '../core/symlink.ts'

/** What was found out about a tree as a whole. */
export interface TreeCheck {
  readonly problems: readonly EntryProblem[]
  /** The directories that hold nothing, which are the ones a package keeps. */
  readonly emptyDirectories: readonly FilePath[]
}

/**
 * Finds what is wrong between entries each of which is fine by itself: normalisation twins, a file that is also a directory, links that lead out
 * together.
 * @param paths all of them, in the order of {@link comparePaths}
 */
export function checkTree(paths: readonly FilePath[], kindOf: (path: FilePath) => EntryKind, links: readonly SymlinkEntry[]): TreeCheck {
  const conflicts = new PathConflicts()
  for (const path of paths) conflicts.add(path, kindOf(path))
  const twins = [...conflicts.twinsToCheck()].filter(([normal]) => isTaken(paths, normal)).map(([normal, found]) => twinProblem(found, normal))
  return { problems: [...conflicts.problems(), ...twins, ...symlinkProblems(links)], emptyDirectories: conflicts.emptyDirectories() }
}

/** Whether an entry has this path or lies below it. */
function isTaken(paths: readonly FilePath[], path: string): boolean {
  return paths[firstFrom(paths, path)] === path || paths[firstFrom(paths, `${path}/`)]?.startsWith(`${path}/`) === true
}

/** Position of the first path that does not come before this one. */
function firstFrom(paths: readonly FilePath[], path: string): number {
  let low = 0
  let high = paths.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const candidate = paths[middle]
    if (candidate !== undefined && comparePaths(candidate, path) < 0) low = middle + 1
    else high = middle
  }
  return low
}
