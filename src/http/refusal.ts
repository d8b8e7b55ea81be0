import { type ServerResponse, STATUS_CODES } from 'node:http'
import { OverloadedError, type StoreError } from '../core/errors.ts'
import { problemOf, ProtocolError } from './problem.ts'
import { PROBLEM_MEDIA_TYPE } from './schema/problem-schema.ts'

/** Why the server answers a request itself instead of handing it to a route. */
export type Refusal = ProtocolError | StoreError

/** Seconds after which to try again when too much is under way. */
const RETRY_AFTER = 1

interface Answer {
  readonly status: number
  readonly fields: Readonly<Record<string, string>>
  readonly body: string
}

function answerOf(refusal: Refusal): Answer {
  const problem = problemOf(refusal)
  const body = JSON.stringify(problem)
  return {
    status: problem.status,
    fields: {
      'Content-Type': PROBLEM_MEDIA_TYPE,
      'Content-Length': String(Buffer.byteLength(body)),
      'Cache-Control': 'no-store',
      ...(refusal instanceof OverloadedError ? { 'Retry-After': String(RETRY_AFTER) } : {}),
      ...(refusal instanceof ProtocolError ? refusal.headers : {}),
    },
    body,
  }
}

/** Answers with a problem. For HEAD, Node leaves the body out. */
export function sendRefusal(response: ServerResponse, refusal: Refusal): void {
  const { status, fields, body } = answerOf(refusal)
  response.writeHead(status, fields)
  response.end(body)
}

/** The bytes of an answer that is the last one of its connection, for when there is no request to answer. */
export function refusalBytes(refusal: Refusal): string {
  const { status, fields, body } = answerOf(refusal)
  const lines = Object.entries({ ...fields, Date: new Date().toUTCString(), Connection: 'close' }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`
}
