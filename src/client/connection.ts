import { joinBytes } from '../core/bytes.ts'
import {
  AbortedError,
  ClosedError,
  DocumentInvalidError,
  type ErrorCode,
  LimitExceededError,
  ServerUnreachableError,
  type StoreError,
} from '../core/errors.ts'
import { bodyPieces } from './body-pieces.ts'
import { errorOfAnswer } from './problem.ts'
import { pause, retryAfterMs, waitMs } from './retry-schedule.ts'

/** The part of `fetch` that is needed. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** Bytes over the wire so far, what was sent again included. */
export interface TransferProgress {
  readonly sent: number
  readonly received: number
}

/** How to talk to a server. */
export interface ConnectOptions {
  /** Sent as `Authorization: Bearer`. Never part of a message. */
  readonly token?: string
  /** Instead of the platform's own. */
  readonly fetch?: Fetch
  /** Ends everything that is under way. */
  readonly signal?: AbortSignal
  /** How often a request is sent again when the server cannot be reached or has too much to do; 6 unless told, which takes about 10 s in all. */
  readonly retries?: number
  readonly onProgress?: (progress: TransferProgress) => void
}

/** A body that comes piece by piece: as often as it is asked for, or once only. */
export type StreamBody = { readonly size: number; readonly open: () => AsyncIterable<Uint8Array> } | { readonly once: AsyncIterable<Uint8Array> }

/** The body of a request. */
export type RequestBody = string | Uint8Array<ArrayBuffer> | StreamBody

/** One request. */
export interface Call {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Below the server's address, as `requestPath` makes it. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: RequestBody
  readonly signal?: AbortSignal | undefined
  /** Statuses that are answers, besides 200 to 299. */
  readonly alsoAnswers?: readonly number[]
  /** Whether sending it twice does what sending it once does. Of all but POST and PATCH it is known. */
  readonly repeatable?: boolean
  /** Fewer attempts than the connection makes otherwise. */
  readonly retries?: number
}

/** Largest answer that is held whole. Lists are paged, manifests have at most 4 MiB. */
const MAX_HELD_BYTES = 64 * 1024 * 1024
const DEFAULT_RETRIES = 6
/** What was asked was not done, for sure. */
const UNTOUCHED: ReadonlySet<ErrorCode> = new Set(['overloaded', 'registry_busy'])
/** What may be otherwise in a moment. A full disk is not among it: somebody has to free some space. */
const MOMENTARY: ReadonlySet<ErrorCode> = new Set([
  'overloaded',
  'registry_busy',
  'server_unreachable',
  'lease_lost',
  // The first of two is still at work; when it is done, its answer is that of both.
  'idempotency_running',
])
/** The connection did not come about, so that nothing was asked. */
const NEVER_SENT: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])

/** Something that another attempt may get around. */
class Setback extends Error {
  readonly error: StoreError
  /** Nothing was done, so that any request may be sent again. */
  readonly untouched: boolean
  readonly askedMs: number | undefined

  constructor(error: StoreError, untouched: boolean, askedMs?: number) {
    super(error.message, { cause: error })
    this.error = error
    this.untouched = untouched
    this.askedMs = askedMs
  }
}

/** Requests to one server: authorized, counted, and sent again where that is safe. */
export class Connection {
  readonly #base: string
  readonly #token: string | undefined
  readonly #fetch: Fetch
  readonly #retries: number
  readonly #onProgress: ((progress: TransferProgress) => void) | undefined
  readonly #end = new AbortController()
  readonly #signal: AbortSignal
  #sent = 0
  #received = 0

  /** @param base as `parseServerUrl` gives it */
  constructor(base: string, options: ConnectOptions) {
    this.#base = base
    this.#token = options.token
    this.#fetch = options.fetch ?? ((url, init) => fetch(url, init))
    this.#retries = options.retries ?? DEFAULT_RETRIES
    this.#onProgress = options.onProgress
    this.#signal = options.signal === undefined ? this.#end.signal : AbortSignal.any([options.signal, this.#end.signal])
  }

  /** How often something may fail in a row before it is given up. */
  get retries(): number {
    return this.#retries
  }

  /** Ends everything that is under way; what is asked for later is refused. */
  close(): void {
    this.#end.abort()
  }

  /**
   * Sends a request, again if need be, and hands over the answer.
   * @throws the error that the answer stands for; ServerUnreachableError; AbortedError; ClosedError; what the body's own source throws
   */
  async call<T>(call: Call, consume: (response: Response) => Promise<T> | T): Promise<T> {
    const signal = call.signal === undefined ? this.#signal : AbortSignal.any([call.signal, this.#signal])
    const again = call.repeatable ?? (call.method !== 'POST' && call.method !== 'PATCH')
    const body = new Body(call.body, (bytes) => this.#count(bytes, 0))
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await this.#attempt(call, body, signal)
        return await consume(response)
      } catch (error) {
        if (!(error instanceof Setback)) throw error
        const wait = attempt > Math.min(this.#retries, call.retries ?? this.#retries) ? undefined : waitMs(attempt, error.askedMs, Math.random())
        if (wait === undefined || !body.canBeSent || !(again || error.untouched)) throw error.error
        await pause(wait, signal)
        if (signal.aborted) throw this.#aborted(call, signal)
      }
    }
  }

  /** Sends a request and reads its answer as JSON. */
  json<T>(call: Call, read: (value: unknown, where: string) => T): Promise<T> {
    return this.call({ ...call, headers: { accept: 'application/json', ...call.headers } }, async (response) => {
      const text = new TextDecoder().decode(await this.held(response))
      let value: unknown
      try {
        value = JSON.parse(text)
      } catch (cause) {
        throw new DocumentInvalidError(`${this.#base} answered something that is no JSON: ${text.slice(0, 100)} (is it an artifact-store?)`, {
          cause,
        })
      }
      return read(value, 'answer')
    })
  }

  /** Sends a request whose answer says nothing more. */
  done(call: Call): Promise<void> {
    return this.call(call, async (response) => {
      await this.held(response)
    })
  }

  /** The body of an answer at once. A connection that breaks off is a setback: the request is sent again. */
  async held(response: Response): Promise<Uint8Array<ArrayBuffer>> {
    const pieces: Uint8Array[] = []
    let length = 0
    for await (const piece of this.#pieces(response, (cause) => new Setback(this.#unreachable(cause), false))) {
      length += piece.length
      if (length > MAX_HELD_BYTES) throw new LimitExceededError(`the server's answer is longer than ${MAX_HELD_BYTES} bytes`)
      pieces.push(piece)
    }
    return new Uint8Array(joinBytes(pieces))
  }

  /** The body of an answer piece by piece. @throws ServerUnreachableError when it breaks off; AbortedError */
  pieces(response: Response, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    return this.#pieces(response, (cause) => {
      if (signal?.aborted === true) return abortedError(signal)
      return this.#end.signal.aborted ? this.#closed() : this.#unreachable(cause)
    })
  }

  #pieces(response: Response, broken: (cause: unknown) => Error): AsyncGenerator<Uint8Array, void, undefined> {
    return bodyPieces(response.body, broken, (bytes) => this.#count(0, bytes))
  }

  /** @throws Setback where another attempt may help */
  async #attempt(call: Call, body: Body, signal: AbortSignal): Promise<Response> {
    if (signal.aborted) throw this.#aborted(call, signal)
    let response: Response
    try {
      response = await this.#fetch(this.#base + call.path, {
        method: call.method,
        headers: { ...this.#headers(), ...body.headers, ...call.headers },
        signal,
        ...body.init(),
      })
    } catch (cause) {
      if (signal.aborted) throw this.#aborted(call, signal)
      // What went wrong with the source of the body says more than the connection that broke because of it.
      body.throwFailure()
      throw new Setback(this.#unreachable(cause), NEVER_SENT.has(systemCode(cause) ?? ''))
    }
    if (response.ok || call.alsoAnswers?.includes(response.status) === true) return response
    const error = await this.#refusal(call, response)
    if (!MOMENTARY.has(error.code)) throw error
    throw new Setback(error, UNTOUCHED.has(error.code), retryAfterMs(response.headers.get('retry-after'), Date.now()))
  }

  async #refusal(call: Call, response: Response): Promise<StoreError> {
    const text = new TextDecoder().decode(await this.held(response))
    return errorOfAnswer(response.status, text, `${call.method} ${this.#base}${call.path}`)
  }

  #headers(): Readonly<Record<string, string>> {
    return this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }
  }

  #count(sent: number, received: number): void {
    this.#sent += sent
    this.#received += received
    this.#onProgress?.({ sent: this.#sent, received: this.#received })
  }

  #unreachable(cause: unknown): ServerUnreachableError {
    return new ServerUnreachableError(`cannot reach the server ${this.#base}: ${reasonOf(cause)}`, { cause, detail: { url: this.#base } })
  }

  #aborted(call: Call, signal: AbortSignal): Error {
    if (call.signal?.aborted === true) return abortedError(call.signal)
    return this.#end.signal.aborted ? this.#closed() : abortedError(signal)
  }

  #closed(): ClosedError {
    return new ClosedError('the connection to the store was closed')
  }
}

/** A signal that never aborts. */
export const NEVER: AbortSignal = new AbortController().signal

/** What a call throws whose signal was aborted; the signal's reason is the cause. */
export function abortedError(signal: AbortSignal): AbortedError {
  return new AbortedError('stopped on request', { cause: signal.reason })
}

/** A body on its way, and what became of its source. */
class Body {
  readonly #body: RequestBody | undefined
  readonly #count: (bytes: number) => void
  #begun = false
  #failure: { readonly error: unknown } | undefined

  constructor(body: RequestBody | undefined, count: (bytes: number) => void) {
    this.#body = body
    this.#count = count
  }

  get canBeSent(): boolean {
    return !(this.#begun && typeof this.#body === 'object' && 'once' in this.#body)
  }

  /** Browsers set the length by themselves. */
  get headers(): Readonly<Record<string, string>> {
    return typeof this.#body === 'object' && 'open' in this.#body ? { 'content-length': String(this.#body.size) } : {}
  }

  init(): Pick<RequestInit, 'body' | 'duplex'> {
    const body = this.#body
    if (body === undefined) return {}
    if (typeof body === 'object' && ('once' in body || 'open' in body)) return { body: streamOf(this.#watched(body)), duplex: 'half' }
    const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body
    this.#count(bytes.length)
    return { body: bytes }
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  async *#watched(body: StreamBody): AsyncGenerator<Uint8Array, void, undefined> {
    this.#failure = undefined
    this.#begun = true
    try {
      for await (const piece of 'once' in body ? body.once : body.open()) {
        this.#count(piece.length)
        yield piece
      }
    } catch (error) {
      this.#failure = { error }
      throw error
    }
  }
}

/** A stream that asks for a piece only when one is wanted, and tells its source when no more are. */
function streamOf(pieces: AsyncGenerator<Uint8Array, void, undefined>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const step = await pieces.next()
        if (step.done === true) controller.close()
        else controller.enqueue(step.value)
      },
      async cancel() {
        await pieces.return()
      },
    },
    { highWaterMark: 0 },
  )
}

/** Failures of `fetch` hide what happened in their cause, sometimes one of several addresses tried. */
function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  if ('code' in error && typeof error.code === 'string') return error.code
  if (error instanceof AggregateError && error.errors.length > 0) return systemCode(error.errors[0])
  return systemCode(error.cause)
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of the host cannot be looked up now',
  ECONNRESET: 'the connection broke off',
  UND_ERR_SOCKET: 'the connection broke off',
  UND_ERR_CONNECT_TIMEOUT: 'it does not answer',
  UND_ERR_HEADERS_TIMEOUT: 'it does not answer',
  UND_ERR_BODY_TIMEOUT: 'the connection is silent',
}

function reasonOf(error: unknown): string {
  const code = systemCode(error)
  if (code !== undefined) return REASONS[code] ?? code
  return error instanceof Error && error.cause instanceof Error ? error.cause.message : error instanceof Error ? error.message : String(error)
}
