import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { nameChunk } from './chunks.ts'
import { leavePack, listNamedPlaces, moveChunk } from './compaction.ts'
import { createSchema, openRegistry } from './open.ts'
import type { Registry } from './registry.ts'
import { DatabaseFile } from './sqlite-driver.ts'
import { openSqlite } from './sqlite.ts'

const [FIRST, SECOND] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]

describe('packs 1 and 2, both sealed and looked through', () => {
  let folder = ''
  let registry: Registry
  let file: DatabaseFile
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'compaction-'))
    const path = join(folder, 'registry.db')
    const database = await openSqlite(path)
    await createSchema(database)
    registry = await openRegistry(database)
    file = new DatabaseFile(path)
    file.exec(`insert into objects (id, domain, key, kind, state, created_at, changed_at, settled_at) values
      (1, 1, 'store/writer/one', 1, 2, 0, 0, 0), (2, 1, 'store/writer/two', 1, 2, 0, 0, 0)`)
  })
  afterEach(async () => {
    file.close()
    await registry.close()
    await rm(folder, { recursive: true, force: true })
  })

  function place(objectId: number, offset: number): Parameters<typeof nameChunk>[3] {
    return { objectId, kind: 'pack', offset, storedLength: 10, codec: 'raw' }
  }

  function name(digest: Uint8Array, objectId: number, offset: number): Promise<number> {
    return registry.write('name', (session) => nameChunk(session, digest, 10, place(objectId, offset)))
  }

  function leave(id: number): Promise<boolean> {
    return registry.write('leave', (session) => leavePack(session, id))
  }

  function deadIn(id: number): unknown {
    return file.prepare('select dead_bytes from objects where id = ?').all(id)[0]?.['dead_bytes']
  }

  test('a pack is not left while anything lives in it', async () => {
    const chunk = await name(FIRST, 1, 64)
    assert.equal(await leave(1), false)
    file.exec(`update chunks set state = 1 where id = ${chunk}`)
    assert.equal(await leave(1), false, 'what is damaged is kept for whoever can read it')
    file.exec(`update chunks set state = 2 where id = ${chunk}`)
    assert.equal(await leave(1), true)
    assert.equal(await leave(1), false, 'it has been')
  })

  test('a pack is not left while somebody appends to it, damage lies in it, or nobody has looked through it', async () => {
    file.exec('update objects set settled_at = null where id = 1')
    assert.equal(await leave(1), false)
    file.exec('update objects set settled_at = 0, state = 1 where id = 1')
    assert.equal(await leave(1), false)
    file.exec(`update objects set state = 2 where id = 1;
      insert into quarantine (digest, size, object_id, offset, stored_length, codec, reason, found_at) values (zeroblob(32), 1, 1, 64, 1, 0, 'x', 0)`)
    assert.equal(await leave(1), false)
  })

  test('who names bytes second is given the first copy, and the second is dead from the start', async () => {
    const first = await name(FIRST, 1, 64)
    assert.equal(await name(FIRST, 2, 64), first)
    assert.deepEqual(
      (await listNamedPlaces(registry.reader, 2, 0, 10)).map(({ live }) => live),
      [false],
    )
    assert.equal(await name(FIRST, 2, 64), first)
    assert.deepEqual([deadIn(1), Number(deadIn(2)) > 10], [0, true])
  })

  test('what was condemned while it was copied stays condemned, and its copy is dead', async () => {
    const [first, second] = [await name(FIRST, 1, 64), await name(SECOND, 1, 200)]
    file.exec(`update chunks set state = 2 where id = ${first}`)
    const move = (digest: Uint8Array, from: number, to: number): Promise<boolean> =>
      registry.write('move', (session) => moveChunk(session, 1, { digest, from, placement: place(2, to) }))
    assert.equal(await move(FIRST, 64, 64), false)
    assert.equal(await move(SECOND, 200, 300), true)
    assert.deepEqual(
      (await listNamedPlaces(registry.reader, 2, 0, 10)).map(({ offset, live }) => [offset, live]),
      [
        [64, false],
        [300, true],
      ],
    )
    assert.notEqual(await name(FIRST, 2, 400), first, 'these bytes are new')
    assert.equal(second, await name(SECOND, 1, 500))
  })
})
