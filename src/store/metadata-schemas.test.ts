import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ClosedError, InputInvalidError } from '../core/errors.ts'
import { DatabaseFile } from '../registry/sqlite-driver.ts'
import { bytes, collect, rejectsWith, sealed } from '../testing/store-case.ts'
import { closeContext, openContext } from './open-context.ts'
import { createStore, openStore } from './open.ts'
import { rebuildViews } from './rebuild.ts'
import { recoverStore } from './recover.ts'
import { SchemaThread } from './schema-thread.ts'
import { storeFiles } from './store-files.ts'

const schema = { type: 'object', required: ['run'], properties: { run: { type: 'integer' } } }

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'schemas-'))
})
after(() => rm(folder, { recursive: true }))

/** A closed store with a schema, a package that uses it, and a policy. */
async function storeWithSchema(name: string): Promise<string> {
  const directory = join(folder, name)
  const store = await createStore(directory)
  await store.schemas.register('report.run.v1', schema)
  await store.repositories.set('a/b', { publicRead: true, defaultClass: 'raw-evidence' })
  await sealed(store, 'a/b', { file: 'content' }, { metadataSchema: 'report.run.v1', metadata: { run: 1 } })
  await store.close()
  return directory
}

describe('schemas and policies', () => {
  test('follow from the log, and are put right from it, holders included', async () => {
    const directory = await storeWithSchema('rebuilt')
    const context = await openContext(directory)
    assert.equal((await rebuildViews(context)).differences, 0)
    await closeContext(context)
    const database = new DatabaseFile(storeFiles(directory).registry)
    database.exec("delete from holders where kind = 6; delete from documents; update repositories set policy = '{}', public_read = 0")
    database.close()
    const again = await openContext(directory)
    const { differences, listed } = await rebuildViews(again, { replace: true })
    assert.deepEqual([differences, listed.map(({ view }) => view).toSorted()], [2, ['documents', 'repositories']])
    assert.equal((await rebuildViews(again)).differences, 0)
    await closeContext(again)
    const held = new DatabaseFile(storeFiles(directory).registry)
    const { n } = held.prepare('select count(*) as n from holders inner join documents on documents.id = holder_id and holders.kind = 6').get() ?? {}
    held.close()
    assert.equal(n, 1)
    await using store = await openStore(directory)
    assert.deepEqual((await store.schemas.get('report.run.v1')).schema, schema)
    assert.deepEqual((await store.repositories.get('a/b')).policy, { publicRead: true, defaultClass: 'raw-evidence' })
  })

  test('survive the loss of the registry', async () => {
    const directory = await storeWithSchema('recovered')
    await rm(storeFiles(directory).registry)
    const { lossy, reasons } = await recoverStore(directory)
    assert.deepEqual([lossy, reasons], [false, []])
    await using store = await openStore(directory)
    assert.deepEqual((await store.schemas.get('report.run.v1')).schema, schema)
    assert.deepEqual((await store.repositories.get('a/b')).policy, { publicRead: true, defaultClass: 'raw-evidence' })
    await rejectsWith('metadata_invalid', store.packages.open({ repository: 'a/b', metadataSchema: 'report.run.v1', metadata: {} }))
    const lines = await collect(store.packages.verify('all'))
    assert.ok(lines.every(({ problem }) => problem === undefined))
  })

  test('the bytes of a schema that are damaged make its use fail, naming it, and no other package', async () => {
    const directory = await storeWithSchema('damaged')
    const database = new DatabaseFile(storeFiles(directory).registry)
    database.exec('update chunks set offset = offset + 1 where digest in (select digest from documents)')
    database.close()
    await using store = await openStore(directory)
    await rejectsWith('damaged', store.packages.open({ repository: 'a/b', metadataSchema: 'report.run.v1', metadata: { run: 1 } }))
    const draft = await store.packages.open({ repository: 'a/b' })
    await draft.put('x', bytes('x'))
    await draft.finalize()
  })
})

describe('the thread of schemas', () => {
  const evil = JSON.stringify({ properties: { text: { type: 'string', pattern: '^(a+)+$' } } })
  const value = JSON.stringify({ text: `${'a'.repeat(64)}b` })

  test('gives up what takes too long, and goes on with what waits', async () => {
    const thread = new SchemaThread(3_000)
    const [first, second] = await Promise.allSettled([
      thread.run({ digest: 'evil', schema: evil, value }),
      thread.run({ digest: 'good', schema: JSON.stringify(schema), value: '{"run":"x"}' }),
    ])
    assert.ok(first.status === 'rejected' && first.reason instanceof InputInvalidError)
    assert.match(first.reason.message, /takes too long/)
    assert.deepEqual(second, { status: 'fulfilled', value: { problems: [{ path: '/run', message: 'must be integer' }] } })
    await thread.close()
  })

  test('a schema that doubles at each level costs its user an error', async () => {
    const levels = Object.fromEntries(
      Array.from({ length: 40 }, (_, level) => [`l${level}`, { allOf: [{ $ref: `#/$defs/l${level + 1}` }, { $ref: `#/$defs/l${level + 1}` }] }]),
    )
    const bomb = JSON.stringify({ $defs: { ...levels, l40: {} }, $ref: '#/$defs/l0' })
    const thread = new SchemaThread(3_000)
    await assert.rejects(thread.run({ digest: 'bomb', schema: bomb }), InputInvalidError)
    await thread.close()
  })

  test('closed, it fails what waits and takes nothing more', async () => {
    const thread = new SchemaThread(60_000)
    const running = thread.run({ digest: 'evil', schema: evil, value })
    const waiting = thread.run({ digest: 'evil', schema: evil, value })
    await Promise.all([assert.rejects(running, ClosedError), assert.rejects(waiting, ClosedError), thread.close()])
    await assert.rejects(thread.run({ digest: 'evil', schema: evil }), ClosedError)
  })
})
