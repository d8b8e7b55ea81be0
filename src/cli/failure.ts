import { MetadataInvalidError, StoreError, TreeRefusedError } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { MetadataProblem } from '../core/metadata-schema.ts'
import { CommandFailure } from './command-failure.ts'
import type { ExitCode } from './exit-code.ts'
import { exitCode, exitCodeOf } from './exit-code.ts'
import { displayMessage } from './render/message.ts'

/** A failure as it is told to whoever called the command. */
export interface FailureReport {
  readonly exitCode: ExitCode
  /** Stable name for programs: a code of the library, `usage`, a code of the operating system, or `unexpected`. */
  readonly code: string
  /** What happened, to what; one line. */
  readonly message: string
  /** More lines, indented when shown. */
  readonly lines: readonly string[]
  /** What to do next; one line. */
  readonly next?: string | undefined
  readonly retryable: boolean
  readonly detail?: object | undefined
}

/** How many refused entries a person is shown; `--json` has them all. */
const SHOWN_PROBLEMS = 20

/** What to do next where the message of the library cannot know the command. Absent where the message says all. */
const nextSteps: Partial<Readonly<Record<ErrorCode, string>>> = {
  not_found: 'See what there is: artifact-store ls',
  file_not_found: 'See what the package holds: artifact-store ls REF',
  tree_refused: 'Rename or remove these entries, or leave them out with --exclude GLOB.',
  source_changed: 'Wait until nothing writes to it any more, then run the command again.',
  retained: 'See the rule: artifact-store retention explain REF',
  held: 'See what is held: artifact-store hold list',
  approval_required: 'Make a plan for somebody to approve: artifact-store retention plan',
  purged: 'See what was deleted, and why: artifact-store retention certificate ID',
  clock_suspect: 'Look at the clock: artifact-store retention clock',
  run_conflict: 'Push other content under another --run-id.',
  damaged: 'Find out how far it goes: artifact-store verify --all. Pushing the same files again heals them.',
  object_missing: 'Find out how far it goes: artifact-store verify --all. Pushing the same files again heals them.',
  pack_corrupt: 'Find out how far it goes: artifact-store verify --all. Pushing the same files again heals them.',
  storage_full: 'Free some space, then run the command again. Nothing stored before is lost.',
  backend_failed: 'Run the command again. Nothing stored before is lost.',
  registry_busy: 'Run the command again.',
  lease_lost: 'Run the command again.',
  unauthenticated: 'Give a token that the server knows: --token-file FILE, or ARTIFACT_STORE_TOKEN.',
  forbidden: 'Use a token that has the scope for it, or ask whoever runs the server for one.',
  server_unreachable: 'Check the address and whether the server runs, then run the command again.',
  overloaded: 'Run the command again in a while.',
}

/** Puts any error into words and an exit code. */
export function reportFailure(error: unknown): FailureReport {
  if (error instanceof CommandFailure) {
    const code = error.exitCode === exitCode.usage ? 'usage' : 'refused'
    return { exitCode: error.exitCode, code, message: displayMessage(error.message), lines: [], next: error.next, retryable: false }
  }
  if (error instanceof StoreError) {
    return {
      exitCode: error.retryable ? exitCode.tryAgain : exitCodeOf[error.code],
      code: error.code,
      message: displayMessage(error instanceof TreeRefusedError ? `${plainRefusal(error)}:` : error.message),
      lines: error instanceof TreeRefusedError ? problemLines(error) : metadataLines(error),
      next: nextStep(error),
      retryable: error.retryable,
      detail: Object.keys(error.detail).length === 0 ? undefined : error.detail,
    }
  }
  return reportForeign(error)
}

function nextStep(error: StoreError): string | undefined {
  if (error.code !== 'store_missing') return nextSteps[error.code]
  const { directory } = error.detail
  return typeof directory === 'string' ? `Make one: artifact-store init ${shellWord(directory)}` : undefined
}

/** A text as a shell reads it as one word. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/** Errors that are not the library's own: of the operating system, or mistakes in the program. */
function reportForeign(error: unknown): FailureReport {
  const common = { exitCode: exitCode.failed, lines: [], retryable: false } as const
  if (error instanceof Error && 'syscall' in error && 'code' in error && typeof error.code === 'string') {
    return { ...common, code: error.code, message: displayMessage(error.message) }
  }
  const message = error instanceof Error ? error.message : String(error)
  return {
    ...common,
    code: 'unexpected',
    message: `unexpected error: ${displayMessage(message)}`,
    next: 'This is a mistake in the program. Please report it; ARTIFACT_STORE_DEBUG=1 shows where it arose.',
  }
}

/** The lines for standard error. */
export function failureText(report: FailureReport): string {
  const lines = [`artifact-store: ${report.message}`, ...report.lines.map((line) => `  ${line}`)]
  if (report.next !== undefined) lines.push(report.next)
  return `${lines.join('\n')}\n`
}

/** The line for standard error with `--json`. */
export function failureJson(report: FailureReport): string {
  const { code, message, next, retryable, detail } = report
  return `${JSON.stringify({ error: { code, message, next, exitCode: report.exitCode, retryable, detail } }, jsonSafe)}\n`
}

/** What JSON cannot say is said as text. */
function jsonSafe(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}

/** The message of a refusal names its first entry; the list below it makes that superfluous. */
function plainRefusal(error: TreeRefusedError): string {
  const [first] = error.problems
  const at = first === undefined ? -1 : error.message.indexOf(`: ${first.path}`)
  return at === -1 ? error.message : error.message.slice(0, at)
}

function problemLines(error: TreeRefusedError): readonly string[] {
  return someLines(error.problems.map(({ path, reason }) => `${path}: ${reason}`))
}

/** The message has the first one. */
function metadataLines(error: StoreError): readonly string[] {
  const { problems } = error.detail
  if (!(error instanceof MetadataInvalidError) || !Array.isArray(problems) || problems.length < 2) return []
  return someLines(problems.filter(isMetadataProblem).map(({ path, message }) => `${path === '' ? '(all of it)' : path}: ${message}`))
}

function isMetadataProblem(problem: unknown): problem is MetadataProblem {
  return typeof problem === 'object' && problem !== null && 'path' in problem && 'message' in problem
}

function someLines(lines: readonly string[]): readonly string[] {
  const shown = lines.slice(0, SHOWN_PROBLEMS).map((line) => displayMessage(line))
  const rest = lines.length - shown.length
  return rest === 0 ? shown : [...shown, `… and ${rest} more (--json lists them all)`]
}
