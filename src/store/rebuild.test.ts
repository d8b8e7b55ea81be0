import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { DatabaseFile } from '../registry/sqlite-driver.ts'
import { closeContext, openContext } from './open-context.ts'
import { createStore, openStore } from './open.ts'
import { type RebuildReport, rebuildViews } from './rebuild.ts'
import { storeFiles } from './store-files.ts'

/** A closed store with three packages, one of them reused, tags and an open package. */
async function stage(t: TestContext): Promise<{ readonly directory: string; readonly ids: readonly string[]; readonly open: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'rebuild-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const directory = join(folder, 'data')
  await using store = await createStore(directory)
  const ids: string[] = []
  for (const [repository, content] of [
    ['a/b', 'one'],
    ['a/b', 'two'],
    ['c', 'one'],
    ['a/b', 'one'],
  ] as const) {
    const draft = await store.packages.open({ repository, tags: ['latest'], metadata: { content }, fileSets: [{ name: 'all', match: ['**'] }] })
    await draft.put('f', Buffer.from(content))
    ids.push((await draft.finalize()).id)
  }
  const open = await store.packages.open({ repository: 'c' })
  await open.put('kept', Buffer.from('kept'))
  return { directory, ids, open: open.id }
}

async function rebuild(directory: string, replace: boolean): Promise<RebuildReport> {
  const context = await openContext(directory)
  try {
    return await rebuildViews(context, { replace })
  } finally {
    await closeContext(context)
  }
}

function tamper(directory: string, statements: string): void {
  const database = new DatabaseFile(storeFiles(directory).registry)
  database.exec(statements)
  database.close()
}

test('views that nobody touched are what follows from the log', async (t) => {
  const { directory } = await stage(t)
  assert.deepEqual((await rebuild(directory, false)).listed, [])
})

test('views that were changed behind the log are named, and replaced only when asked', async (t) => {
  const { directory, ids, open } = await stage(t)
  const [first = '', second = '', third = ''] = ids
  tamper(
    directory,
    `update packages set producer = 'forged' where uuid = '${first}';
     delete from package_children where package_id = (select id from packages where uuid = '${second}');
     delete from packages where uuid = '${second}';
     update tags set package_id = (select id from packages where uuid = '${first}') where name = 'latest' and repository_id = (select id from repositories where name = 'c');
     insert into repositories (tenant_id, name, policy, created_at) values (1, 'invented', '{}', 0)`,
  )
  const report = await rebuild(directory, false)
  assert.deepEqual(new Set(report.listed.map(({ view }) => view)), new Set(['repositories', 'packages', 'children', 'parts', 'metadata', 'tags']))
  assert.equal((await rebuild(directory, true)).differences, report.differences)
  assert.deepEqual((await rebuild(directory, false)).listed, [])

  await using store = await openStore(directory)
  assert.equal((await store.packages.get(first)).producer, undefined)
  assert.equal((await store.packages.get('c:latest')).id, third)
  assert.equal((await store.packages.get(second)).fileCount, 1)
  for await (const { problem } of store.packages.verify('all')) assert.equal(problem, undefined)
  // Rows that refer to views by id still find them.
  const draft = await store.packages.resume(open)
  assert.equal((await draft.finalize()).repository, 'c')
  const again = await store.packages.open({ repository: 'a/b', metadata: { content: 'two' }, fileSets: [{ name: 'all', match: ['**'] }] })
  await again.put('f', Buffer.from('two'))
  assert.equal((await again.finalize()).id, second)
})

test('a package that was missing holds its manifests again, and one the log does not know lets go of its own', async (t) => {
  const { directory, ids } = await stage(t)
  const file = storeFiles(directory).registry
  const heldBy = (uuid: string): number => {
    const database = new DatabaseFile(file)
    const row = database
      .prepare('select count(*) as n from holders where kind = 3 and holder_id = (select id from packages where uuid = ?)')
      .get(uuid)
    database.close()
    return Number(row?.['n'])
  }
  const before = heldBy(ids[1] ?? '')
  tamper(
    directory,
    `delete from packages where uuid = '${ids[1] ?? ''}';
     insert into packages select 99, '019ad000-0000-7000-8000-000000000000', repository_id, status, hidden, run_id, type, producer, subject, retention_class,
       zeroblob(32), media_type, document_digest, file_count, size, opened_at, finalized_at, mode, expires_at from packages where uuid = '${ids[0] ?? ''}';
     insert into holders values (3, 99, 1)`,
  )
  await rebuild(directory, true)
  // The root and the children with files; the document's child is held by the root.
  assert.equal(heldBy(ids[1] ?? ''), before - 1)
  const database = new DatabaseFile(file)
  assert.equal(database.prepare('select count(*) as n from holders where kind = 3 and holder_id = 99').get()?.['n'], 0)
  assert.equal(database.prepare('select count(*) as n from reviews where target_id = 1').get()?.['n'], 1)
  database.close()
})
