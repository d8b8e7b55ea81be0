import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { grantedAccess, parseRepositoryPattern } from '../core/access.ts'
import { digestOf } from '../core/digest.ts'
import { openRegistry } from '../registry/open.ts'
import { openSqlite } from '../registry/sqlite.ts'
import { rejectsWith } from '../testing/store-case.ts'
import type { StoreContext } from './context.ts'
import { examine } from './doctor.ts'
import { EmbeddedStore } from './embedded-store.ts'
import type { Draft } from './interface.ts'
import type { UploadInfo } from './upload-interface.ts'
import { createStore, openStore } from './open.ts'
import { openContext } from './open-context.ts'
import { storeFiles } from './store-files.ts'
import { removeExpiredUploads } from './uploads.ts'

const folder = mkdtempSync(join(tmpdir(), 'uploads-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let made = 0
async function newDirectory(): Promise<string> {
  made += 1
  const directory = join(folder, `store-${made}`)
  await (await createStore(directory)).close()
  return directory
}

async function* once(content: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield content
}

async function* pieces(content: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let offset = 0; offset < content.length; offset += 65_536) yield content.subarray(offset, offset + 65_536)
}

async function begin(store: EmbeddedStore, content: Uint8Array, more: { readonly digest?: string } = {}): Promise<{ draft: Draft; id: string }> {
  const draft = await store.packages.open({ repository: 'a/b' })
  const { id } = await store.uploads.create({ packageId: draft.id, path: 'f', length: content.length, ...more })
  return { draft, id }
}

async function contentOf(store: EmbeddedStore, draft: Draft): Promise<Buffer> {
  const { id } = await draft.finalize()
  return Buffer.concat(await Array.fromAsync(store.files.read(id, 'f')))
}

/** Asserts that nobody finds anything wrong with a store that is closed. */
async function assertSound(directory: string): Promise<void> {
  for await (const { check, status, observed } of examine(directory, { measureFlushes: false })) {
    if (check !== 'space') assert.equal(status, 'ok', `${check}: ${observed}`)
  }
}

/** Rows of a table. */
async function count(context: StoreContext, sql: string): Promise<number> {
  const [row] = await context.registry.reader.query<{ n: number }>({ sql: `select count(*) as n from ${sql}`, parameters: [] })
  return row?.n ?? -1
}

/** What happens to all uploads when nobody touches them for a day. */
async function age(directory: string): Promise<void> {
  const registry = await openRegistry(await openSqlite(storeFiles(directory).registry))
  await registry.write('age', (session) => session.query({ sql: 'update uploads set expires_at = 1', parameters: [] }))
  await registry.close()
}

async function withContext<T>(directory: string, work: (context: StoreContext, store: EmbeddedStore) => Promise<T>): Promise<T> {
  const context = await openContext(directory)
  await using store = new EmbeddedStore(context)
  return await work(context, store)
}

describe('an upload', () => {
  test('goes on in another process, which reads again what is stored to know the digest', async () => {
    const directory = await newDirectory()
    const content = randomBytes(6_000_000)
    const { draft, id } = await withContext(directory, async (_context, store) => {
      const begun = await begin(store, content, { digest: digestOf(content) })
      await store.uploads.append(begun.id, 0, pieces(content.subarray(0, 4_000_000)))
      return begun
    })
    await withContext(directory, async (_context, store) => {
      assert.equal((await store.uploads.get(id)).offset, 4_000_000)
      assert.equal((await store.uploads.append(id, 4_000_000, pieces(content.subarray(4_000_000)))).digest, digestOf(content))
      assert.ok((await contentOf(store, await store.packages.resume(draft.id))).equals(content))
    })
    await assertSound(directory)
  })

  test('whose last byte is durable but that was not settled is settled by whoever asks next', async () => {
    const directory = await newDirectory()
    const content = randomBytes(100_000)
    let isBroken = false
    const breaking = await openStore(directory, {
      observe: (step) => {
        if (isBroken && step === 'registry.upload-complete:before-commit') throw new Error('killed')
      },
    })
    const { draft, id } = await begin(breaking, content)
    isBroken = true
    await assert.rejects(breaking.uploads.append(id, 0, pieces(content)), /killed/)
    await breaking.close()
    await withContext(directory, async (_context, store) => {
      const { offset, digest } = await store.uploads.get(id)
      assert.deepEqual([offset, digest], [content.length, digestOf(content)])
      assert.ok((await contentOf(store, await store.packages.resume(draft.id))).equals(content))
    })
    await assertSound(directory)
  })

  test('that is sent again when it is complete is answered the same, unless more follows', async () => {
    const directory = await newDirectory()
    await withContext(directory, async (_context, store) => {
      const { id } = await begin(store, Buffer.from('abc'))
      const done = await store.uploads.append(id, 0, once(Buffer.from('abc')))
      assert.deepEqual(await store.uploads.append(id, 3, once(new Uint8Array())), done)
      await rejectsWith('limit_exceeded', store.uploads.append(id, 3, once(Buffer.from('d'))))
    })
  })

  test('may tell its digest last, and is held without a package until it expires', async () => {
    const directory = await newDirectory()
    await withContext(directory, async (context, store) => {
      const content = randomBytes(50_000)
      const { id } = await store.uploads.create({})
      await store.uploads.append(id, 0, once(content.subarray(0, 20_000)))
      await store.uploads.append(id, 20_000, once(content.subarray(20_000)))
      assert.equal((await store.uploads.complete(id, digestOf(content))).digest, digestOf(content))
      assert.equal((await store.uploads.complete(id, digestOf(content))).length, content.length)
      await rejectsWith('state_conflict', store.uploads.complete(id, digestOf(Buffer.from('other'))))
      const draft = await store.packages.open({ repository: 'a/b' })
      assert.deepEqual(await draft.attach([{ path: 'f', digest: digestOf(content), size: content.length }]), [true])
      assert.ok((await contentOf(store, draft)).equals(content))
      const { id: wrong } = await store.uploads.create({})
      await store.uploads.append(wrong, 0, once(content))
      await rejectsWith('digest_mismatch', store.uploads.complete(wrong, digestOf(Buffer.from('other'))))
      await rejectsWith('not_found', store.uploads.get(wrong))
      await context.uploadWork.clearance.idle()
      assert.equal(await count(context, `uploads`), 1)
    })
    await assertSound(directory)
  })

  test('belongs to whoever made it, who must be allowed to write there', async () => {
    const directory = await newDirectory()
    await withContext(directory, async (_context, store) => {
      const { draft, id } = await begin(store, Buffer.from('abc'))
      const access = (actor: string, verbs: readonly ('read' | 'write')[]): EmbeddedStore =>
        store.actingAs(grantedAccess(actor, [{ verbs, repositories: [parseRepositoryPattern('a/**')] }]))
      const other = access('token:other', ['read', 'write'])
      await rejectsWith('not_found', other.uploads.get(id))
      await rejectsWith('not_found', other.uploads.append(id, 0, once(Buffer.from('abc'))))
      await rejectsWith('not_found', other.uploads.remove(id))
      const request = { packageId: draft.id, path: 'g', length: 1 }
      const own = await other.uploads.create(request)
      assert.equal((await other.uploads.append(own.id, 0, once(Buffer.from('x')))).digest, digestOf(Buffer.from('x')))
      await rejectsWith('forbidden', access('token:reader', ['read']).uploads.create(request))
      await rejectsWith('not_found', store.actingAs(grantedAccess('token:nobody', [])).uploads.create(request))
      // Whoever may write here but not everywhere has no use for what belongs to no package.
      await rejectsWith('forbidden', other.uploads.create({ length: 1 }))
      // Taken away while the upload was under way.
      const late = await other.uploads.create(request)
      await rejectsWith('forbidden', access('token:other', ['read']).uploads.append(late.id, 0, once(Buffer.from('x'))))
    })
  })

  test('that nobody touched for a day is not there, and a small step removes all of it', async () => {
    const directory = await newDirectory()
    const content = randomBytes(200_000)
    const ids = await withContext(directory, async (_context, store) => {
      const { id: open } = await begin(store, content)
      await store.uploads.append(open, 0, once(content.subarray(0, 100_000)))
      const { id: complete } = await store.uploads.create({ length: content.length })
      await store.uploads.append(complete, 0, once(content))
      return [open, complete]
    })
    await age(directory)
    await withContext(directory, async (context, store) => {
      for (const id of ids) {
        await rejectsWith('not_found', store.uploads.get(id))
        await rejectsWith('not_found', store.uploads.append(id, 100_000, once(content.subarray(100_000))))
      }
      assert.equal(await removeExpiredUploads(context, 1), 1)
      assert.equal(await removeExpiredUploads(context, 10), 1)
      assert.equal(await removeExpiredUploads(context, 10), 0)
      for (const table of ['uploads', 'upload_parts', 'holders where kind = 7', 'holders where kind = 5', 'recipes']) {
        assert.equal(await count(context, table), 0, table)
      }
      // What nothing holds any more waits for review.
      assert.equal(await count(context, 'reviews'), await count(context, 'chunks'))
    })
    await assertSound(directory)
  })

  test('that is stored the same way again stores no byte again', async () => {
    const directory = await newDirectory()
    await withContext(directory, async (context, store) => {
      const content = randomBytes(18 * 1024 * 1024)
      for (const run of [1, 2]) {
        const { draft, id } = await begin(store, content)
        await store.uploads.append(id, 0, pieces(content))
        const objects = await count(context, 'chunks where object_id is not null and size > 1000')
        assert.equal(objects, 2, `run ${run}`)
        assert.ok((await contentOf(store, draft)).equals(content))
      }
    })
    await assertSound(directory)
  })

  test('in more parts than one transaction takes is composed in several, and continued where it was cut short', async () => {
    const directory = await newDirectory()
    const content = randomBytes(1_050)
    let composing = 0
    const breaking = await openStore(directory, {
      observe: (step) => {
        if (step === 'registry.upload-compose:committed') composing += 1
        if (step === 'registry.upload-complete:before-commit') throw new Error('killed')
      },
    })
    const { draft, id } = await begin(breaking, content)
    for (let offset = 0; offset < content.length - 1; offset += 1)
      await breaking.uploads.append(id, offset, once(content.subarray(offset, offset + 1)))
    await assert.rejects(breaking.uploads.append(id, content.length - 1, once(content.subarray(content.length - 1))), /killed/)
    assert.equal(composing, 2)
    await breaking.close()
    await withContext(directory, async (context, store) => {
      assert.equal(await count(context, 'chunks where state = 3'), 1)
      assert.equal((await store.uploads.get(id)).digest, digestOf(content))
      assert.equal(await count(context, 'chunks where state = 3'), 0)
      assert.equal(await count(context, 'recipes'), 1_050)
      assert.ok((await contentOf(store, await store.packages.resume(draft.id))).equals(content))
    })
    await assertSound(directory)
  })

  test('is composed by a recipe that is durable before anything names the blob', async () => {
    const steps: string[] = []
    await using store = await openStore(await newDirectory(), { observe: (step) => steps.push(step) })
    const { id } = await begin(store, Buffer.from('abcdef'))
    await store.uploads.append(id, 0, once(Buffer.from('abc')))
    await store.uploads.append(id, 3, once(Buffer.from('def')))
    const filled = steps.lastIndexOf('registry.upload-compose:committed')
    const named = steps.lastIndexOf('registry.upload-complete:before-commit')
    const between = steps.slice(filled, named)
    assert.ok(filled > 0 && between.some((step) => step.startsWith('appender.append')), between.join(' '))
    assert.match(between.findLast((step) => step.startsWith('appender.')) ?? '', /^appender\.flush/)
  })

  test('whose blob was composed in vain leaves nothing when it is given up', async () => {
    const directory = await newDirectory()
    const content = randomBytes(10)
    let isBroken = true
    const context = await openContext(directory, {
      observe: (step) => {
        if (isBroken && step === 'registry.upload-complete:before-commit') throw new Error('killed')
      },
    })
    await using store = new EmbeddedStore(context)
    const { id } = await begin(store, content)
    await store.uploads.append(id, 0, once(content.subarray(0, 5)))
    await assert.rejects(store.uploads.append(id, 5, once(content.subarray(5))), /killed/)
    assert.equal(await count(context, 'recipes'), 2)
    isBroken = false
    await store.uploads.remove(id)
    await context.uploadWork.clearance.idle()
    for (const table of ['uploads', 'upload_parts', 'recipes', 'holders where kind in (5, 7)', 'chunks where object_id is null']) {
      assert.equal(await count(context, table), 0, table)
    }
  })

  test('that several processes write to holds what was acknowledged to any of them, and no mixture', { timeout: 120_000 }, async () => {
    const directory = await newDirectory()
    const stores = [await openStore(directory, { actor: 'os:same' }), await openStore(directory, { actor: 'os:same' })] as const
    const length = 600
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ who: fc.nat({ max: 1 }), size: fc.integer({ min: 1, max: 90 }), lag: fc.nat({ max: 3 }) }), {
          minLength: 4,
          maxLength: 14,
        }),
        async (appends) => {
          const draft = await stores[0].packages.open({ repository: 'race' })
          const { id } = await stores[0].uploads.create({ packageId: draft.id, path: 'f' })
          const acknowledged: { readonly from: number; readonly bytes: Buffer }[] = []
          const append = async ({ who, size, lag }: { who: number; size: number; lag: number }): Promise<void> => {
            for (let turn = 0; turn < lag; turn += 1) await new Promise((resolve) => setImmediate(resolve))
            const store = stores[who === 0 ? 0 : 1]
            const { offset } = await store.uploads.get(id)
            const bytes = randomBytes(Math.min(size, length - offset))
            if (bytes.length === 0) return
            const done: UploadInfo | undefined = await store.uploads.append(id, offset, once(bytes)).catch((error: unknown) => {
              assert.ok(error instanceof Error && 'code' in error && error.code === 'offset_conflict', String(error))
              return undefined
            })
            if (done !== undefined) acknowledged.push({ from: offset, bytes })
          }
          await Promise.all(appends.map(append))
          const { offset } = await stores[1].uploads.get(id)
          const { digest } = await stores[1].uploads.declareLength(id, offset)
          const { id: sealed } = await (await stores[1].packages.resume(draft.id)).finalize()
          const content = Buffer.concat(await Array.fromAsync(stores[0].files.read(sealed, 'f')))
          assert.equal(digest, digestOf(content))
          assert.ok(acknowledged.length > 0)
          for (const { from, bytes } of acknowledged)
            assert.ok(content.subarray(from, from + bytes.length).equals(bytes), `what was acknowledged at ${from}`)
        },
      ),
      { numRuns: 25 },
    )
    for (const store of stores) await store.close()
    await assertSound(directory)
  })
})
