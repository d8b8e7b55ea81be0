import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { digestOf, rawSha256 } from '../core/digest.ts'
import { listDamaged } from '../registry/inspection.ts'
import { examine } from './doctor.ts'
import { EmbeddedStore } from './embedded-store.ts'
import type { Draft } from './interface.ts'
import { createStore } from './open.ts'
import { openContext } from './open-context.ts'
import type { StoreContext } from './context.ts'
import { rebuildViews } from './rebuild.ts'
import { recoverStore } from './recover.ts'
import { readStatistics } from './statistics.ts'
import { storeFiles } from './store-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'upload-blobs-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** What all stores here hold, in three parts: small ones in packs, and one in an object of its own. */
const CONTENT = randomBytes(3_500_000)
const CUTS = [0, 100_000, 200_000, CONTENT.length]

let made = 0
interface Opened extends AsyncDisposable {
  readonly directory: string
  readonly context: StoreContext
  readonly store: EmbeddedStore
}

async function opened(directory: string): Promise<Opened> {
  const context = await openContext(directory)
  const store = new EmbeddedStore(context)
  return { directory, context, store, [Symbol.asyncDispose]: () => store.close() }
}

async function newStore(): Promise<Opened> {
  made += 1
  const directory = join(folder, `store-${made}`)
  await (await createStore(directory)).close()
  return opened(directory)
}

async function upload(store: EmbeddedStore, draft: Draft, content: Uint8Array = CONTENT, cuts: readonly number[] = CUTS, path = 'f'): Promise<void> {
  const { id } = await store.uploads.create({ packageId: draft.id, path, length: content.length })
  for (const [index, end] of cuts.slice(1).entries()) {
    const start = cuts[index] ?? 0
    await store.uploads.append(id, start, once(content.subarray(start, end)))
  }
}

async function* once(content: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield content
}

async function push(store: EmbeddedStore, repository: string, fill: (draft: Draft) => Promise<unknown>, runId?: string): Promise<string> {
  const draft = await store.packages.open({ repository, ...(runId === undefined ? {} : { runId }) })
  await fill(draft)
  return (await draft.finalize()).id
}

async function contentOf(store: EmbeddedStore, id: string, path = 'f'): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(store.files.read(id, path)))
}

async function problems(store: EmbeddedStore): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { path, digest, problem } of store.packages.verify('all')) if (problem !== undefined) found.push(path ?? digest)
  return found
}

async function assertSound(directory: string): Promise<void> {
  for await (const { check, status, observed } of examine(directory, { measureFlushes: false })) {
    if (check !== 'space') assert.equal(status, 'ok', `${check}: ${observed}`)
  }
}

async function rows<T>(context: StoreContext, sql: string, ...parameters: readonly (Uint8Array | number)[]): Promise<readonly T[]> {
  return context.registry.reader.query<T>({ sql, parameters })
}

const isComposed = async (context: StoreContext, content: Uint8Array): Promise<boolean> => {
  const [row] = await rows<{ object_id: number | null }>(
    context,
    'select object_id from chunks where digest = ? and state < 2',
    rawSha256(digestOf(content)),
  )
  assert.ok(row)
  return row.object_id === null
}

/** Changes a byte of a part on disk. */
async function damage({ context, directory }: Opened, part: Uint8Array): Promise<void> {
  const [row] = await rows<{ key: string; offset: number }>(
    context,
    'select key, offset from chunks join objects on objects.id = object_id where digest = ?',
    rawSha256(digestOf(part)),
  )
  assert.ok(row)
  const file = join(storeFiles(directory).objects, row.key)
  const bytes = readFileSync(file)
  bytes[row.offset + 5] = (bytes[row.offset + 5] ?? 0) ^ 1
  writeFileSync(file, bytes)
}

describe('a blob that is composed of the parts of an upload', () => {
  test('is found again when the registry is lost, and its views are those of the log', async () => {
    const { directory, store } = await newStore()
    const id = await push(store, 'a', (draft) => upload(store, draft))
    await store.close()
    await assertSound(directory)
    const { lossy, damagedPackages } = await recoverStore(directory)
    assert.deepEqual([lossy, damagedPackages], [false, []])
    await using again = await opened(directory)
    assert.ok((await contentOf(again.store, id)).equals(CONTENT))
    assert.deepEqual(await problems(again.store), [])
    assert.ok(await isComposed(again.context, CONTENT))
    assert.equal((await rebuildViews(again.context)).differences, 0)
  })

  test('survives a recovery beside recipes of which parts are gone or that nobody names', async () => {
    const { directory, store, context } = await newStore()
    const id = await push(store, 'a', (draft) => upload(store, draft))
    await context.dataPlane.recordRecipe({
      digest: rawSha256(digestOf(Buffer.from('ab'))),
      size: 2,
      count: 2,
      chunks: ['a', 'b'].map((text) => ({ digest: rawSha256(digestOf(Buffer.from(text))), size: 1 })),
    })
    await store.close()
    await recoverStore(directory)
    await assertSound(directory)
    await using again = await opened(directory)
    assert.ok((await contentOf(again.store, id)).equals(CONTENT))
  })

  test('counts once in what a store holds, and its parts do not count beside it', async () => {
    const { directory, store } = await newStore()
    await push(store, 'a', (draft) => upload(store, draft))
    await store.close()
    const { content, packs, wholeObjects, savedByDeduplication, savedByCompression, repositories } = await readStatistics(directory)
    assert.deepEqual([content.chunks, content.size, savedByDeduplication], [1, CONTENT.length, 0])
    assert.ok(content.stored > 0 && savedByCompression === CONTENT.length - content.stored)
    assert.ok(packs.live > 200_000 && wholeObjects.size === CONTENT.length - 200_000)
    assert.deepEqual([repositories[0]?.distinct, repositories[0]?.stored], [content.size, content.stored])
  })

  test('is deduplicated like any other, whichever way its bytes come again', async () => {
    await using opened = await newStore()
    const { store, context } = opened
    await push(store, 'a', (draft) => upload(store, draft))
    const id = await push(store, 'b', (draft) => draft.put('f', CONTENT))
    const other = await push(store, 'c', (draft) => upload(store, draft, CONTENT, [0, 1_000_000, CONTENT.length]))
    assert.ok(await isComposed(context, CONTENT))
    for (const each of [id, other]) assert.ok((await contentOf(store, each)).equals(CONTENT))
    assert.equal((await rows(context, 'select 1 from chunks where digest = ?', rawSha256(digestOf(CONTENT)))).length, 1)
  })

  test('gets a place of its own when it becomes a part of another one, since no part is composed', async () => {
    const { directory, store, context } = await newStore()
    const inner = CONTENT.subarray(0, 200_000)
    const first = await push(store, 'a', (draft) => upload(store, draft, inner, [0, 100_000, 200_000]))
    assert.ok(await isComposed(context, inner))
    const outer = await push(store, 'b', (draft) => upload(store, draft, CONTENT, [0, 200_000, CONTENT.length]))
    assert.ok(!(await isComposed(context, inner)))
    assert.equal(
      (await rows(context, 'select 1 from recipes join chunks on chunks.id = blob_id where digest = ?', rawSha256(digestOf(inner)))).length,
      0,
    )
    assert.ok((await contentOf(store, first)).equals(inner))
    assert.ok((await contentOf(store, outer)).equals(CONTENT))
    await store.close()
    await assertSound(directory)
    await recoverStore(directory)
    await using again = await opened(directory)
    assert.deepEqual(await problems(again.store), [])
  })
})

describe('damage in one part', () => {
  const heal: Readonly<Record<string, (store: EmbeddedStore) => Promise<unknown>>> = {
    'the same file': (store) => push(store, 'healer', (draft) => draft.put('f', CONTENT)),
    'an upload of the same file, cut in the same way': (store) => push(store, 'healer', (draft) => upload(store, draft)),
    'an upload of the same file, cut differently': (store) =>
      push(store, 'healer', (draft) => upload(store, draft, CONTENT, [0, 1_234_567, CONTENT.length])),
    'a file that is just that part': (store) => push(store, 'healer', (draft) => draft.put('part', CONTENT.subarray(100_000, 200_000))),
  }
  for (const [what, healing] of Object.entries(heal)) {
    test(`is found in every package that has the blob, and healed in all by ${what}`, async () => {
      await using opened = await newStore()
      const { store, context } = opened
      const ids = [
        await push(store, 'a', (draft) => upload(store, draft)),
        await push(store, 'b', async (draft) => {
          await draft.put('other', Buffer.from('other'))
          await draft.put('f', CONTENT)
        }),
      ]
      await damage(opened, CONTENT.subarray(100_000, 200_000))
      await assert.rejects(contentOf(store, ids[0] ?? ''), { code: 'damaged' })
      assert.deepEqual(await problems(store), ['f', 'f'])
      // The part, and the blob that cannot be had without it.
      assert.equal((await listDamaged(context.registry.reader, 0, 10)).length, 2)
      const probe = await store.packages.open({ repository: 'probe' })
      assert.deepEqual(await probe.attach([{ path: 'f', digest: digestOf(CONTENT), size: CONTENT.length }]), [false])
      await healing(store)
      assert.deepEqual(await problems(store), [])
      assert.deepEqual(await probe.attach([{ path: 'f', digest: digestOf(CONTENT), size: CONTENT.length }]), [true])
      for (const id of ids) assert.ok((await contentOf(store, id)).equals(CONTENT))
    })
  }

  test('lets the run that it is in take its content again', async () => {
    await using opened = await newStore()
    const { store } = opened
    const id = await push(store, 'a', (draft) => upload(store, draft), 'run-1')
    await damage(opened, CONTENT.subarray(0, 100_000))
    assert.deepEqual(await problems(store), ['f'])
    assert.equal(await push(store, 'a', (draft) => draft.put('f', CONTENT), 'run-1'), id)
    assert.deepEqual(await problems(store), [])
  })

  test('that a reader was wrong about is over when the part verifies', async () => {
    await using opened = await newStore()
    const { store, context } = opened
    await push(store, 'a', (draft) => upload(store, draft))
    await damage(opened, CONTENT.subarray(100_000, 200_000))
    assert.deepEqual(await problems(store), ['f'])
    // The same bit again.
    await damage(opened, CONTENT.subarray(100_000, 200_000))
    assert.deepEqual(await problems(store), [])
    assert.equal((await listDamaged(context.registry.reader, 0, 10)).length, 0)
  })
})
