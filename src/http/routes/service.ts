import type { FastifyReply } from 'fastify'
import { healthReport, liveness, type ProbeAnswer, readiness } from '../health.ts'
import { answers } from '../schema/problem-schema.ts'
import { health, probeText, serviceInfo } from '../schema/service-schema.ts'
import type { Application, ServerParts } from '../server-parts.ts'

const tags = ['service']
const word = { description: 'In a word.', content: { 'text/plain': { schema: probeText } } }
const report = { description: 'Every check by name.', content: { 'application/health+json': { schema: health } } }

/** What the service is and how it is. */
export function serviceRoutes(app: Application, parts: ServerParts): void {
  app.get('/', { schema: { tags, summary: 'What this is', response: answers({ 200: serviceInfo }) } }, (request) => ({
    name: 'artifact-store',
    version: parts.version,
    storeId: parts.storeFor(request).id,
  }))
  app.get('/livez', { schema: { tags, summary: 'Whether the process lives', response: answers({ 200: word }) } }, async (_request, reply) =>
    sendProbe(reply, liveness()),
  )
  app.get(
    '/readyz',
    { schema: { tags, summary: 'Whether work may be sent here', response: answers({ 200: word, 503: word }) } },
    async (request, reply) => sendProbe(reply, await readiness(parts.storeFor(request), parts.stopping.aborted)),
  )
  app.get(
    '/health',
    { schema: { tags, summary: 'How the parts of the store are', response: answers({ 200: report, 503: report }) } },
    async (request, reply) => sendProbe(reply, await healthReport(parts.storeFor(request))),
  )
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
}

function sendProbe(reply: FastifyReply, { status, mediaType, body }: ProbeAnswer): FastifyReply {
  return reply.code(status).header('Content-Type', mediaType).header('Cache-Control', 'no-store').serializer(String).send(body)
}
