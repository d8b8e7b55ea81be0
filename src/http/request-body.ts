import type { IncomingMessage } from 'node:http'
import { type JsonValue, parseJson } from '../core/canonical-json.ts'
import { AbortedError, DocumentInvalidError, LimitExceededError } from '../core/errors.ts'
import { ProtocolError } from './problem.ts'

/** Largest JSON body, bytes. */
export const JSON_BODY_BYTES: number = 8 * 1024 * 1024
/** Longest line of JSON Lines, bytes: a path, a target and a few facts. */
const LINE_BYTES = 64 * 1024
const LINE_FEED = 0x0a

/**
 * The bytes of a body as they arrive. Ending early leaves the connection usable for the answer.
 * @throws AbortedError when the client goes away
 */
export async function* bodyOf(request: IncomingMessage): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    const pieces: AsyncIterable<Uint8Array> = request.iterator({ destroyOnReturn: false })
    yield* pieces
  } catch (cause) {
    throw new AbortedError('the connection broke off before the body was complete', { cause })
  }
  if (!request.complete) throw new AbortedError('the connection broke off before the body was complete')
}

/** Refuses bodies of other media types. @throws ProtocolError 415 */
export function requireMediaType(request: IncomingMessage, ...allowed: readonly string[]): string {
  const essence = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
  if (allowed.includes(essence)) return essence
  throw new ProtocolError(
    'unsupported_media_type',
    `the body must be ${allowed.join(' or ')}${essence === '' ? '' : `, not ${essence.slice(0, 100)}`}`,
    {
      Accept: allowed.join(', '),
    },
  )
}

/** Refuses bodies in a content coding: digests and sizes are those of the bytes as they are. @throws ProtocolError 415 */
export function refuseContentCoding(request: IncomingMessage): void {
  const coding = request.headers['content-encoding']
  if (coding === undefined || coding.toLowerCase() === 'identity') return
  throw new ProtocolError('unsupported_media_type', 'send the body without a Content-Encoding; it is stored as it arrives', {
    'Accept-Encoding': 'identity',
  })
}

/** For routes where having nothing more to say is a valid request: then the body is an empty object. `null` is no object. */
export async function allowNoBody(request: { body: unknown }): Promise<void> {
  if (request.body === undefined) request.body = {}
}

/** Reads a JSON body. @throws DocumentInvalidError; LimitExceededError; ProtocolError 415 */
export async function readJsonBody(request: IncomingMessage): Promise<JsonValue> {
  requireMediaType(request, 'application/json')
  refuseContentCoding(request)
  if (Number(request.headers['content-length'] ?? 0) > JSON_BODY_BYTES) throw tooLong()
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of bodyOf(request)) {
    size += piece.length
    if (size > JSON_BODY_BYTES) throw tooLong()
    pieces.push(piece)
  }
  return parseJson(Buffer.concat(pieces, size), { maxBytes: JSON_BODY_BYTES })
}

/** Reads a body of JSON Lines (`application/jsonl`, also sent as `application/x-ndjson`), a batch of lines at a time; empty lines are skipped. */
export async function* readJsonLines(request: IncomingMessage, linesPerBatch: number): AsyncGenerator<readonly JsonValue[], void, undefined> {
  requireMediaType(request, 'application/jsonl', 'application/x-ndjson')
  refuseContentCoding(request)
  let batch: JsonValue[] = []
  let number = 0
  for await (const line of linesOf(bodyOf(request))) {
    number += 1
    if (line.length === 0) continue
    batch.push(parseLine(line, number))
    if (batch.length < linesPerBatch) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

async function* linesOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let rest: Uint8Array[] = []
  let length = 0
  for await (const piece of pieces) {
    let start = 0
    for (let end = piece.indexOf(LINE_FEED); end >= 0; end = piece.indexOf(LINE_FEED, start)) {
      yield Buffer.concat([...rest, piece.subarray(start, end)])
      rest = []
      length = 0
      start = end + 1
    }
    if (start === piece.length) continue
    length += piece.length - start
    if (length > LINE_BYTES) throw new LimitExceededError(`a line of the body is longer than ${LINE_BYTES} bytes`)
    rest.push(piece.subarray(start))
  }
  if (rest.length > 0) yield Buffer.concat(rest)
}

function parseLine(line: Uint8Array, number: number): JsonValue {
  try {
    return parseJson(line, { maxBytes: LINE_BYTES })
  } catch (cause) {
    if (!(cause instanceof DocumentInvalidError)) throw cause
    throw new DocumentInvalidError(`line ${number} of the body: ${cause.message}`, { cause })
  }
}

function tooLong(): LimitExceededError {
  return new LimitExceededError(`a JSON body has at most ${JSON_BODY_BYTES} bytes`)
}
