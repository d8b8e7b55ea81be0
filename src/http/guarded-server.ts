import { once } from 'node:events'
import { type IncomingMessage, type RequestListener, type Server, ServerResponse, createServer } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { OverloadedError } from '../core/errors.ts'
import { Connection, type Exchange, type Fault } from './connection.ts'
import { excessOf, LoadGauge } from './load-gauge.ts'
import { ProtocolError } from './problem.ts'
import { type Refusal, refusalBytes, sendRefusal } from './refusal.ts'
import { announcedBody, isBodyOutstanding, refusalOf } from './request-head.ts'
import type { ServerLimits } from './server-limits.ts'
import { UploadRoom } from './upload-room.ts'

/** Numbers that tell how the server is doing. The last three only grow. */
export interface ServerCounts {
  readonly connections: number
  readonly inFlight: number
  readonly uploadsWaiting: number
  /** Requests that were malformed. */
  readonly refused: number
  /** Requests that were turned away because too much was under way. */
  readonly shed: number
  /** Connections that were cut because the client was too slow. */
  readonly cut: number
}

/** A server that keeps what is malformed, too slow or too much away from its handler. */
export interface GuardedServer {
  /** To be told where to listen. */
  readonly server: Server
  /** Aborts when {@link drain} begins: whatever only waits for news ends then. */
  readonly stopping: AbortSignal
  /**
   * Takes no new connections, lets requests under way end, and resolves when all connections are closed. Further requests on connections that are
   * open are answered, each as the last one of its connection.
   * @param deadlineMs after this, connections are cut
   */
  drain(deadlineMs: number): Promise<void>
  /** Says that a request only waits for news, and is no work under way any more. */
  park(request: IncomingMessage): void
  counts(): ServerCounts
}

/** Probes are answered whatever is going on. */
const PROBES = new Set(['/livez', '/readyz', '/health'])
/** Connections above the limit on which probes are still answered. */
const SURPLUS_CONNECTIONS = 256
/** A request that was on its way when the server was told to stop arrives within this time, in ms. */
const IN_TRANSIT_MS = 100

/** Closes the connection after an answer that is given before the body has arrived. */
class GuardedResponse extends ServerResponse {
  override writeHead(...parameters: [statusCode: number, ...rest: never[]]): this {
    if (isBodyOutstanding(this.req)) this.shouldKeepAlive = false
    return super.writeHead(...parameters)
  }
}

/** Makes a server that hands requests to `handler` one after the other for each connection, once it found nothing wrong with them. */
export function createGuardedServer(handler: RequestListener, limits: ServerLimits): GuardedServer {
  return new Guard(handler, limits)
}

class Guard implements GuardedServer {
  readonly server: Server
  readonly #handler: RequestListener
  readonly #limits: ServerLimits
  readonly #stopping = new AbortController()
  readonly #connections = new Map<Duplex, Connection>()
  readonly #exchanges = new WeakMap<IncomingMessage, Exchange>()
  readonly #room: UploadRoom
  readonly #gauge = new LoadGauge()
  readonly #sweeper: NodeJS.Timeout
  #swept = performance.now()
  #excess: ReturnType<typeof excessOf>
  #inFlight = 0
  #refused = 0
  #shed = 0
  #cut = 0

  constructor(handler: RequestListener, limits: ServerLimits) {
    this.#handler = handler
    this.#limits = limits
    this.#room = new UploadRoom(limits.uploads)
    this.server = createServer({
      ServerResponse: GuardedResponse,
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersMs,
      connectionsCheckingInterval: limits.sweepMs,
      // It would cover the whole body; how fast that arrives is watched instead.
      requestTimeout: 0,
      keepAliveTimeout: limits.keepAliveMs,
      // Checked with the other fields, so that the answer is a problem.
      requireHostHeader: false,
    })
    // Node would drop the fields above a number in silence.
    this.server.maxHeadersCount = 0
    this.server.maxConnections = limits.maxConnections + SURPLUS_CONNECTIONS
    this.server.on('connection', (socket) => this.#connected(socket))
    this.server.on('request', (request, response) => this.#arrived(request, response, false))
    this.server.on('checkContinue', (request, response) => this.#arrived(request, response, true))
    this.server.on('checkExpectation', (request, response) => this.#arrived(request, response, false))
    this.server.on('clientError', (error, socket) => this.#unreadable(error, socket))
    this.server.on('connect', (_request, socket) => this.#refuseTunnel(socket))
    this.server.on('listening', () => this.#gauge.start())
    this.server.on('close', () => this.#closed())
    this.#sweeper = setInterval(() => this.#sweep(), limits.sweepMs).unref()
  }

  get stopping(): AbortSignal {
    return this.#stopping.signal
  }

  counts(): ServerCounts {
    return {
      connections: this.#connections.size,
      inFlight: this.#inFlight,
      uploadsWaiting: this.#room.waiting,
      refused: this.#refused,
      shed: this.#shed,
      cut: this.#cut,
    }
  }

  park(request: IncomingMessage): void {
    const exchange = this.#exchanges.get(request)
    if (exchange !== undefined) this.#uncount(exchange)
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#stopping.abort()
    if (!this.server.listening) return this.#closed()
    const closed = once(this.server, 'close')
    // The method of http.Server would also cut connections that look idle although a request is on its way.
    NetServer.prototype.close.call(this.server)
    for (const { current } of this.#connections.values()) if (current !== undefined) lastOfConnection(current)
    const idle = setTimeout(() => this.#closeIdle(), IN_TRANSIT_MS)
    const deadline = setTimeout(() => this.server.closeAllConnections(), deadlineMs)
    await closed
    clearTimeout(idle)
    clearTimeout(deadline)
  }

  #connected(socket: Socket): void {
    const connection = new Connection(socket, this.#connections.size >= this.#limits.maxConnections, this.#limits)
    this.#connections.set(socket, connection)
    socket.once('close', () => {
      this.#connections.delete(socket)
      connection.startClosing()
    })
  }

  #arrived(request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void {
    const connection = this.#connections.get(request.socket)
    // What follows a request that was refused is never looked at: the two sides may not agree on where it begins.
    if (connection === undefined || connection.closing) return
    const exchange: Exchange = { request, response, awaitsContinue, counted: false, holdsRoom: false, release: () => undefined }
    if (connection.current === undefined) return this.#begin(connection, exchange)
    connection.behind.push(exchange)
    if (connection.behind.length > this.#limits.maxPipelined) {
      this.#shed += 1
      lastOfConnection(connection.current)
      connection.startClosing()
    }
  }

  #begin(connection: Connection, exchange: Exchange): void {
    const { request, response } = exchange
    connection.current = exchange
    this.#exchanges.set(request, exchange)
    response.once('close', () => this.#ended(connection, exchange))
    if (this.stopping.aborted) lastOfConnection(exchange)
    const refusal = refusalOf(request, this.#limits)
    if (refusal !== undefined) {
      this.#refused += 1
      return refuse(connection, exchange, refusal)
    }
    const probe = (request.method === 'GET' || request.method === 'HEAD') && PROBES.has(request.url?.split('?', 1)[0] ?? '')
    if (probe) return this.#hand(exchange)
    if (connection.surplus) return this.#turnAway(connection, exchange, 'there are too many connections')
    if (this.#excess === 'work') return this.#turnAway(connection, exchange, 'the server is busy')
    if (this.#excess === 'memory') return this.#turnAway(connection, exchange, 'the server is short of memory')
    whenArrived(exchange, () => this.#admit(connection, exchange))
  }

  #admit(connection: Connection, exchange: Exchange): void {
    if (this.#inFlight >= this.#limits.maxInFlight) return this.#turnAway(connection, exchange, 'there are too many requests under way')
    const need = isResumable(exchange.request) ? 0 : this.#room.needOf(announcedBody(exchange.request))
    exchange.release = this.#room.take(
      need,
      performance.now(),
      () => {
        exchange.counted = true
        exchange.holdsRoom = need > 0
        this.#inFlight += 1
        this.#hand(exchange)
      },
      () => this.#turnAway(connection, exchange, 'there are too many uploads under way'),
    )
  }

  /** Gives a request to the handler. A client that waits to be told so sends its body when somebody wants to read it. */
  #hand(exchange: Exchange): void {
    const { request, response } = exchange
    if (request.url === '*') {
      response.writeHead(204).end()
      return
    }
    if (exchange.awaitsContinue) continueWhenRead(exchange)
    this.#handler(request, response)
  }

  #turnAway(connection: Connection, exchange: Exchange, reason: string): void {
    this.#shed += 1
    const overloaded = new OverloadedError(`Nothing was done, since ${reason}; try again later.`)
    if (connection.surplus || isBodyOutstanding(exchange.request)) return refuse(connection, exchange, overloaded)
    sendRefusal(exchange.response, overloaded)
  }

  #ended(connection: Connection, exchange: Exchange): void {
    exchange.release()
    this.#uncount(exchange)
    if (connection.current === exchange) connection.current = undefined
    const next = connection.behind.shift()
    if (next !== undefined) return this.#begin(connection, next)
    if (connection.closing) connection.linger()
    else if (this.stopping.aborted) connection.socket.destroySoon()
  }

  #uncount(exchange: Exchange): void {
    if (!exchange.counted) return
    exchange.counted = false
    this.#inFlight -= 1
  }

  /** The parser gave up, the headers took too long, or the connection broke. */
  #unreadable(error: Error, socket: Duplex): void {
    const connection = this.#connections.get(socket)
    const code = 'code' in error ? error.code : undefined
    // A browser opens connections before it needs them: there is nobody to answer.
    const silent = connection?.socket.bytesRead === 0
    if (connection === undefined || silent || code === 'ECONNRESET' || code === 'EPIPE' || !socket.writable) {
      socket.destroy()
      return
    }
    if (connection.closing) return
    this.#refused += 1
    const { current } = connection
    if (current === undefined) return connection.linger(refusalBytes(unreadableRequest(code)))
    connection.startClosing()
    if (!isBodyOutstanding(current.request)) return lastOfConnection(current)
    this.#cutOff(connection, unreadableRequest(code))
  }

  /** Ends a connection in the middle of a request. The handler learns of it when it reads on. */
  #cutOff({ socket, current }: Connection, refusal: Refusal): void {
    if (current?.response.headersSent === false) socket.end(refusalBytes(refusal), () => socket.destroy())
    else socket.destroy()
  }

  #refuseTunnel(socket: Duplex): void {
    this.#refused += 1
    // From here on Node leaves the connection alone.
    socket.on('error', () => undefined)
    socket.end(refusalBytes(new ProtocolError('method_not_allowed', 'This server is no proxy.', { Allow: 'GET' })), () => socket.destroy())
  }

  #sweep(): void {
    const now = performance.now()
    // When this process stood still, that is nobody else's fault: what clients sent meanwhile has not even been read.
    const elapsedMs = Math.min(now - this.#swept, 2 * this.#limits.sweepMs)
    this.#swept = now
    this.#excess = excessOf(this.#gauge.read(), this.#limits.load)
    if (this.#excess === 'memory') this.#gauge.collectGarbage()
    this.#room.sweep(now)
    const contended = this.#room.contended(now)
    for (const connection of this.#connections.values()) {
      const fault = connection.look(elapsedMs, contended)
      if (fault !== undefined) this.#punish(connection, fault)
    }
  }

  #punish(connection: Connection, fault: Fault): void {
    if (fault === 'lingers') {
      connection.socket.destroy()
      return
    }
    this.#cut += 1
    connection.startClosing()
    if (fault === 'answer not taken') connection.socket.destroy()
    else this.#cutOff(connection, new ProtocolError('request_timeout', 'The body arrived too slowly; nothing of it was kept.'))
  }

  #closeIdle(): void {
    for (const { current, closing, socket } of this.#connections.values()) if (current === undefined && !closing) socket.destroySoon()
  }

  #closed(): void {
    clearInterval(this.#sweeper)
    this.#gauge.close()
  }
}

/** Whether a body is for a resumable upload: all of these share memory that the store bounds, however slow they are. */
function isResumable({ url = '' }: IncomingMessage): boolean {
  return /^\/uploads(?:[/?]|$)/.test(url)
}

/**
 * Calls `proceed` when the body has arrived, or as much of it as is held without anybody reading: until then a slow client takes nothing but its
 * connection. One that waits to be told so sends nothing before.
 */
function whenArrived({ request, awaitsContinue }: Exchange, proceed: () => void): void {
  if (awaitsContinue || !isBodyOutstanding(request)) return proceed()
  const look = (): void => {
    if (!request.complete && !request.socket.isPaused()) return
    request.off('readable', look)
    proceed()
  }
  request.on('readable', look)
}

/** Asks for the body once somebody reads it. */
function continueWhenRead(exchange: Exchange): void {
  const { request, response } = exchange
  const proceed = (): void => {
    if (!exchange.awaitsContinue || response.headersSent) return
    exchange.awaitsContinue = false
    response.writeContinue()
  }
  request.on('resume', proceed)
  request.on('newListener', (event) => {
    if (event === 'data' || event === 'readable') proceed()
  })
}

function refuse(connection: Connection, exchange: Exchange, refusal: Refusal): void {
  connection.startClosing()
  lastOfConnection(exchange)
  sendRefusal(exchange.response, refusal)
}

/** The answer says that the connection closes after it, if it has not begun. */
function lastOfConnection({ response }: Exchange): void {
  if (!response.headersSent) response.shouldKeepAlive = false
}

function unreadableRequest(code: unknown): Refusal {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new ProtocolError('headers_too_large', 'The request line and the header fields are too long.')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new ProtocolError('request_timeout', 'The header fields did not arrive in time.')
    default:
      return new ProtocolError('malformed_request', 'This is no well-formed HTTP request.')
  }
}
