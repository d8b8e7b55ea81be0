import { lookup as lookUp } from 'node:dns'
import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { InputInvalidError, ServerUnreachableError } from '../../core/errors.ts'
import { type Clock, systemClock } from '../../ports/clock.ts'
import type { DeliveryOutcome, EventSink, OutgoingMessage } from '../../ports/event-sink.ts'
import { isPrivateAddress } from './private-address.ts'
import { parseWebhookSecret, signMessage } from './webhook-signature.ts'

/** Where messages go. */
export interface WebhookSettings {
  /** `http:` or `https:`. */
  readonly url: string
  /** Reads the secret that messages are signed with, each time; without, they are not signed. */
  readonly secret?: () => string | undefined
  /** Whether it may lie in a network that is not public: for what the operator set up, never for what a user did. */
  readonly allowPrivate: boolean
  /** How long all of one attempt may take, ms; default 10 s. */
  readonly timeoutMs?: number
  readonly clock?: Clock
}

const TIMEOUT_MS = 10_000
/** What is read of an answer, bytes, and how much of it is told. */
const ANSWER_BYTES = 4_096
const TOLD_LENGTH = 200
/** Refusals that may be over later (RFC 9110, 8470, 6585). */
const LATER = new Set([408, 425, 429])

/** Posts each message to an address. @throws InputInvalidError for an address of another kind */
export function createWebhookSink(settings: WebhookSettings): EventSink {
  const url = URL.parse(settings.url)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new InputInvalidError('a webhook has an address with http: or https:')
  if (url.username !== '' || url.password !== '') throw new InputInvalidError('the address of a webhook may not hold a name or a password')
  return new WebhookSink(url, settings)
}

class WebhookSink implements EventSink {
  readonly #url: URL
  readonly #settings: WebhookSettings

  constructor(url: URL, settings: WebhookSettings) {
    this.#url = url
    this.#settings = settings
  }

  async deliver(message: OutgoingMessage, { signal }: { readonly signal: AbortSignal }): Promise<DeliveryOutcome> {
    const answer = await this.#post(message, this.#headers(message), signal)
    const status = answer.statusCode ?? 0
    if (status >= 200 && status < 300) {
      answer.destroy()
      return { outcome: 'accepted' }
    }
    const told = await beginningOf(answer)
    const reason = `${this.#url.host} answered ${status}${told === '' ? '' : `: ${told}`}`
    if (status >= 400 && status < 500 && !LATER.has(status)) return { outcome: 'rejected', reason }
    // Redirects are not followed: where they lead nobody has allowed.
    throw new ServerUnreachableError(reason, { detail: { status, ...retryAfter(answer, this.#now()) } })
  }

  #now(): number {
    return (this.#settings.clock ?? systemClock).now()
  }

  #headers({ id, contentType, body }: OutgoingMessage): Readonly<Record<string, string>> {
    const headers = { 'content-type': contentType, 'content-length': String(body.byteLength), 'user-agent': 'artifact-store' }
    const { secret: read } = this.#settings
    if (read === undefined) return { ...headers, 'webhook-id': id }
    const secret = read()
    if (secret === undefined) throw new ServerUnreachableError(`the secret for ${this.#url.host} cannot be read`)
    return { ...headers, ...signMessage(parseWebhookSecret(secret), id, Math.floor(this.#now() / 1_000), body) }
  }

  async #post({ body }: OutgoingMessage, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<IncomingMessage> {
    const { allowPrivate, timeoutMs = TIMEOUT_MS } = this.#settings
    const host = this.#url.hostname.replace(/^\[|\]$/g, '')
    if (!allowPrivate && isIP(host) !== 0 && isPrivateAddress(host)) throw refused(this.#url.host)
    const send = this.#url.protocol === 'https:' ? requestHttps : requestHttp
    const until = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    return new Promise((resolve, reject) => {
      // No connection is kept: what a name stands for is asked, and looked at, each time.
      const options = { method: 'POST', headers, signal: until, agent: false, ...(allowPrivate ? {} : { lookup: publicLookup(this.#url.host) }) }
      const request: ClientRequest = send(this.#url, options)
      request.on('response', resolve)
      request.on('error', (cause) => reject(cause instanceof ServerUnreachableError ? cause : unreachable(this.#url.host, cause, signal)))
      request.end(body)
    })
  }
}

/** Looks a name up and gives only addresses that are public, so that what was looked at is what is connected to. */
function publicLookup(host: string): LookupFunction {
  return (hostname, options, done) => {
    lookUp(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return done(error, [])
      if (addresses.some(({ address }) => isPrivateAddress(address))) return done(refused(host), [])
      const [first] = addresses
      if (options.all === true) return done(null, addresses)
      return done(null, first?.address ?? '', first?.family)
    })
  }
}

function refused(host: string): ServerUnreachableError {
  return new ServerUnreachableError(`${host} lies in a network that is not public; nothing is sent there`)
}

function unreachable(host: string, cause: Error, signal: AbortSignal): ServerUnreachableError {
  const why = signal.aborted
    ? 'stopped'
    : cause.name === 'TimeoutError' || cause.name === 'AbortError'
      ? 'no answer in time'
      : cause.message || codeOf(cause)
  return new ServerUnreachableError(`cannot reach ${host}: ${why}`, { cause })
}

/** Several addresses that failed have no message of their own. */
function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}

/** The beginning of an answer, on one line. It may break off: then this much is told. */
async function beginningOf(answer: IncomingMessage): Promise<string> {
  const parts: Uint8Array[] = []
  let length = 0
  try {
    const pieces: AsyncIterable<Uint8Array> = answer
    for await (const piece of pieces) {
      parts.push(piece)
      length += piece.byteLength
      if (length >= ANSWER_BYTES) break
    }
  } catch {
    // The status is known; that is what counts.
  }
  answer.destroy()
  return Buffer.concat(parts)
    .toString()
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, TOLD_LENGTH)
}

function retryAfter({ headers }: IncomingMessage, now: number): { readonly retryAfterMs?: number } {
  const asked = headers['retry-after']
  if (asked === undefined) return {}
  const until = /^[0-9]{1,9}$/.test(asked) ? now + Number(asked) * 1_000 : Date.parse(asked)
  return Number.isNaN(until) ? {} : { retryAfterMs: Math.max(0, until - now) }
}
