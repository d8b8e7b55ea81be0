/**
 * Refuses requests that Node's parser lets through although HTTP or this API does not: two readings of one request are what smuggling lives of. What
 * the parser itself refuses (Content-Length beside Transfer-Encoding, folded or malformed fields, bad chunks) never arrives here.
 */
import type { IncomingMessage } from 'node:http'
import { ProtocolError } from './problem.ts'
import type { ServerLimits } from './server-limits.ts'

/** A request as it arrived, without its body. */
export type RequestHead = Pick<IncomingMessage, 'method' | 'url' | 'httpVersion' | 'rawHeaders'>

const METHODS = ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS']
const WITH_BODY = new Set(['PUT', 'POST', 'PATCH'])
/** Names that mean something else to JavaScript objects. */
const NAMES_OF_OBJECTS = new Set(['__proto__', 'constructor', 'prototype'])
/** Fields that decide what a request means; of two, one reader takes the first and the next one the last. */
const SINGLE = new Set([
  'host',
  'authorization',
  'content-length',
  'content-range',
  'content-type',
  'expect',
  'idempotency-key',
  'if-range',
  'range',
  'transfer-encoding',
  'tus-resumable',
  'upload-length',
  'upload-offset',
])
/** RFC 3986: a registered name or an address in brackets, and a port. */
const HOST = /^(?:[\w.~!$&'()*+,;=%-]+|\[[\da-f:.]+\])(?::\d{1,5})?$/i
/** Printable ASCII without the fragment and the backslash, which clients never send in a target. */
const TARGET = /^[!"$-[\]-~]*$/

/** Why a request is refused before anything looks at it, or undefined when it may go on. */
export function refusalOf(head: RequestHead, limits: ServerLimits): ProtocolError | undefined {
  return refusedVersion(head) ?? refusedMethod(head) ?? refusedFields(head, limits) ?? refusedTarget(head, limits)
}

/** Whether a body follows: a length that is not zero, or chunks. */
export function announcedBody(head: Pick<RequestHead, 'rawHeaders'>): 'none' | 'chunks' | number {
  const { rawHeaders } = head
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase()
    if (name === 'transfer-encoding') return 'chunks'
    if (name === 'content-length') return Number(rawHeaders[index + 1])
  }
  return 'none'
}

/** Whether a part of the body has not arrived yet. (A request without a body is complete only after Node has told of it.) */
export function isBodyOutstanding(request: IncomingMessage): boolean {
  if (request.complete) return false
  const body = announcedBody(request)
  return body !== 'none' && body !== 0
}

const malformed = (message: string): ProtocolError => new ProtocolError('malformed_request', message)

function refusedVersion({ httpVersion }: RequestHead): ProtocolError | undefined {
  return httpVersion === '1.1' || httpVersion === '1.0' ? undefined : malformed('This server speaks HTTP/1.1 and HTTP/1.0.')
}

function refusedMethod({ method = '' }: RequestHead): ProtocolError | undefined {
  if (METHODS.includes(method)) return undefined
  return new ProtocolError('method_not_allowed', 'This server does not know the method.', { Allow: METHODS.join(', ') })
}

function refusedFields(head: RequestHead, limits: ServerLimits): ProtocolError | undefined {
  const { rawHeaders, httpVersion, method = '' } = head
  if (rawHeaders.length / 2 > limits.maxHeaders) {
    return new ProtocolError('headers_too_large', `A request has at most ${limits.maxHeaders} header fields.`)
  }
  const seen = new Set<string>()
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase()
    const value = rawHeaders[index + 1] ?? ''
    if (SINGLE.has(name)) {
      if (seen.has(name)) return malformed(`The header field '${name}' may be there only once.`)
      seen.add(name)
    }
    const refused = refusedField(name, value, head)
    if (refused !== undefined) return refused
  }
  if (httpVersion === '1.1' && !seen.has('host')) return malformed('A request of HTTP/1.1 has a header field Host.')
  const body = announcedBody(head)
  if (body !== 'none' && body !== 0 && !WITH_BODY.has(method)) return malformed(`A ${method} request has no body here.`)
  return undefined
}

function refusedField(name: string, value: string, { httpVersion }: RequestHead): ProtocolError | undefined {
  if (NAMES_OF_OBJECTS.has(name)) return malformed('A header field has a name that is not allowed.')
  switch (name) {
    case 'host':
      return HOST.test(value) ? undefined : malformed('The header field Host is not a host name or address with an optional port.')
    case 'transfer-encoding':
      if (httpVersion === '1.0') return malformed('HTTP/1.0 has no Transfer-Encoding.')
      return value.toLowerCase() === 'chunked' ? undefined : malformed('The only Transfer-Encoding that is taken is chunked.')
    case 'expect':
      if (value.toLowerCase() === '100-continue') return undefined
      return new ProtocolError('expectation_failed', 'The only expectation that can be met is 100-continue.')
    default:
      return undefined
  }
}

function refusedTarget({ method, url: target = '' }: RequestHead, limits: ServerLimits): ProtocolError | undefined {
  if (target.length > limits.maxTargetBytes) {
    return new ProtocolError('uri_too_long', `The target of a request has at most ${limits.maxTargetBytes} bytes.`)
  }
  if (target === '*' && method === 'OPTIONS') return undefined
  if (!target.startsWith('/')) return malformed('The target of a request is a path that starts with a slash.')
  if (!TARGET.test(target)) return malformed('The target of a request holds a character that must be percent-encoded.')
  if (!target.includes('%') && !target.includes('/.')) return undefined
  if (/%(?![\da-f]{2})/i.test(target)) return malformed('The target of a request holds a percent sign that encodes nothing.')
  if (target.includes('%00')) return malformed('The target of a request holds a NUL.')
  const [path = ''] = target.split('?', 1)
  const hasDots = path.split('/').some((component) => /^(?:\.|%2e){1,2}$/i.test(component))
  return hasDots ? malformed("The path of a request has a component '.' or '..'.") : undefined
}
