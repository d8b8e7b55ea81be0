import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { InputInvalidError, LimitExceededError, NameInvalidError, StoreError } from './errors.ts'
import { encodeMetadataSchema, parseSchemaName } from './metadata-schema.ts'

describe('the name of a schema', () => {
  test('is dotted and ends in its version', () => {
    for (const name of ['report.v1', 'report.run.v1', 'guide-board.run_report.v12', 'a.v1.2.3']) assert.equal(parseSchemaName(name), name)
    for (const name of ['', 'v1', 'report', 'report.v', 'report.1', 'report.v1.', '.report.v1', 'report..v1', 'Report.v1', 'réport.v1', 'a/b.v1']) {
      assert.throws(() => parseSchemaName(name), NameInvalidError, name)
    }
  })
})

describe('a schema', () => {
  test('has one spelling, whatever the order of its members', () => {
    const one = encodeMetadataSchema({ type: 'object', title: 'x' })
    assert.deepEqual(encodeMetadataSchema({ title: 'x', type: 'object' }), one)
    assert.equal(Buffer.from(one).toString(), '{"title":"x","type":"object"}')
  })

  test('of another dialect, of more than 256 KiB, or nested deeper than can be stored, is refused', () => {
    assert.throws(() => encodeMetadataSchema({ $schema: 'http://json-schema.org/draft-07/schema#' }), InputInvalidError)
    assert.ok(encodeMetadataSchema({ $schema: 'https://json-schema.org/draft/2020-12/schema' }).length > 0)
    assert.throws(() => encodeMetadataSchema({ description: 'x'.repeat(262_144) }), LimitExceededError)
    let deep: Parameters<typeof encodeMetadataSchema>[0] = {}
    for (let level = 0; level < 100; level += 1) deep = { not: deep }
    assert.throws(() => encodeMetadataSchema(deep), StoreError)
  })
})
