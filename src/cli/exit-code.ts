import type { ErrorCode } from '../core/errors.ts'

/** What the process ends with. INTERFACES section 6. */
export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5 | 6

/** The exit codes by name. `refused`: a rule of the store or the package says no, and will say so again. */
export const exitCode: {
  readonly done: 0
  readonly failed: 1
  readonly usage: 2
  readonly notFound: 3
  readonly refused: 4
  readonly verificationFailed: 5
  readonly tryAgain: 6
} = { done: 0, failed: 1, usage: 2, notFound: 3, refused: 4, verificationFailed: 5, tryAgain: 6 }

/** The exit code of every error of the library. The type makes it complete; a test holds the retryable ones to `tryAgain`. */
export const exitCodeOf: Readonly<Record<ErrorCode, ExitCode>> = {
  input_invalid: exitCode.usage,
  path_invalid: exitCode.usage,
  name_invalid: exitCode.usage,
  digest_invalid: exitCode.usage,
  document_invalid: exitCode.failed,
  limit_exceeded: exitCode.refused,
  digest_mismatch: exitCode.verificationFailed,
  source_changed: exitCode.failed,
  tree_refused: exitCode.refused,
  not_found: exitCode.notFound,
  file_not_found: exitCode.notFound,
  state_conflict: exitCode.refused,
  run_conflict: exitCode.refused,
  already_exists: exitCode.refused,
  store_missing: exitCode.notFound,
  store_mismatch: exitCode.failed,
  version_unsupported: exitCode.failed,
  store_read_only: exitCode.failed,
  damaged: exitCode.verificationFailed,
  object_missing: exitCode.verificationFailed,
  pack_corrupt: exitCode.verificationFailed,
  log_corrupt: exitCode.verificationFailed,
  storage_full: exitCode.tryAgain,
  backend_failed: exitCode.tryAgain,
  registry_busy: exitCode.tryAgain,
  lease_lost: exitCode.tryAgain,
  retained: exitCode.refused,
  held: exitCode.refused,
  approval_required: exitCode.refused,
  purged: exitCode.notFound,
  run_disposed: exitCode.refused,
  clock_suspect: exitCode.refused,
  metadata_invalid: exitCode.usage,
  cursor_gone: exitCode.refused,
  offset_conflict: exitCode.refused,
  unauthenticated: exitCode.refused,
  forbidden: exitCode.refused,
  idempotency_mismatch: exitCode.refused,
  idempotency_running: exitCode.tryAgain,
  server_unreachable: exitCode.tryAgain,
  overloaded: exitCode.tryAgain,
  aborted: exitCode.tryAgain,
  closed: exitCode.failed,
}
