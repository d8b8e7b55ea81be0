import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { isJsonObject, type JsonObject, type JsonValue } from '../core/canonical-json.ts'
import { serveNewStore } from '../testing/served-store.ts'
import { protocolStatusOf, statusOf } from './problem.ts'

const COMMITTED = new URL('../../openapi.json', import.meta.url)
const PACKAGE = new URL('../../package.json', import.meta.url)
const METHODS = ['get', 'head', 'put', 'post', 'patch', 'delete', 'options']

/** Members that are the user's own, or differ by kind, and so have no schema of ours. */
const FREE_FORM = ['metadata', 'schema', 'data', 'facts']

interface Operation {
  readonly name: string
  readonly parameters: readonly JsonObject[]
  /** Schemas by where they are. */
  readonly schemas: readonly (readonly [where: string, schema: JsonValue | undefined])[]
  readonly responses: JsonObject
}

async function served(): Promise<JsonObject> {
  const { version } = member(JSON.parse(await readFile(PACKAGE, 'utf8')))
  const { address } = await serveNewStore({ version: text(version) })
  const response = await fetch(`${address}/openapi.json`)
  assert.equal(response.status, 200)
  return member(await response.json())
}

/** The document without references. */
function resolved(document: JsonObject): JsonObject {
  const resolve = (value: JsonValue | undefined): JsonValue | undefined => {
    if (Array.isArray(value)) return value.map((item: JsonValue) => resolve(item) ?? null)
    if (!isJsonObject(value)) return value
    const { $ref: reference } = value
    if (typeof reference !== 'string') return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolve(inner) ?? null]))
    const [, ...path] = reference.split('/')
    const target = path.reduce<JsonValue | undefined>((from, key) => member(from)[key], document)
    assert.ok(target !== undefined, reference)
    return resolve(target)
  }
  return member(resolve(document['paths']))
}

/** What is not there is empty. */
function member(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {}
}

function operationsOf(document: JsonObject): readonly Operation[] {
  return Object.entries(resolved(document)).flatMap(([path, methods]) =>
    Object.entries(member(methods))
      .filter(([method]) => METHODS.includes(method))
      .map(([method, value]) => operationOf(`${method.toUpperCase()} ${path}`, member(value))),
  )
}

function operationOf(name: string, operation: JsonObject): Operation {
  const responses = member(operation['responses'])
  const parameters = Array.isArray(operation['parameters']) ? operation['parameters'].map(member) : []
  return {
    name,
    parameters,
    responses,
    schemas: [
      ...parameters.map((parameter) => [`${name} ${text(parameter['name'])}`, parameter['schema']] as const),
      ...contentOf(`${name} body`, member(operation['requestBody'])),
      ...Object.entries(responses).flatMap(([status, response]) => contentOf(`${name} ${status}`, member(response))),
    ],
  }
}

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

function contentOf(where: string, { content }: JsonObject): readonly (readonly [string, JsonValue | undefined])[] {
  return Object.entries(member(content)).map(([mediaType, media]) => [`${where} ${mediaType}`, member(media)['schema']] as const)
}

/** Where a schema lets through what nobody has described. */
function openPlaces(where: string, value: JsonValue | undefined, name: string): readonly string[] {
  if (!isJsonObject(value)) return [`${where}: no schema`]
  // Files are what they are.
  if (where.endsWith(' */*')) return []
  const { type, properties, additionalProperties, items, anyOf } = value
  if (Array.isArray(anyOf)) return anyOf.flatMap((option: JsonValue, index) => openPlaces(`${where}|${index}`, option, name))
  if (type === 'array') return openPlaces(`${where}[]`, items, name)
  if (type !== 'object') return typeof type === 'string' ? [] : [`${where}: no type`]
  if (isJsonObject(additionalProperties)) return openPlaces(`${where}.*`, additionalProperties, name)
  if (properties === undefined) return additionalProperties === true && FREE_FORM.includes(name) ? [] : [`${where}: an object of whatever`]
  const inside = Object.entries(member(properties)).flatMap(([key, property]) => openPlaces(`${where}.${key}`, property, key))
  return additionalProperties === false ? inside : [`${where}: an open object`, ...inside]
}

describe('the document of the interface', () => {
  test('is the one that is committed (ARTIFACT_STORE_UPDATE_OPENAPI=1 writes it)', async () => {
    const text = `${JSON.stringify(await served(), undefined, 2)}\n`
    if (process.env['ARTIFACT_STORE_UPDATE_OPENAPI'] === '1') await writeFile(COMMITTED, text)
    assert.ok(text === (await readFile(COMMITTED, 'utf8')), 'openapi.json is not what is served; ARTIFACT_STORE_UPDATE_OPENAPI=1 writes it anew')
  })

  test('has closed schemas for all that goes in and out, but for what is free-form by nature', async () => {
    const operations = operationsOf(await served())
    assert.ok(operations.length > 30)
    const open = operations.flatMap(({ schemas }) => schemas.flatMap(([where, schema]) => openPlaces(where, schema, '')))
    assert.deepEqual(open, [])
  })

  test('has a summary, a tag and an answer of success for every operation, and describes each parameter and answer', async () => {
    const lacks = Object.entries(resolved(await served())).flatMap(([path, methods]) =>
      Object.entries(member(methods)).flatMap(([method, value]) => {
        const operation = member(value)
        const { parameters, responses } = operationOf('', operation)
        const missing = ['summary', 'tags'].filter((key) => operation[key] === undefined)
        if (!Object.keys(responses).some((status) => status.startsWith('2'))) missing.push('success')
        for (const parameter of parameters) if (parameter['description'] === undefined) missing.push(text(parameter['name']))
        for (const [status, response] of Object.entries(responses)) if (member(response)['description'] === undefined) missing.push(status)
        return missing.map((what) => `${method} ${path}: ${what}`)
      }),
    )
    assert.deepEqual(lacks, [])
  })

  test('has a place for every status that a problem can have, with the schema of problems', async () => {
    const statuses = [...new Set([...Object.values(statusOf), ...Object.values(protocolStatusOf)])]
    for (const { name, responses } of operationsOf(await served())) {
      for (const status of statuses) {
        const response = member(responses[String(status)] ?? responses[`${String(status)[0]}XX`])
        assert.ok(Object.keys(member(response['content'])).length > 0, `${name} may answer ${status}`)
      }
      const { required } = member(member(member(member(responses['4XX'])['content'])['application/problem+json'])['schema'])
      assert.deepEqual(required, ['type', 'title', 'status', 'detail', 'code', 'retryable'], name)
    }
  })

  test('names every code of a problem', async () => {
    const { description } = member((await served())['info'])
    for (const code of [...Object.keys(statusOf), ...Object.keys(protocolStatusOf)]) assert.ok(text(description).includes(`\`${code}\``), code)
  })

  test('says what bodies are taken by every operation that writes', async () => {
    const without = Object.entries(resolved(await served())).flatMap(([path, methods]) =>
      Object.entries(member(methods))
        .filter(([method, operation]) => ['put', 'post', 'patch'].includes(method) && member(operation)['requestBody'] === undefined)
        .map(([method]) => `${method} ${path}`),
    )
    assert.deepEqual(without, ['post /packages/{id}/verify', 'post /verify', 'post /verify/packs', 'post /events/verify'])
  })
})

test('the rules above refuse a schema that breaks them', () => {
  const closed = {
    type: 'object',
    properties: { a: { type: 'string' }, data: { type: 'object', additionalProperties: true } },
    additionalProperties: false,
  }
  assert.deepEqual(openPlaces('x', closed, ''), [])
  assert.deepEqual(openPlaces('x', { ...closed, additionalProperties: true }, ''), ['x: an open object'])
  assert.deepEqual(openPlaces('x', { type: 'object' }, ''), ['x: an object of whatever'])
  assert.deepEqual(openPlaces('x', { type: 'array', items: { type: 'object', additionalProperties: true } }, ''), ['x[]: an object of whatever'])
  assert.deepEqual(openPlaces('x', { anyOf: [closed, {}] }, ''), ['x|1: no type'])
  assert.deepEqual(openPlaces('x', { type: 'object', additionalProperties: {} }, ''), ['x.*: no type'])
  assert.deepEqual(openPlaces('x', undefined, ''), ['x: no schema'])
})
