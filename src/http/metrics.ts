import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Application } from './server-parts.ts'

/** Upper bounds of the buckets of durations, seconds: from a cached answer to a large upload. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600]

/**
 * Counts requests, their durations and the bytes of their bodies, by route, method and status, and shows them with those of the process at
 * `GET /metrics` in the text format of Prometheus. Labels are routes, never addresses, so that their number is bounded.
 */
export function measureRequests(app: Application): void {
  const register = new Registry()
  collectDefaultMetrics({ register, prefix: 'artifact_store_' })
  const labelNames = ['route', 'method', 'status'] as const
  const registers = [register]
  const durations = new Histogram({
    name: 'artifact_store_http_request_duration_seconds',
    help: 'Time from a request to the end of its answer.',
    labelNames,
    buckets: SECONDS,
    registers,
  })
  const received = new Counter({ name: 'artifact_store_http_received_bytes_total', help: 'Bytes received, heads included.', registers })
  const sent = new Counter({ name: 'artifact_store_http_sent_bytes_total', help: 'Bytes sent, heads included.', registers })
  const inFlight = new Gauge({ name: 'artifact_store_http_requests_in_flight', help: 'Requests under way.', registers })

  app.addHook('onRequest', async (request, reply) => {
    inFlight.inc()
    const { socket } = request.raw
    const before = { received: socket.bytesRead, sent: socket.bytesWritten }
    // Also when the client goes away before the answer is complete.
    reply.raw.once('close', () => {
      inFlight.dec()
      received.inc(Math.max(0, socket.bytesRead - before.received))
      sent.inc(Math.max(0, socket.bytesWritten - before.sent))
      const route = request.routeOptions.url ?? 'unknown'
      durations.observe({ route, method: request.method, status: String(reply.statusCode) }, reply.elapsedTime / 1_000)
    })
  })
  app.get('/metrics', { schema: { tags: ['service'], summary: 'Figures for Prometheus', hide: true } }, async (_request, reply) => {
    return reply
      .header('Content-Type', register.contentType)
      .serializer(String)
      .send(await register.metrics())
  })
}
