import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonObject } from '../core/canonical-json.ts'
import { digestOf } from '../core/digest.ts'
import type { Store } from '../store/interface.ts'
import { bytes, rejectsWith, repository, sealed } from './store-case.ts'

let counter = 0
function schemaName(): string {
  counter += 1
  return `suite.schema-${counter}.v1`
}

const runSchema: JsonObject = {
  type: 'object',
  required: ['run'],
  properties: { run: { type: 'integer', minimum: 1 }, at: { type: 'string', format: 'date' } },
  additionalProperties: false,
}

/** Metadata schemas, and what they do to packages. */
export function schemaCases(store: () => Store): void {
  test('a schema is registered once, found by name, and never another one', async () => {
    const name = schemaName()
    const registered = await store().schemas.register(name, runSchema)
    assert.deepEqual([registered.name, registered.schema], [name, runSchema])
    assert.match(registered.digest, /^sha256:[0-9a-f]{64}$/)
    assert.deepEqual(await store().schemas.register(name, { ...runSchema }), registered)
    assert.deepEqual(await store().schemas.get(name), registered)
    await rejectsWith('already_exists', store().schemas.register(name, { type: 'object' }))
    await rejectsWith('not_found', store().schemas.get(schemaName()))
    const { events } = await store().events.list({ resource: `metadata-schemas/${name}` })
    assert.deepEqual(
      events.map(({ type, data }) => [type, data['digest']]),
      [['schema.registered', registered.digest]],
    )
  })

  test('schemas are listed in order of name, in pages', async () => {
    const names = [schemaName(), schemaName(), schemaName()]
    for (const name of names.toReversed()) await store().schemas.register(name, { title: name })
    const found: string[] = []
    for (let after: string | undefined; ;) {
      const { items, next } = await store().schemas.list({ limit: 2, ...(after === undefined ? {} : { after }) })
      found.push(...items.map((item) => item.name))
      if (next === undefined) break
      after = next
    }
    assert.deepEqual(found, found.toSorted())
    assert.ok(names.every((name) => found.includes(name)))
  })

  test('what is no schema, or refers to something elsewhere, is refused', async () => {
    const refused: readonly JsonObject[] = [
      { type: 'no-such-type' },
      { requird: ['run'] },
      { format: 'no-such-format' },
      { $ref: 'https://example.com/other.schema.json' },
      { $ref: '#' },
      { $schema: 'http://json-schema.org/draft-07/schema#' },
      { pattern: '(' },
    ]
    for (const schema of refused) await rejectsWith('input_invalid', store().schemas.register(schemaName(), schema))
    for (const name of ['report', 'Report.v1', 'report v1', 'v1', 'a.v', `${'a'.repeat(130)}.v1`]) {
      await rejectsWith('name_invalid', store().schemas.register(name, {}))
    }
    await rejectsWith('limit_exceeded', store().schemas.register(schemaName(), { description: 'x'.repeat(300_000) }))
  })

  test('metadata that does not fit is refused at opening, with everything that is wrong', async () => {
    const metadataSchema = schemaName()
    await store().schemas.register(metadataSchema, runSchema)
    const metadata = { run: 0, at: 'yesterday', more: true }
    const error = await rejectsWith('metadata_invalid', store().packages.open({ repository: repository(), metadataSchema, metadata }))
    const { problems } = error.detail
    assert.ok(Array.isArray(problems))
    assert.deepEqual(problems.map(({ path }: { path: string }) => path).toSorted(), ['', '/at', '/run'])
  })

  test('a package that names a schema must have metadata that fits when it is sealed, and can be corrected until then', async () => {
    const metadataSchema = schemaName()
    await store().schemas.register(metadataSchema, runSchema)
    const draft = await store().packages.open({ repository: repository(), metadataSchema })
    await draft.put('a', bytes('a'))
    await rejectsWith('metadata_invalid', draft.finalize())
    await rejectsWith('metadata_invalid', draft.finalize({ metadata: { run: 'one' } }))
    await draft.put('b', bytes('b'))
    const receipt = await draft.finalize({ metadata: { run: 1 } })
    assert.equal((await store().packages.document(receipt.id)).metadataSchema, metadataSchema)
    assert.equal(receipt.fileCount, 2)
  })

  test('a schema that nobody registered is refused; what is sealed says no more than its name', async () => {
    await rejectsWith('input_invalid', store().packages.open({ repository: repository(), metadataSchema: schemaName() }))
    await rejectsWith('name_invalid', store().packages.open({ repository: repository(), metadataSchema: 'not a name' }))
    const [name, metadataSchema] = [repository(), schemaName()]
    await store().schemas.register(metadataSchema, runSchema)
    const { manifestDigest } = await sealed(store(), name, { a: 'a' }, { metadataSchema, metadata: { run: 1 } })
    const { bytes: manifest } = await store().packages.manifest(`${name}@${manifestDigest}`)
    assert.equal(digestOf(manifest), manifestDigest)
  })
}
