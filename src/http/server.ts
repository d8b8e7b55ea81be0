import type { IncomingMessage } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { createApplication } from './application.ts'
import { createGuardedServer, type GuardedServer } from './guarded-server.ts'
import { defaultLimits, type ServerLimits } from './server-limits.ts'
import type { ServedStore } from './server-parts.ts'

/** A server that accepts connections. */
export interface RunningServer {
  /** `http://host:port` with the port that was really taken. */
  readonly address: string
  /** Turns `/readyz` to 503, takes no new connections, lets answers under way end, and resolves when all connections are closed. */
  stop(): Promise<void>
}

/** How to serve. */
export interface ServerOptions {
  readonly host: string
  /** 0 takes any free one. */
  readonly port: number
  /** Release of this program. */
  readonly version: string
  /** The store as whoever made a request may use it. */
  readonly storeFor: (request: FastifyRequest) => ServedStore
  /** The longest resumable upload, bytes; default 5 TiB. */
  readonly maxUploadBytes?: number
  /** Is told of errors that nobody threw on purpose. */
  readonly report: (error: unknown) => void
  /** What a client may ask for; the default suits the machine. */
  readonly limits?: Partial<ServerLimits>
}

/** Requests under way are given this long to end, in ms. */
const STOP_MS = 10_000

/**
 * Starts the HTTP server.
 * @throws the error of the operating system when the address cannot be used
 */
export async function startServer({ host, port, limits, ...parts }: ServerOptions): Promise<RunningServer> {
  let guarded: GuardedServer | undefined
  const stopping = new AbortController()
  const park = (request: IncomingMessage): void => guarded?.park(request)
  const app = await createApplication({ ...parts, stopping: stopping.signal, park }, (listener) => {
    guarded = createGuardedServer(listener, { ...defaultLimits(), ...limits })
    return guarded.server
  })
  await app.listen({ host, port })
  return {
    address: addressOf(app.server),
    stop: async () => {
      stopping.abort()
      await guarded?.drain(STOP_MS)
      await app.close()
    },
  }
}

/** Whether only programs on this machine reach an address. Names other than `localhost` are not looked up and count as reachable. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

function addressOf(server: Pick<Server, 'address'>): string {
  const address: AddressInfo | string | null = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('a server that listens on a port has an address')
  return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`
}
