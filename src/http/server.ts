import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { HealthSource, ProbeAnswer } from './health.ts'
import { healthReport, liveness, readiness } from './health.ts'

/** A server that accepts connections. */
export interface RunningServer {
  /** `http://host:port` with the port that was really taken. */
  readonly address: string
  /** Turns `/readyz` to 503, takes no new connections, lets answers under way end, and resolves when all connections are closed. */
  stop(): Promise<void>
}

/** Requests under way are given this long to end, in ms. */
const STOP_MS = 10_000
/** Headers must arrive within this time, in ms: nothing that is answered here needs longer. */
const HEADERS_MS = 10_000

/**
 * Starts an HTTP server that answers the probes `/health`, `/livez` and `/readyz`, and nothing else.
 * @param port 0 takes any free one
 * @throws the error of the operating system when the address cannot be used
 */
export async function startServer(store: HealthSource, host: string, port: number): Promise<RunningServer> {
  let isStopping = false
  const server = createServer({ requestTimeout: HEADERS_MS, headersTimeout: HEADERS_MS }, (request, response) => {
    void answer(request, response, store, isStopping)
  })
  server.listen(port, host)
  await once(server, 'listening')
  return {
    address: addressOf(server),
    stop: async () => {
      isStopping = true
      const closed = once(server, 'close')
      server.close()
      const timer = setTimeout(() => server.closeAllConnections(), STOP_MS)
      await closed
      clearTimeout(timer)
    },
  }
}

/** Whether only programs on this machine reach an address. Names other than `localhost` are not looked up and count as reachable. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

async function answer(request: IncomingMessage, response: ServerResponse, store: HealthSource, isStopping: boolean): Promise<void> {
  // Bodies are not read; a connection that sends one is not used again.
  if (isStopping || request.method !== 'GET') response.setHeader('Connection', 'close')
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  const [path = ''] = (request.url ?? '').split('?')
  const probe = probes[path]
  if (probe === undefined)
    return sendProblem(response, 404, 'not_found', 'There is nothing at this path. This server answers /health, /livez and /readyz.')
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', 'GET, HEAD')
    return sendProblem(response, 405, 'method_not_allowed', 'Use GET.')
  }
  const { status, mediaType, body } = await probe(store, isStopping)
  return send(response, status, mediaType, body)
}

const probes: Readonly<Partial<Record<string, (store: HealthSource, isStopping: boolean) => Promise<ProbeAnswer> | ProbeAnswer>>> = {
  '/health': healthReport,
  '/livez': liveness,
  '/readyz': readiness,
}

/** RFC 9457. */
function sendProblem(response: ServerResponse, status: number, code: string, detail: string): void {
  send(response, status, 'application/problem+json', `${JSON.stringify({ type: 'about:blank', status, code, detail })}\n`)
}

function send(response: ServerResponse, status: number, mediaType: string, body: string): void {
  response.writeHead(status, { 'Content-Type': mediaType, 'Content-Length': Buffer.byteLength(body) })
  // For HEAD, Node sends the headers only.
  response.end(body)
}

function addressOf(server: Server): string {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('a server that listens on a port has an address')
  return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`
}
