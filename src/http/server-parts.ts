import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest } from 'fastify'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { IdempotencyLedger } from '../store/idempotency.ts'
import type { Store } from '../store/interface.ts'

/** The web framework with schemas that are types. */
export type Application = FastifyInstance<Server, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>

/** A store as a server needs it. */
export interface ServedStore extends Store {
  readonly idempotency: Pick<IdempotencyLedger, 'begin'>
}

/** What routes work with. */
export interface ServerParts {
  /** The store as whoever made the request may use it. */
  readonly storeFor: (request: FastifyRequest) => ServedStore
  /** Aborts when the server stops: what waits for events then ends. */
  readonly stopping: AbortSignal
  /** Says that a request only waits for news, and is no work under way any more. */
  readonly park: (request: IncomingMessage) => void
  /** Release of this program. */
  readonly version: string
  /** The longest resumable upload, bytes; default 5 TiB. */
  readonly maxUploadBytes?: number
  /** Is told of errors that nobody threw on purpose. */
  readonly report: (error: unknown) => void
}
