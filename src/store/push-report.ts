import { TreeRefusedError } from '../core/errors.ts'
import type { EntryProblem, StoreError } from '../core/errors.ts'
import { abortedError } from '../ports/source.ts'

/** How far a push is. Files and bytes count what is settled: durable in the open package. */
export interface PushProgress {
  /** `list` while a tree is walked, then `send`. */
  readonly phase: 'list' | 'send'
  readonly files: number
  readonly bytes: number
  /** Unknown while a tree is listed, and for an archive. */
  readonly totalFiles?: number
  readonly totalBytes?: number
}

/** What a push did. */
export interface PushReport {
  readonly files: number
  readonly symlinks: number
  /** Empty ones, which are the only ones that a package keeps. */
  readonly directories: number
  /** Sum of the files' bytes. */
  readonly bytes: number
  /** Files that were neither read nor sent, as the stat cache knew them and the store has them. */
  readonly unread: number
  /** Files that were read and whose bytes the store had already. */
  readonly reused: number
}

const ENTRY_ERRORS: ReadonlySet<string> = new Set([
  'input_invalid',
  'path_invalid',
  'digest_mismatch',
  'limit_exceeded',
  'source_changed',
  'tree_refused',
])

/** Whether an outcome says something of one entry only; other errors end the push. */
export function isEntryError(error: StoreError): boolean {
  return ENTRY_ERRORS.has(error.code)
}

/** What an error says of one entry, without the name of it. */
export function reasonOf(error: StoreError): string {
  const reason = error.detail['reason']
  return typeof reason === 'string' ? reason : error.message
}

/** @throws TreeRefusedError if there is any problem */
export function refuseProblems(what: string, problems: readonly EntryProblem[]): void {
  const [first] = problems
  if (first === undefined) return
  const rest = problems.length === 1 ? '' : ` (and ${problems.length - 1} more)`
  throw new TreeRefusedError(`${what} cannot be stored as it is: ${first.path}: ${first.reason}${rest}`, problems)
}

/** @throws AbortedError once the signal says so */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortedError(signal)
}
