import type { JsonObject } from '../core/canonical-json.ts'
import { type ErrorCode, StoreError } from '../core/errors.ts'
import type { Problem } from './schema/problem-schema.ts'

/** The one table from the store's codes to HTTP statuses (RFC 9110; 507 is RFC 4918). A code that is missing here does not compile. */
export const statusOf: Readonly<Record<ErrorCode, number>> = {
  input_invalid: 422,
  path_invalid: 422,
  name_invalid: 422,
  digest_invalid: 422,
  document_invalid: 422,
  limit_exceeded: 413,
  digest_mismatch: 400,
  source_changed: 409,
  tree_refused: 422,
  not_found: 404,
  file_not_found: 404,
  state_conflict: 409,
  run_conflict: 409,
  already_exists: 409,
  store_missing: 503,
  store_mismatch: 503,
  version_unsupported: 503,
  store_read_only: 503,
  damaged: 500,
  object_missing: 500,
  pack_corrupt: 500,
  log_corrupt: 500,
  storage_full: 507,
  backend_failed: 503,
  registry_busy: 503,
  lease_lost: 503,
  metadata_invalid: 422,
  cursor_gone: 410,
  offset_conflict: 409,
  unauthenticated: 401,
  forbidden: 403,
  idempotency_mismatch: 422,
  idempotency_running: 409,
  server_unreachable: 502,
  overloaded: 503,
  retained: 409,
  held: 409,
  approval_required: 409,
  purged: 410,
  run_disposed: 410,
  clock_suspect: 409,
  aborted: 503,
  closed: 503,
}

/** Problems of the protocol itself: they have no error in the library. */
export const protocolStatusOf = {
  malformed_request: 400,
  method_not_allowed: 405,
  not_acceptable: 406,
  request_timeout: 408,
  precondition_failed: 412,
  uri_too_long: 414,
  unsupported_media_type: 415,
  range_not_satisfiable: 416,
  expectation_failed: 417,
  headers_too_large: 431,
  internal: 500,
} as const

/** Code of a problem of the protocol. */
export type ProtocolCode = keyof typeof protocolStatusOf

/** A request that HTTP itself does not allow. `headers` go with the answer. */
export class ProtocolError extends Error {
  readonly code: ProtocolCode
  readonly headers: Readonly<Record<string, string>>

  constructor(code: ProtocolCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.name = 'ProtocolError'
    this.code = code
    this.headers = headers
  }
}

/** What is told of an error. One that nobody threw on purpose says nothing of its insides. */
export function problemOf(error: unknown): Problem {
  if (error instanceof StoreError) {
    const { code, message, retryable, detail } = error
    return problem(code, statusOf[code], message, retryable, shownFacts(detail))
  }
  if (error instanceof ProtocolError) {
    const status = protocolStatusOf[error.code]
    return problem(error.code, status, error.message, status === 408)
  }
  return problem('internal', 500, 'The server met an error that it did not expect; its log says more.', false)
}

function problem(code: string, status: number, detail: string, retryable: boolean, facts?: JsonObject): Problem {
  const members = { type: `urn:artifact-store:problem:${code}`, title: code.replaceAll('_', ' '), status, detail, code, retryable }
  return facts === undefined ? members : { ...members, facts }
}

/** Facts are JSON apart from what has none, such as a position that is a bigint; keys of the backend stay inside. */
function shownFacts(detail: Readonly<Record<string, unknown>>): JsonObject | undefined {
  const { key: _key, directory: _directory, ...shown } = detail
  if (Object.keys(shown).length === 0) return undefined
  // Sound: what JSON.stringify writes is JSON.
  return JSON.parse(JSON.stringify(shown, (_name, value: unknown) => (typeof value === 'bigint' ? String(value) : value))) as JsonObject
}
