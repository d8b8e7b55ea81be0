import type { FastifyDynamicSwaggerOptions, SwaggerTransform } from '@fastify/swagger'
import type { FastifySchema } from 'fastify'
import { isJsonObject, type JsonObject, type JsonValue } from '../core/canonical-json.ts'
import { protocolStatusOf, statusOf } from './problem.ts'
import { allowNoBody } from './request-body.ts'
import { SPELLING } from './schema/closed.ts'

const IDEMPOTENCY_KEY = {
  type: 'string',
  maxLength: 255,
  pattern: '^[!-~]+$',
  description: 'Makes the request safe to repeat: for 24 h the same key gets the same answer, and nothing is done twice.',
}
const MOVED = {
  description: 'The id stands for another package: ask there.',
  headers: { Location: { type: 'string', description: 'The same address below the id of that package.' } },
  type: 'null',
}

/** The interface as a document: the schemas that validate requests and answers, and what those schemas do not say. */
export function openApi(version: string): FastifyDynamicSwaggerOptions {
  /** Operations that may come without a body. */
  const optional = new Set<string>()
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'artifact-store',
        version,
        description: `Keeps the files that programs produce as immutable, verifiable packages, and hands back exactly the same bytes.\n\nEvery answer that is no success is a problem (RFC 9457) with one of these codes:\n\n${problemTable()}`,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
      security: [{}, { bearer: [] }],
    },
    transform: (document) => {
      const { schema, url, route } = document
      const takesBytes = schema.body === undefined && schema.consumes !== undefined
      if (takesBytes || [route.preValidation].flat().includes(allowNoBody))
        for (const method of [route.method].flat()) optional.add(`${method} ${url.replaceAll(/:(\w+)/g, '{$1}')}`)
      return describeRoute(document)
    },
    transformObject: (document) => {
      if (!('openapiObject' in document)) return document.swaggerObject
      const { openapiObject } = document
      for (const [path, item] of Object.entries(openapiObject.paths ?? {})) {
        for (const [method, operation] of Object.entries({ PUT: item?.put, POST: item?.post, PATCH: item?.patch })) {
          if (optional.has(`${method} ${path}`) && operation?.requestBody !== undefined) Object.assign(operation.requestBody, { required: false })
        }
      }
      const written: unknown = JSON.parse(JSON.stringify(openapiObject))
      return isJsonObject(written) ? nameSchemas(written) : openapiObject
    },
  }
}

const describeRoute: SwaggerTransform = ({ schema, url, route }) => {
  const described: FastifySchema = { ...schema }
  // Bodies that are taken as they come have no schema that anything could be validated by.
  if (schema.body === undefined && schema.consumes !== undefined) {
    described.body = {
      content: Object.fromEntries(schema.consumes.map((type) => [type, { schema: { type: 'string', format: 'binary' } }])),
    }
  } else if (schema.body !== undefined && route.method === 'POST') {
    described.headers = { type: 'object', properties: { 'Idempotency-Key': IDEMPOTENCY_KEY } }
  }
  // Sound: answers() made it.
  if (url.startsWith('/packages/:id')) described.response = { ...(schema.response as object), 308: MOVED }
  return { schema: described, url }
}

/** Answers that are the same everywhere. */
const PROBLEMS = ['4XX', '5XX']

/** Moves each schema that has a title, and the problems, to where they can be referred to, and says by pattern what is spelled in some way. */
function nameSchemas(document: JsonObject): JsonObject {
  const schemas: Record<string, JsonValue> = {}
  const responses: Record<string, JsonValue> = {}
  const named = (value: JsonValue): JsonValue => {
    if (Array.isArray(value)) return value.map(named)
    if (!isJsonObject(value)) return value
    const members: Record<string, JsonValue> = {}
    for (const [key, member] of Object.entries(value)) {
      members[key === SPELLING ? 'pattern' : key] = named(member)
      if (!PROBLEMS.includes(key)) continue
      responses['Problem'] ??= members[key] ?? null
      members[key] = { $ref: '#/components/responses/Problem' }
    }
    const { title, type } = members
    if (typeof title !== 'string' || typeof type !== 'string') return members
    schemas[title] ??= members
    if (JSON.stringify(schemas[title]) !== JSON.stringify(members)) throw new TypeError(`two schemas are called ${title}`)
    return { $ref: `#/components/schemas/${title}` }
  }
  const { components, paths, ...rest } = document
  const namedPaths = named(paths ?? {})
  const sorted = Object.fromEntries(Object.entries(schemas).toSorted(([left], [right]) => (left < right ? -1 : 1)))
  return { ...rest, components: { ...(isJsonObject(components) ? components : {}), responses, schemas: sorted }, paths: namedPaths }
}

/** Which status a code has, as a list in Markdown. */
function problemTable(): string {
  const codes = new Map<number, string[]>()
  for (const [code, status] of Object.entries({ ...statusOf, ...protocolStatusOf })) {
    const known = codes.get(status)
    if (known === undefined) codes.set(status, [code])
    else known.push(code)
  }
  return [...codes]
    .toSorted(([left], [right]) => left - right)
    .map(([status, names]) => `- ${status}: ${names.map((name) => `\`${name}\``).join(', ')}`)
    .join('\n')
}
