import {
  errorClasses,
  type EntryProblem,
  type ErrorCode,
  type ErrorDetail,
  ServerUnreachableError,
  type StoreError,
  type StoreErrorOptions,
  TreeRefusedError,
} from '../core/errors.ts'
import { Members, readJsonObject, readList, readText } from './answer.ts'

/** What is shown of an answer that is no problem document: a proxy's page, mostly. */
const SHOWN_CHARACTERS = 200

/** What a status says where no problem document does: the answer of a proxy, or of something that is no artifact-store. */
const codeOfStatus: Readonly<Record<number, ErrorCode>> = {
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not_found',
  409: 'state_conflict',
  413: 'limit_exceeded',
  429: 'overloaded',
  502: 'server_unreachable',
  503: 'overloaded',
  504: 'server_unreachable',
}

/**
 * The error that an answer stands for: the class of its `code` (RFC 9457 problem document, member `facts` as the error's detail); of one that this
 * client does not know, or that has none, the class that fits its status best.
 */
export function errorOfAnswer(status: number, body: string, where: string): StoreError {
  const problem = parsedProblem(body)
  if (problem === undefined) {
    const shown = body.trim().slice(0, SHOWN_CHARACTERS)
    return errorOfCode(fallbackCode(status), `${where} answered ${status}${shown === '' ? '' : `: ${shown}`}`, {})
  }
  const { code, detail, facts } = problem
  if (code === 'closed' || code === 'aborted') return new ServerUnreachableError(`the server ended: ${detail}`, { detail: facts })
  return errorOfCode(isErrorCode(code) ? code : fallbackCode(status), detail, facts)
}

/** An error as lines of a verification carry it: `{code, message}`. */
export function readProblem(value: unknown, where: string): StoreError {
  const members = new Members(value, where)
  const code = members.one('code', readText)
  return errorOfCode(
    isErrorCode(code) ? code : 'backend_failed',
    members.one('message', readText),
    members.maybe('facts', readJsonObject).facts ?? {},
  )
}

/** Makes the error of a code. */
export function errorOfCode(code: ErrorCode, message: string, detail: ErrorDetail): StoreError {
  if (code === 'tree_refused') return new TreeRefusedError(message, entryProblems(detail['problems']), { detail })
  // Sound: every class but the one above takes a message and options, and none is abstract; a test makes them all.
  const Class = errorClasses[code] as unknown as new (message: string, options: StoreErrorOptions) => StoreError
  return new Class(message, { detail })
}

function parsedProblem(body: string): { readonly code: string; readonly detail: string; readonly facts: ErrorDetail } | undefined {
  try {
    const members = new Members(JSON.parse(body), 'problem')
    return { code: members.one('code', readText), detail: members.one('detail', readText), facts: members.maybe('facts', readJsonObject).facts ?? {} }
  } catch {
    return undefined
  }
}

function entryProblems(value: unknown): readonly EntryProblem[] {
  try {
    return readList((item, where) => {
      const members = new Members(item, where)
      return { path: members.one('path', readText), reason: members.one('reason', readText) }
    })(value, 'problems')
  } catch {
    return []
  }
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorClasses, code)
}

function fallbackCode(status: number): ErrorCode {
  return codeOfStatus[status] ?? (status >= 500 ? 'backend_failed' : 'input_invalid')
}
