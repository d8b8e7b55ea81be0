import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { canonicalJson, isJsonObject } from '../core/canonical-json.ts'
import { InputInvalidError } from '../core/errors.ts'
import type { Attempt } from '../store/idempotency.ts'
import type { Application, ServerParts } from './server-parts.ts'

/** A key: 1 to 255 visible characters of ASCII. */
const KEY_PATTERN = /^[\x21-\x7e]{1,255}$/
/** What goes with a body that is answered again. */
const KEPT_HEADERS = ['content-type', 'location'] as const
/** Answers that say "later": the same request may have another answer then. */
const PASSING: readonly number[] = [408, 425, 429]

/** Answers a POST of JSON that carries `Idempotency-Key` once, however often it arrives: see {@link IdempotencyLedger}. */
export function rememberAnswers(app: Application, { storeFor }: Pick<ServerParts, 'storeFor'>): void {
  const attempts = new WeakMap<FastifyRequest, Attempt>()
  app.addHook('preHandler', async (request, reply) => {
    const key = keyOf(request)
    if (key === undefined) return undefined
    const route = `${request.method} ${request.routeOptions.url ?? ''}`
    const begun = await storeFor(request).idempotency.begin({ route, key, fingerprint: fingerprintOf(request) })
    if ('attempt' in begun) {
      attempts.set(request, begun.attempt)
      return undefined
    }
    const { status, headers, body } = begun.replay
    return reply.code(status).headers(headers).serializer(String).send(body)
  })
  app.addHook('onSend', async (request, reply, payload: unknown) => {
    const attempt = attempts.get(request)
    if (attempt === undefined) return payload
    attempts.delete(request)
    const { statusCode: status } = reply
    const isFinal = status < 500 && !PASSING.includes(status) && (typeof payload === 'string' || payload === undefined || payload === null)
    if (isFinal) await attempt.finish({ status, headers: keptHeaders(reply), body: typeof payload === 'string' ? payload : '' })
    else await attempt.forget()
    return payload
  })
}

function keyOf(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key']
  if (key === undefined || request.method !== 'POST' || request.routeOptions.schema?.body === undefined) return undefined
  if (typeof key === 'string' && KEY_PATTERN.test(key)) return key
  throw new InputInvalidError('Idempotency-Key must be 1 to 255 visible characters of ASCII')
}

/** What is asked, and of what. */
function fingerprintOf({ url, body }: FastifyRequest): Uint8Array {
  return createHash('sha256')
    .update(`${url}\n${isJsonObject(body) ? canonicalJson(body) : ''}`)
    .digest()
}

function keptHeaders(reply: FastifyReply): Record<string, string> {
  return Object.fromEntries(KEPT_HEADERS.flatMap((name) => (reply.hasHeader(name) ? [[name, String(reply.getHeader(name))]] : [])))
}
