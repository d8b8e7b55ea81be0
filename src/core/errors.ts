/**
 * Every failure a caller can meet, as one closed union of codes with one class a code. The HTTP status and the exit code of each are mapped at
 * the edges, never here. Messages say what happened, to what, and what to do next; `cause` is kept.
 */

/** One refused entry of a tree or archive. `path` is the name as found (invalid UTF-8 shown escaped). */
export interface EntryProblem {
  readonly path: string
  readonly reason: string
}

/** Facts that belong to an error, safe to show to whoever caused it. */
export type ErrorDetail = Readonly<Record<string, unknown>>

/** Options of every error: what caused it, and facts to show beside the message. */
export interface StoreErrorOptions {
  readonly cause?: unknown
  readonly detail?: ErrorDetail
}

/** The base of all errors thrown on purpose. Use the subclasses; `code` tells them apart across processes. */
export abstract class StoreError extends Error {
  /** Stable name of the failure. */
  abstract readonly code: ErrorCode
  /** True when the same call may succeed later without a change. */
  get retryable(): boolean {
    return false
  }
  readonly detail: ErrorDetail

  constructor(message: string, options: StoreErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.detail = options.detail ?? {}
  }
}

abstract class RetryableError extends StoreError {
  override get retryable(): boolean {
    return true
  }
}

/** An argument, option or field is not of the form it must have. */
export class InputInvalidError extends StoreError {
  readonly code = 'input_invalid'
}
/** A path breaks the rules of the package format. */
export class PathInvalidError extends StoreError {
  readonly code = 'path_invalid'
}
/** A repository, tag, reference or package id is not well formed. */
export class NameInvalidError extends StoreError {
  readonly code = 'name_invalid'
}
/** A digest is not well formed or of an unknown algorithm. */
export class DigestInvalidError extends StoreError {
  readonly code = 'digest_invalid'
}
/** JSON, a manifest, a document or an event breaks its format. */
export class DocumentInvalidError extends StoreError {
  readonly code = 'document_invalid'
}
/** Something is larger or more numerous than allowed. */
export class LimitExceededError extends StoreError {
  readonly code = 'limit_exceeded'
}
/** The bytes that arrived are not the bytes that were announced. */
export class DigestMismatchError extends StoreError {
  readonly code = 'digest_mismatch'
}
/** A source changed, grew or shrank while it was read. */
export class SourceChangedError extends StoreError {
  readonly code = 'source_changed'
}
/** A tree or archive holds entries that cannot be stored; all of them are listed and nothing was kept. */
export class TreeRefusedError extends StoreError {
  readonly code = 'tree_refused'
  readonly problems: readonly EntryProblem[]
  constructor(message: string, problems: readonly EntryProblem[], options: StoreErrorOptions = {}) {
    super(message, { ...options, detail: { ...options.detail, problems } })
    this.problems = problems
  }
}
/** No such package, tag or repository (or none the caller may read). */
export class NotFoundError extends StoreError {
  readonly code = 'not_found'
}
/** The package exists, the path in it does not. */
export class FileNotFoundError extends StoreError {
  readonly code = 'file_not_found'
}
/** The operation does not fit the state the package or store is in. */
export class StateConflictError extends StoreError {
  readonly code = 'state_conflict'
}
/** The run id is already used in this repository by other content. */
export class RunConflictError extends StoreError {
  readonly code = 'run_conflict'
}
/** The target of a write exists and may not be replaced. */
export class AlreadyExistsError extends StoreError {
  readonly code = 'already_exists'
}
/** There is no store here. */
export class StoreMissingError extends StoreError {
  readonly code = 'store_missing'
}
/** The registry and the backend do not belong together, or one of them was restored or copied. */
export class StoreMismatchError extends StoreError {
  readonly code = 'store_mismatch'
}
/** Written by a newer release in a format this one does not know. */
export class VersionUnsupportedError extends StoreError {
  readonly code = 'version_unsupported'
}
/** The store accepts no writes: a flush failed, or the file system is read-only. */
export class StoreReadOnlyError extends StoreError {
  readonly code = 'store_read_only'
}
/** Stored bytes are missing, truncated or not what they were. */
export class DamagedError extends StoreError {
  readonly code = 'damaged'
}
/** A backend has no object under this key. */
export class ObjectMissingError extends StoreError {
  readonly code = 'object_missing'
}
/** A pack cannot be understood at some offset. */
export class PackCorruptError extends StoreError {
  readonly code = 'pack_corrupt'
}
/** The event log does not hash to what it claims. */
export class LogCorruptError extends StoreError {
  readonly code = 'log_corrupt'
}
/** No space or no inodes left. Free some and try again. */
export class StorageFullError extends RetryableError {
  readonly code = 'storage_full'
}
/** The backend failed; nothing acknowledged is lost. */
export class BackendFailedError extends RetryableError {
  readonly code = 'backend_failed'
}
/** The registry stayed busy or unreachable for too long. */
export class RegistryBusyError extends RetryableError {
  readonly code = 'registry_busy'
}
/** This writer was taken for dead and its lease removed; start the operation again. */
export class LeaseLostError extends RetryableError {
  readonly code = 'lease_lost'
}
/** Metadata does not fit the schema that the package names; every violation is in `detail.problems`. */
export class MetadataInvalidError extends StoreError {
  readonly code = 'metadata_invalid'
}
/** A position in the event log belongs to another log, or lies beyond its end. */
export class CursorGoneError extends StoreError {
  readonly code = 'cursor_gone'
}
/** An upload stands at another offset, or another writer took it over; `detail.offset` says where it stands. */
export class OffsetConflictError extends StoreError {
  readonly code = 'offset_conflict'
}
/** Nobody may do this without saying who they are, or the token is not known. */
export class UnauthenticatedError extends StoreError {
  readonly code = 'unauthenticated'
}
/** The caller may see this but not do it. */
export class ForbiddenError extends StoreError {
  readonly code = 'forbidden'
}
/** An idempotency key was used before by another request. */
export class IdempotencyMismatchError extends StoreError {
  readonly code = 'idempotency_mismatch'
}
/** The request of this idempotency key is still under way. */
export class IdempotencyRunningError extends RetryableError {
  readonly code = 'idempotency_running'
}
/** The server could not be reached, or the connection broke off. */
export class ServerUnreachableError extends RetryableError {
  readonly code = 'server_unreachable'
}
/** Too much is under way; nothing of this request was done. */
export class OverloadedError extends RetryableError {
  readonly code = 'overloaded'
}
/** Its retention still keeps a package, or a part of it; `detail` has the rule. */
export class RetainedError extends StoreError {
  readonly code = 'retained'
}
/** A hold keeps a package, or was asked for too late; `detail.holds` names what stands. */
export class HeldError extends StoreError {
  readonly code = 'held'
}
/** What is to be deleted needs the approval of a plan. */
export class ApprovalRequiredError extends StoreError {
  readonly code = 'approval_required'
}
/** What was asked for has been disposed of; the tombstone is in `detail`. */
export class PurgedError extends StoreError {
  readonly code = 'purged'
}
/** The package of this run was disposed of; a run id is used once for ever. */
export class RunDisposedError extends StoreError {
  readonly code = 'run_disposed'
}
/** The clock of the store cannot be trusted; nothing is deleted until an operator accepts it. */
export class ClockSuspectError extends StoreError {
  readonly code = 'clock_suspect'
}
/** The caller asked to stop. */
export class AbortedError extends RetryableError {
  readonly code = 'aborted'
}
/** The thing asked for is closing or closed. */
export class ClosedError extends StoreError {
  readonly code = 'closed'
}

/** Every error there is. */
export type AnyStoreError =
  | InputInvalidError
  | PathInvalidError
  | NameInvalidError
  | DigestInvalidError
  | DocumentInvalidError
  | LimitExceededError
  | DigestMismatchError
  | SourceChangedError
  | TreeRefusedError
  | NotFoundError
  | FileNotFoundError
  | StateConflictError
  | RunConflictError
  | AlreadyExistsError
  | StoreMissingError
  | StoreMismatchError
  | VersionUnsupportedError
  | StoreReadOnlyError
  | DamagedError
  | ObjectMissingError
  | PackCorruptError
  | LogCorruptError
  | StorageFullError
  | BackendFailedError
  | RegistryBusyError
  | LeaseLostError
  | MetadataInvalidError
  | CursorGoneError
  | OffsetConflictError
  | UnauthenticatedError
  | ForbiddenError
  | IdempotencyMismatchError
  | IdempotencyRunningError
  | ServerUnreachableError
  | OverloadedError
  | RetainedError
  | HeldError
  | ApprovalRequiredError
  | PurgedError
  | RunDisposedError
  | ClockSuspectError
  | AbortedError
  | ClosedError

/** The closed union of codes. */
export type ErrorCode = AnyStoreError['code']

/** All error classes by code. A test holds the documentation's table against it. */
export const errorClasses: { readonly [Code in ErrorCode]: abstract new (...parameters: never[]) => StoreError } = {
  input_invalid: InputInvalidError,
  path_invalid: PathInvalidError,
  name_invalid: NameInvalidError,
  digest_invalid: DigestInvalidError,
  document_invalid: DocumentInvalidError,
  limit_exceeded: LimitExceededError,
  digest_mismatch: DigestMismatchError,
  source_changed: SourceChangedError,
  tree_refused: TreeRefusedError,
  not_found: NotFoundError,
  file_not_found: FileNotFoundError,
  state_conflict: StateConflictError,
  run_conflict: RunConflictError,
  already_exists: AlreadyExistsError,
  store_missing: StoreMissingError,
  store_mismatch: StoreMismatchError,
  version_unsupported: VersionUnsupportedError,
  store_read_only: StoreReadOnlyError,
  damaged: DamagedError,
  object_missing: ObjectMissingError,
  pack_corrupt: PackCorruptError,
  log_corrupt: LogCorruptError,
  storage_full: StorageFullError,
  backend_failed: BackendFailedError,
  registry_busy: RegistryBusyError,
  lease_lost: LeaseLostError,
  metadata_invalid: MetadataInvalidError,
  cursor_gone: CursorGoneError,
  offset_conflict: OffsetConflictError,
  unauthenticated: UnauthenticatedError,
  forbidden: ForbiddenError,
  idempotency_mismatch: IdempotencyMismatchError,
  idempotency_running: IdempotencyRunningError,
  server_unreachable: ServerUnreachableError,
  overloaded: OverloadedError,
  retained: RetainedError,
  held: HeldError,
  approval_required: ApprovalRequiredError,
  purged: PurgedError,
  run_disposed: RunDisposedError,
  clock_suspect: ClockSuspectError,
  aborted: AbortedError,
  closed: ClosedError,
}
