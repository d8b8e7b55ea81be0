import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { type Digest, digestOf, rawSha256 } from '../core/digest.ts'
import { RunConflictError } from '../core/errors.ts'
import { listDamaged, listQuarantine, type QuarantinedPlace } from '../registry/inspection.ts'
import { openSqliteReader } from '../registry/sqlite-reader.ts'
import { Session } from '../registry/statement.ts'
import type { OpenPackage, Store } from './interface.ts'
import { createStore, openStore } from './open.ts'
import { recoverStore } from './recover.ts'
import { storeFiles } from './store-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'healing-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const SMALL = Buffer.from('a small file, alone in its pack with others\n'.repeat(20))
const LARGE = Buffer.alloc(3_000_000, 'a large file in an object of its own ')
const FILES = { small: SMALL, large: LARGE, other: Buffer.from('untouched') }

let made = 0
/** A store with the same files in two repositories, and once as a run. */
async function someStore(): Promise<string> {
  made += 1
  const directory = join(folder, `store-${made}`)
  await using store = await createStore(directory)
  for (const request of [{ repository: 'a' }, { repository: 'b', metadata: { other: true } }, { repository: 'c', runId: 'run-1' }])
    await push(store, request)
  return directory
}

async function push(
  store: Store,
  request: OpenPackage,
  files: Readonly<Record<string, Buffer>> = FILES,
): Promise<{ readonly id: string; readonly reusedExisting: boolean }> {
  const draft = await store.packages.open(request)
  for (const [path, bytes] of Object.entries(files)) await draft.put(path, bytes)
  return draft.finalize()
}

async function read<T>(directory: string, work: (session: Session) => Promise<T>): Promise<T> {
  const database = openSqliteReader(storeFiles(directory).registry)
  try {
    return await work(new Session(database.dialect, database.reader))
  } finally {
    database.close()
  }
}

/** Where the bytes of a digest lie. */
function placeOf(directory: string, digest: Digest): Promise<{ readonly file: string; readonly key: string; readonly offset: number }> {
  return read(directory, async (session) => {
    const [row] = await session.query<{ key: string; offset: number }>({
      sql: 'select key, offset from chunks join objects on objects.id = chunks.object_id where digest = ?',
      parameters: [rawSha256(digest)],
    })
    assert.ok(row, digest)
    return { file: join(storeFiles(directory).objects, row.key), ...row }
  })
}

function flip(file: string, at: number): void {
  const bytes = readFileSync(file)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(file, bytes)
}

/** Paths (or digests of documents) that a verification complains about, by repository. */
async function problems(store: Store, ref = 'all'): Promise<readonly string[]> {
  const found: string[] = []
  for await (const { packageId, path, digest, problem } of store.packages.verify(ref)) {
    if (problem !== undefined) found.push(`${(await repositoryOf(store, packageId)) ?? packageId}:${path ?? digest}`)
  }
  return found.toSorted()
}

async function repositoryOf(store: Store, id: string): Promise<string | undefined> {
  return (await store.packages.search()).items.find((item) => item.id === id)?.repository
}

const quarantine = (directory: string): Promise<readonly QuarantinedPlace[]> => read(directory, (session) => listQuarantine(session, 0, 100))
const damagedCount = (directory: string): Promise<number> => read(directory, async (session) => (await listDamaged(session, 0, 100)).length)

describe('damaged bytes', () => {
  for (const [name, bytes] of Object.entries({ small: SMALL, large: LARGE })) {
    test(`of a ${name} file are found in every package that has them, healed in all by one push, and kept in quarantine`, async () => {
      const directory = await someStore()
      const digest = digestOf(bytes)
      const old = await placeOf(directory, digest)
      flip(old.file, old.offset + 7)
      const damagedObject = readFileSync(old.file)

      await using store = await openStore(directory)
      assert.deepEqual(await problems(store), [`a:${name}`, `b:${name}`, `c:${name}`])
      assert.equal(await damagedCount(directory), 1)
      const kept = await quarantine(directory)
      assert.deepEqual(
        kept.map(({ key, offset, size, live }) => ({ key, offset, size, live })),
        [{ key: old.key, offset: old.offset, size: bytes.length, live: null }],
      )
      assert.match(kept[0]?.reason ?? '', /damaged/)

      await push(store, { repository: 'healer' })
      assert.deepEqual(await problems(store), [])
      assert.equal(await damagedCount(directory), 0)
      const place = await placeOf(directory, digest)
      assert.notEqual(place.key, old.key)
      const [afterwards] = await quarantine(directory)
      assert.deepEqual([afterwards?.key, afterwards?.offset, typeof afterwards?.live], [old.key, old.offset, 'number'])
      assert.ok(readFileSync(old.file).equals(damagedObject), 'what was damaged is not touched')
    })
  }

  test('of an object that is gone are healed in the same way', async () => {
    const directory = await someStore()
    const { file } = await placeOf(directory, digestOf(LARGE))
    rmSync(file)
    await using store = await openStore(directory)
    assert.deepEqual(await problems(store), ['a:large', 'b:large', 'c:large'])
    await push(store, { repository: 'healer' })
    assert.deepEqual(await problems(store), [])
    assert.equal((await quarantine(directory)).length, 1)
  })

  test('are noted by a read that meets them, too, and by no more than one entry however often they are met', async () => {
    const directory = await someStore()
    const { file, offset } = await placeOf(directory, digestOf(SMALL))
    flip(file, offset)
    await using store = await openStore(directory)
    const [item] = (await store.packages.search({ repository: 'a' })).items
    for (let time = 0; time < 3; time += 1) {
      await assert.rejects(Array.fromAsync(store.files.read(item?.id ?? '', 'small')), { code: 'damaged' })
      for await (const outcome of store.files.readMany(item?.id ?? '', { prefix: 'small' })) assert.ok('error' in outcome)
    }
    assert.equal((await quarantine(directory)).length, 1)
  })

  test('that somebody put right by hand count as whole again once they were verified', async () => {
    const directory = await someStore()
    const { file, offset } = await placeOf(directory, digestOf(LARGE))
    copyFileSync(file, `${file}.backup`)
    flip(file, offset + 1_500_000)
    await using store = await openStore(directory)
    assert.equal((await problems(store)).length, 3)
    renameSync(`${file}.backup`, file)
    assert.deepEqual(await problems(store), [])
    assert.deepEqual([await damagedCount(directory), (await quarantine(directory)).length], [0, 0])
    const draft = await store.packages.open({ repository: 'dedup' })
    assert.deepEqual(await draft.attach([{ path: 'large', digest: digestOf(LARGE), size: LARGE.length }]), [true])
  })

  test('found by a slow reader after they were healed do no harm to the healed ones', async () => {
    const directory = await someStore()
    const { file, offset } = await placeOf(directory, digestOf(LARGE))
    flip(file, offset + 2_900_000)
    await using store = await openStore(directory)
    const [item] = (await store.packages.search({ repository: 'a' })).items
    const slow = store.files.read(item?.id ?? '', 'large')[Symbol.asyncIterator]()
    await slow.next()
    assert.equal((await problems(store)).length, 3)
    await push(store, { repository: 'healer' })
    await assert.rejects(
      async () => {
        while ((await slow.next()).done !== true);
      },
      { code: 'damaged' },
    )
    assert.equal(await damagedCount(directory), 0)
    assert.deepEqual(await problems(store), [])
  })
})

describe('a run that is damaged', () => {
  const request = { repository: 'c', runId: 'run-1' }

  test('takes its files again under the same run id, and stays the package it is', async () => {
    const directory = await someStore()
    const { file, offset } = await placeOf(directory, digestOf(SMALL))
    flip(file, offset)
    await using store = await openStore(directory)
    const [item] = (await store.packages.search({ repository: 'c' })).items
    assert.equal((await store.packages.open(request)).status, 'finalized', 'nothing is known of the damage yet')
    assert.equal((await problems(store, item?.id)).length, 1)
    const receipt = await push(store, request)
    assert.deepEqual([receipt.id, receipt.reusedExisting], [item?.id, true])
    assert.deepEqual(await problems(store), [])
    assert.equal((await store.packages.open(request)).status, 'finalized')
  })

  test('heals its document and its manifest as well', async () => {
    const directory = await someStore()
    const [item] = await readInfo(directory)
    assert.ok(item)
    for (const digest of [item.document, item.manifest]) {
      const { file, offset } = await placeOf(directory, digest)
      flip(file, offset + 5)
    }
    await using store = await openStore(directory)
    assert.equal((await problems(store, item.id)).length, 2)
    assert.equal((await push(store, request)).id, item.id)
    assert.deepEqual(await problems(store), [])
    assert.equal((await store.packages.get(item.id)).runId, 'run-1')
  })

  test('whose document turns out damaged when it is opened takes its files again at once', async () => {
    const directory = await someStore()
    const [item] = await readInfo(directory)
    assert.ok(item)
    const { file, offset } = await placeOf(directory, item.document)
    flip(file, offset + 5)
    await using store = await openStore(directory)
    assert.equal((await push(store, request)).id, item.id)
    assert.deepEqual(await problems(store), [])
  })

  test('still refuses other content', async () => {
    const directory = await someStore()
    const { file, offset } = await placeOf(directory, digestOf(SMALL))
    flip(file, offset)
    await using store = await openStore(directory)
    await problems(store)
    await assert.rejects(push(store, request, { ...FILES, small: Buffer.from('other') }), RunConflictError)
    assert.equal((await problems(store)).length, 3)
  })

  async function readInfo(directory: string): Promise<readonly { readonly id: string; readonly manifest: Digest; readonly document: Digest }[]> {
    const rows = await read(directory, (session) =>
      session.query<{ uuid: string; manifest: string; document: string }>({
        sql: "select uuid, lower(hex(manifest_digest)) as manifest, lower(hex(document_digest)) as document from packages where run_id = 'run-1'",
        parameters: [],
      }),
    )
    // Sound: 32 bytes in hexadecimal.
    return rows.map(({ uuid, manifest, document }) => ({
      id: uuid,
      manifest: `sha256:${manifest}` as Digest,
      document: `sha256:${document}` as Digest,
    }))
  }
})

describe('bytes that were lost before a recovery', () => {
  test('are held by every manifest that names them once they arrive again', async () => {
    const directory = await someStore()
    const { file } = await placeOf(directory, digestOf(LARGE))
    rmSync(file)
    rmSync(storeFiles(directory).registry)
    await recoverStore(directory)
    {
      await using store = await openStore(directory)
      assert.equal((await problems(store)).length, 3)
      await push(store, { repository: 'd', metadata: { fourth: true } })
      assert.deepEqual(await problems(store), [])
    }
    const held = await read(directory, (session) =>
      session.query<{ n: number }>({
        sql: 'select count(*) as n from holders join chunks on chunks.id = holders.target_id where holders.kind = 4 and chunks.digest = ?',
        parameters: [rawSha256(digestOf(LARGE))],
      }),
    )
    assert.equal(held[0]?.n, 4)
  })
})
