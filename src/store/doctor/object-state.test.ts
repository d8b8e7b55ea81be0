import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ClosedError } from '../../core/errors.ts'
import { uuidv4 } from '../../core/uuid.ts'
import { type Backend, type ObjectInfo, type ObjectKey, parseObjectKey } from '../../ports/backend.ts'
import { DatabaseFile } from '../../registry/sqlite-driver.ts'
import { openSqliteReader } from '../../registry/sqlite-reader.ts'
import { Session } from '../../registry/statement.ts'
import { createStore } from '../open.ts'
import { storeFiles } from '../store-files.ts'
import { examineObjects } from './object-state.ts'

const folder = mkdtempSync(join(tmpdir(), 'objects-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** A backend that has these objects and can only be looked at. */
function lookingAt(objects: ReadonlyMap<string, number>): Backend {
  const info = (key: string): ObjectInfo => ({ key: parseObjectKey(key), size: objects.get(key) ?? 0 })
  const refuse = (): Promise<never> => Promise.reject(new ClosedError('this one is only looked at'))
  return {
    capabilities: { append: false, multipart: false, presign: false, persistent: true },
    put: refuse,
    delete: refuse,
    // oxlint-disable-next-line require-yield -- it only throws
    async *get() {
      await refuse()
    },
    head: async (key: ObjectKey) => (objects.has(key) ? info(key) : undefined),
    async *list(prefix) {
      for (const key of [...objects.keys()].toSorted()) if (key.startsWith(prefix)) yield info(key)
    },
    close: () => Promise.resolve(),
  }
}

test('thousands of objects and rows are compared page by page, and each that lacks the other is found', async () => {
  const directory = join(folder, 'store')
  await (await createStore(directory)).close()
  const database = new DatabaseFile(storeFiles(directory).registry)
  const storeId = String(database.prepare("select value from settings where key = 'store-id'").get()?.['value'])
  const objects = new Map<string, number>([[`${storeId}/marker`, 1]])
  const expected = { missing: 0, cut: 0, unnamed: 0 }
  database.exec('begin')
  const addObject = database.prepare(
    'insert into objects (id, domain, key, kind, state, size, created_at, changed_at) values (?, 1, ?, 0, 2, 100, 0, 0)',
  )
  const addChunk = database.prepare(
    'insert into chunks (domain, digest, size, object_id, offset, stored_length, codec, state, created_at) values (1, ?, 100, ?, 0, 100, 0, 0, 0)',
  )
  for (let id = 1; id <= 3_500; id += 1) {
    const key = `${storeId}/${uuidv4()}/${uuidv4()}`
    if (id % 50 === 0) {
      objects.set(key, 7)
      expected.unnamed += 1
      continue
    }
    addObject.run(id, key)
    addChunk.run(Buffer.from(uuidv4().padEnd(32).slice(0, 32)), id)
    if (id % 70 === 1) expected.missing += 1
    else objects.set(key, id % 90 === 3 ? 99 : 100)
    if (id % 90 === 3 && id % 70 !== 1) expected.cut += 1
  }
  database.exec('commit')
  database.close()
  const reader = openSqliteReader(storeFiles(directory).registry)
  const finding = await examineObjects(new Session(reader.dialect, reader.reader), lookingAt(objects), storeId)
  reader.close()
  assert.equal(finding.status, 'fail')
  assert.match(finding.observed, new RegExp(`${expected.missing} objects missing that packages need, ${expected.cut} cut short`))
  assert.equal(finding.examples?.length, 20)
  const named = new Map([...objects].filter(([, size]) => size !== 99))
  assert.match(finding.observed, new RegExp(`^${objects.size - 1} objects, ${[...objects.values()].reduce((sum, size) => sum + size, 0) - 1} bytes;`))
  assert.ok(named.size > 3_000 && expected.unnamed === 70)
})
