import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { InputInvalidError, NotFoundError, StateConflictError, TreeRefusedError } from '../core/errors.ts'
import { parsePackageId } from '../core/name.ts'
import { findDraft } from '../registry/drafts.ts'
import { listAbandonedStaging } from '../registry/staging.ts'
import { tarArchive } from '../testing/tar-archive.ts'
import { zipArchive } from '../testing/zip-archive.ts'
import type { StoreContext } from './context.ts'
import { EmbeddedStore } from './embedded-store.ts'
import type { Draft } from './interface.ts'
import { createStore } from './open.ts'
import { openContext } from './open-context.ts'
import { putArchive } from './put-archive.ts'

const directory = mkdtempSync(join(tmpdir(), 'put-archive-'))
let context: StoreContext
let store: EmbeddedStore
before(async () => {
  await (await createStore(directory)).close()
  context = await openContext(directory)
  store = new EmbeddedStore(context)
})
after(async () => {
  await store.close()
  rmSync(directory, { recursive: true })
})

const open = (): Promise<Draft> => store.packages.open({ repository: 'default/archives' })
const many = (count: number): Buffer =>
  tarArchive(Array.from({ length: count }, (_, index) => ({ name: `f${index}`, content: `content ${index % 10}` })))

/** Rows of a table, as they are. */
async function rows(query: string): Promise<readonly Record<string, unknown>[]> {
  return context.registry.reader.query({ sql: query, parameters: [] })
}

async function* inPieces(bytes: Uint8Array, between: (position: number) => Promise<unknown> = async () => undefined): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += 64 * 1024) {
    await between(start)
    yield bytes.subarray(start, start + 64 * 1024)
  }
}

/** Holds back the end of an archive until it is told to go on. */
function heldBack(bytes: Uint8Array): { readonly source: AsyncIterable<Uint8Array>; readonly waiting: Promise<unknown>; readonly goOn: () => void } {
  const waiting = Promise.withResolvers<undefined>()
  const going = Promise.withResolvers<undefined>()
  const source = async function* (): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, -1024)
    waiting.resolve(undefined)
    await going.promise
    yield bytes.subarray(-1024)
  }
  return { source: source(), waiting: waiting.promise, goOn: () => going.resolve(undefined) }
}

const entriesOf = async (draft: Draft): Promise<unknown> =>
  (await rows(`select count(*) as n from draft_entries join drafts on drafts.id = draft_id where uuid = '${draft.id}'`))[0]?.['n']

describe('while an archive arrives', () => {
  test('nothing of it is in the package, and nobody finds where it is gathered', async () => {
    const draft = await open()
    await draft.put('before', Buffer.from('b'))
    const { source, waiting, goOn } = heldBack(many(2_500))
    const putting = draft.putArchive(source)
    await waiting
    assert.equal(await entriesOf(draft), 1)
    const [staging, ...others] = await rows('select uuid, run_id from drafts where state = 3')
    assert.deepEqual([others, staging?.['run_id']], [[], null])
    const uuid = String(staging?.['uuid'])
    assert.equal(await findDraft(context.registry.reader, parsePackageId(uuid)), undefined)
    await assert.rejects(store.packages.resume(uuid), NotFoundError)
    goOn()
    assert.equal((await putting).files, 2_500)
    assert.equal(await entriesOf(draft), 2_501)
    assert.deepEqual(await rows('select uuid from drafts where state = 3'), [])
    assert.equal((await draft.finalize()).fileCount, 2_501)
  })

  test('the package can be given up, or sealed without it', async () => {
    for (const end of [(draft: Draft) => draft.abort(), (draft: Draft) => draft.finalize()]) {
      const draft = await open()
      const { source, waiting, goOn } = heldBack(many(20))
      const putting = draft.putArchive(source)
      await waiting
      await end(draft)
      goOn()
      await assert.rejects(putting, StateConflictError)
    }
    const { items } = await store.packages.search({ repository: 'default/archives' })
    assert.equal(items[0]?.fileCount, 0)
  })
})

describe('an archive that is accepted', () => {
  test('leaves nothing behind: every byte has one holder, and nothing waits for review', async () => {
    await context.clearance.idle()
    const reviews = await rows('select target_id, queued_at from reviews')
    const draft = await open()
    await draft.putArchive(inPieces(many(4_100)))
    await draft.putArchive(inPieces(many(4_100)))
    await context.clearance.idle()
    assert.deepEqual(await rows('select target_id, queued_at from reviews'), reviews)
    assert.deepEqual(await rows('select * from drafts where state > 1'), [])
    const unheld = `select path from draft_entries e where chunk_id is not null
      and not exists (select 1 from holders where kind = 2 and holder_id = e.draft_id and target_id = e.chunk_id)`
    assert.deepEqual(await rows(unheld), [])
    assert.deepEqual(await rows('select kind from holders where kind = 2 and holder_id not in (select id from drafts)'), [])
    assert.equal((await draft.finalize()).fileCount, 4_100)
  })

  test('is moved in order of paths, whatever the paths are', async () => {
    const names = Array.from({ length: 3_000 }, (_, index) => String.fromCodePoint(0x61 + (index % 7), 0x3b1 + (index % 11), 0x1f600 + index))
    const draft = await open()
    const report = await putArchive(
      context,
      (await findDraft(context.registry.reader, draft.id)) ?? assert.fail(),
      inPieces(tarArchive(names.map((name) => ({ name: 'x', content: 'y', pax: { path: name } })))),
    )
    assert.equal(report.files, 3_000)
    assert.equal((await draft.finalize()).fileCount, 3_000)
  })

  test('puts files into the sets that the package was opened with', async () => {
    const fileSets = [{ name: 'logs', match: ['**/*.log'], class: 'transient' }]
    const digests: string[] = []
    for (const put of [
      (draft: Draft) =>
        draft.putArchive(
          inPieces(
            zipArchive([
              { name: 'a/b.log', content: 'log' },
              { name: 'c', content: 'c' },
            ]),
          ),
        ),
      async (draft: Draft) => {
        await draft.put('a/b.log', Buffer.from('log'))
        await draft.put('c', Buffer.from('c'))
      },
    ]) {
      const draft = await store.packages.open({ repository: 'default/sets', fileSets })
      await put(draft)
      digests.push((await draft.finalize()).manifestDigest)
    }
    assert.equal(digests[0], digests[1])
  })
})

describe('an archive that is refused', () => {
  test('leaves nothing in the package, and what was gathered is let go', async () => {
    const draft = await open()
    const [held] = await rows('select count(*) as n from holders')
    const wrong = tarArchive([...Array.from({ length: 700 }, (_, index) => ({ name: `r${index}`, content: `refused ${index}` })), { name: '../up' }])
    await assert.rejects(draft.putArchive(inPieces(wrong)), TreeRefusedError)
    assert.deepEqual(await rows('select 1 from drafts where state = 3'), [], 'more could still be gathered')
    await context.clearance.idle()
    assert.deepEqual(await rows('select * from drafts where state > 1'), [])
    assert.deepEqual((await rows('select count(*) as n from holders'))[0], held)
    const kept = `select digest from chunks c where not exists (select 1 from holders where target_id = c.id)
      and not exists (select 1 from reviews where target_id = c.id)`
    assert.deepEqual(await rows(kept), [], 'bytes are kept for nothing')
    assert.equal((await draft.finalize()).fileCount, 0)
  })

  test('leaves no temporary file, whatever is wrong with it', async () => {
    const draft = await open()
    const zip = zipArchive([{ name: 'a', content: 'a' }])
    for (const bytes of [zip.subarray(0, -3), zipArchive([{ name: '../a' }])]) await assert.rejects(draft.putArchive(inPieces(bytes)))
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield zip.subarray(0, 20)
      throw new InputInvalidError('the cable was pulled')
    }
    await assert.rejects(draft.putArchive(broken()), /the cable was pulled/)
    const { source, waiting, goOn } = heldBack(zipArchive([{ name: 'a', content: Buffer.alloc(5000), method: 0 }]))
    const putting = draft.putArchive(source)
    await waiting
    if (process.platform !== 'win32') assert.deepEqual(readdirSync(context.spoolFolder), [], 'a file that is in use has a name')
    goOn()
    await putting
    assert.deepEqual(readdirSync(context.spoolFolder), [])
  })
})

test('what a process left that ended in the middle is forgotten a day later', async () => {
  const draft = await open()
  const { source, waiting, goOn } = heldBack(many(30))
  const putting = draft.putArchive(source)
  await waiting
  await context.clearance.addLeftOvers()
  await context.clearance.idle()
  assert.equal((await rows('select 1 from drafts where state = 3')).length, 1, 'one that is arriving was given up')
  await context.registry.write('test', (session) =>
    session.query({ sql: 'update drafts set touched_at = touched_at - 86400001 where state = 3', parameters: [] }),
  )
  assert.equal((await listAbandonedStaging(context.registry.reader, 10)).length, 1)
  await context.clearance.addLeftOvers()
  await context.clearance.idle()
  assert.deepEqual(await rows('select 1 from drafts where state = 3'), [])
  goOn()
  await assert.rejects(putting, StateConflictError, 'what was given up came back')
  assert.equal((await draft.finalize()).fileCount, 0)
})
