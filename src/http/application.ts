import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { Ajv, type Options as AjvOptions } from 'ajv'
import addFormats from 'ajv-formats'
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import type { RequestListener, Server } from 'node:http'
import { InputInvalidError, NotFoundError, PathInvalidError } from '../core/errors.ts'
import { rememberAnswers } from './idempotency.ts'
import { measureRequests } from './metrics.ts'
import { movedPackage } from './moved-package.ts'
import { openApi } from './open-api.ts'
import { problemOf, ProtocolError } from './problem.ts'
import { JSON_BODY_BYTES, readJsonBody } from './request-body.ts'
import { routeTarget } from './route-url.ts'
import { archiveRoutes } from './routes/archives.ts'
import { documentRoutes } from './routes/documents.ts'
import { draftRoutes } from './routes/drafts.ts'
import { eventRoutes } from './routes/events.ts'
import { fileRoutes } from './routes/files.ts'
import { holdRoutes } from './routes/holds.ts'
import { metadataSchemaRoutes } from './routes/metadata-schemas.ts'
import { packageRoutes } from './routes/packages.ts'
import { repositoryRoutes } from './routes/repositories.ts'
import { retentionRoutes } from './routes/retention.ts'
import { serviceRoutes } from './routes/service.ts'
import { tagRoutes } from './routes/tags.ts'
import { uploadRoutes } from './routes/uploads.ts'
import { verificationRoutes } from './routes/verification.ts'
import { PROBLEM_MEDIA_TYPE } from './schema/problem-schema.ts'
import type { Application, ServerParts } from './server-parts.ts'

/** Longest parameter of a route, percent-encoded: a path of 4,096 bytes. */
const PARAMETER_LENGTH = 4_096 * 3
/** What the reference may load: its own files. */
const DOCS_POLICY = {
  'default-src': ["'self'"],
  'style-src': ["'self'", "'unsafe-inline'"],
  'img-src': ["'self'", 'data:'],
  'frame-ancestors': ["'none'"],
}

/**
 * Puts the routes together: what is documented at `/openapi.json` is what validates requests and writes answers.
 * @param makeServer makes the server around the framework's listener
 */
export async function createApplication(parts: ServerParts, makeServer: (listener: RequestListener) => Server): Promise<Application> {
  const refusedTargets = new WeakMap<object, string>()
  const app: Application = fastify({
    serverFactory: (listener) => makeServer(listener),
    bodyLimit: JSON_BODY_BYTES,
    exposeHeadRoutes: true,
    routerOptions: { maxParamLength: PARAMETER_LENGTH, ignoreTrailingSlash: false },
    frameworkErrors: (error, request, reply) => {
      sendProblem(parts, error, request, reply)
    },
    rewriteUrl(request) {
      const routed = routeTarget(request.url ?? '/')
      if ('target' in routed) return routed.target
      refusedTargets.set(request, routed.refused)
      return '/'
    },
  }).withTypeProvider<TypeBoxTypeProvider>()

  measureRequests(app)
  validateBySchema(app)
  readBodiesBySchema(app)
  app.addHook('onRequest', async (request, reply) => {
    const refused = refusedTargets.get(request.raw)
    if (refused !== undefined) throw new PathInvalidError(refused)
    reply.headers({ 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'private, no-cache' })
    // Who asks is found out before anything of the body is read.
    parts.storeFor(request)
  })
  rememberAnswers(app, parts)
  app.setErrorHandler((error, request, reply) => sendProblem(parts, error, request, reply))
  app.setNotFoundHandler((request, reply) => sendProblem(parts, unknownRoute(app, request), request, reply))

  await app.register(swagger, openApi(parts.version))
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: DOCS_POLICY, uiConfig: { validatorUrl: null } })
  for (const routes of [
    serviceRoutes,
    packageRoutes,
    draftRoutes,
    fileRoutes,
    archiveRoutes,
    documentRoutes,
    repositoryRoutes,
    tagRoutes,
    metadataSchemaRoutes,
    retentionRoutes,
    holdRoutes,
    eventRoutes,
    uploadRoutes,
    verificationRoutes,
  ]) {
    await app.register(async (scope) => routes(scope.withTypeProvider<TypeBoxTypeProvider>(), parts))
  }
  await app.ready()
  return app
}

/** Bodies must be what they say; queries and parameters arrive as text and may be numbers or booleans. */
function validateBySchema(app: Application): void {
  const options: AjvOptions = { allErrors: true, removeAdditional: false, useDefaults: false, strict: false }
  const bodies = new Ajv(options)
  const texts = new Ajv({ ...options, coerceTypes: true })
  addFormats.default(bodies)
  addFormats.default(texts)
  app.setValidatorCompiler(({ schema, httpPart }) => (httpPart === 'body' ? bodies : texts).compile(schema))
}

/** A route with a schema for its body takes JSON; the others get the bytes as they arrive, whatever they are called. */
function readBodiesBySchema(app: Application): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', async (request: FastifyRequest) => {
    return request.routeOptions.schema?.body === undefined ? undefined : readJsonBody(request.raw)
  })
}

/** 405 with what is allowed when only the method is wrong. */
function unknownRoute(app: Application, { url, method }: FastifyRequest): Error {
  const methods = ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS'] as const
  const [path = ''] = url.split('?')
  const allowed = methods.filter((candidate) => candidate !== method && app.findRoute({ method: candidate, url: path }) !== null)
  if (allowed.length === 0) return new NotFoundError('There is nothing at this address. /openapi.json tells what there is.')
  return new ProtocolError('method_not_allowed', `${method} is not possible here.`, { Allow: allowed.join(', ') })
}

function sendProblem(parts: ServerParts, error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = knownError(error)
  const moved = movedPackage(known)
  if (moved !== undefined)
    return reply
      .code(308)
      .header('Location', moved.locationFor(request.raw.url ?? '/'))
      .send()
  const problem = problemOf(known)
  if (problem.status >= 500 && problem.code === 'internal') parts.report(error)
  if (known instanceof ProtocolError) reply.headers(known.headers)
  if (problem.status === 401) reply.header('WWW-Authenticate', 'Bearer realm="artifact-store"')
  if (problem.status === 503) reply.header('Retry-After', '1')
  reply.removeHeader('ETag')
  return reply.code(problem.status).header('Content-Type', PROBLEM_MEDIA_TYPE).serializer(JSON.stringify).send(problem)
}

/** Brings errors of the framework into our words. */
function knownError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  if ('validation' in error && Array.isArray(error.validation)) {
    const problems = error.validation.map(({ instancePath, message, params }: ValidationFault) => ({
      at: `${'validationContext' in error ? String(error.validationContext) : ''}${instancePath}`,
      reason: `${message ?? 'is invalid'}${typeof params?.['additionalProperty'] === 'string' ? ` ('${params['additionalProperty']}')` : ''}`,
    }))
    return new InputInvalidError(
      problems
        .map(({ at, reason }) => `${at} ${reason}`)
        .join('; ')
        .slice(0, 4_000),
      { detail: { problems } },
    )
  }
  const status = 'statusCode' in error ? error.statusCode : undefined
  if (status === 415) return new ProtocolError('unsupported_media_type', error.message)
  return status === 400 || status === 404 ? new ProtocolError('malformed_request', error.message) : error
}

interface ValidationFault {
  readonly instancePath: string
  readonly message?: string
  readonly params?: Readonly<Record<string, unknown>>
}
