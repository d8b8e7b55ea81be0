import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { grantedAccess, parseRepositoryPattern, type Verb } from '../core/access.ts'
import { digestOf } from '../core/digest.ts'
import { DatabaseFile } from '../registry/sqlite-driver.ts'
import { bytes, sealed } from '../testing/store-case.ts'
import type { EmbeddedStore } from './embedded-store.ts'
import type { Draft, KnownFile, PutOutcome } from './interface.ts'
import { createStore } from './open.ts'
import { storeFiles } from './store-files.ts'

let directory = ''
let store: EmbeddedStore
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'find-missing-'))
  store = await createStore(join(directory, 'store'))
})
after(async () => {
  await store.close()
  await rm(directory, { recursive: true })
})

function as(verbs: readonly Verb[], ...patterns: readonly string[]): EmbeddedStore {
  return store.actingAs(grantedAccess('token:t', [{ verbs, repositories: patterns.map(parseRepositoryPattern) }]))
}

function known(...contents: readonly string[]): readonly KnownFile[] {
  return contents.map((content, index) => ({ path: `f${index}`, digest: digestOf(bytes(content)), size: bytes(content).length }))
}

function chunksOf(content: string): number {
  const database = new DatabaseFile(storeFiles(join(directory, 'store')).registry)
  const digest = Buffer.from(digestOf(bytes(content)).slice('sha256:'.length), 'hex')
  const row = database.prepare('select count(*) as n from chunks where digest = ?').get(digest)
  database.close()
  return Number(row?.['n'])
}

async function push(draft: Draft, ...contents: readonly string[]): Promise<readonly (readonly [string | undefined, boolean])[]> {
  const outcomes: PutOutcome[] = []
  const items = contents.map((content, index) => ({ kind: 'file', path: `p${index}`, source: bytes(content) }) as const)
  for await (const batch of draft.putMany(items)) outcomes.push(...batch)
  return outcomes
    .toSorted((left, right) => left.index - right.index)
    .map((outcome) => ('error' in outcome ? assert.fail(outcome.error) : [outcome.digest, outcome.reused]))
}

describe('find-missing', () => {
  test('attaches what the caller may read somewhere, and says of all else that it must be sent', async () => {
    await sealed(store, 'attach/theirs', { a: 'theirs-1' })
    await sealed(store, 'attach/mine', { a: 'mine-1' })
    await store.repositories.set('attach/public', { publicRead: true })
    await sealed(store, 'attach/public', { a: 'public-1' })
    const draft = await as(['read', 'write'], 'attach/mine').packages.open({ repository: 'attach/mine' })
    assert.deepEqual(await draft.attach(known('mine-1', 'theirs-1', 'public-1', 'absent-1')), [true, false, true, false])
    const receipt = await draft.finalize()
    assert.equal(receipt.fileCount, 2)
    const full = await store.packages.open({ repository: 'attach/mine' })
    assert.deepEqual(await full.attach(known('mine-1', 'theirs-1', 'public-1', 'absent-1')), [true, true, true, false])
  })

  test('what is unreadable is sent, stored once, and from then on known to the open package, just like what was absent', async () => {
    await sealed(store, 'silent/theirs', { a: 'silent-theirs' })
    const draft = await as(['read', 'write'], 'silent/mine').packages.open({ repository: 'silent/mine' })
    const both = known('silent-theirs', 'silent-absent')
    assert.deepEqual(await draft.attach(both), [false, false])
    assert.deepEqual(
      (await push(draft, 'silent-theirs', 'silent-absent')).map(([, reused]) => reused),
      [false, false],
    )
    assert.deepEqual([chunksOf('silent-theirs'), chunksOf('silent-absent')], [1, 1])
    assert.deepEqual(await draft.attach(both), [true, true])
    const other = await as(['read', 'write'], 'silent/mine').packages.open({ repository: 'silent/mine' })
    assert.deepEqual(await other.attach(both), [false, false])
    await draft.finalize()
    assert.deepEqual(await other.attach(both), [true, true])
  })

  test('what is told of bytes that were sent is the same whether they were here unread or not, however often they come', async () => {
    await sealed(store, 'told/theirs', { a: 'told-theirs' })
    for (const round of [1, 2]) {
      const told: unknown[] = []
      for (const content of ['told-theirs', `told-absent-${round}`]) {
        const draft = await as(['read', 'write'], 'told/mine').packages.open({ repository: 'told/mine' })
        const first = await push(draft, content, content, content)
        const second = await push(draft, content)
        const put = await draft.put('again', bytes(content))
        told.push(
          JSON.stringify([first, second, put])
            .replaceAll(digestOf(bytes(content)), '<digest>')
            .replaceAll(/"size":\d+/g, '"size"'),
        )
        await draft.abort()
      }
      assert.equal(told[0], told[1])
    }
  })

  test('whoever may only write is told of nothing but what the open package holds', async () => {
    await sealed(store, 'drop/box', { a: 'drop-1' })
    const draft = await as(['write'], 'drop/box').packages.open({ repository: 'drop/box' })
    assert.deepEqual(await draft.attach(known('drop-1')), [false])
    assert.deepEqual(
      (await push(draft, 'drop-1')).map(([, reused]) => reused),
      [false],
    )
    assert.deepEqual(await draft.attach(known('drop-1')), [true])
  })

  test('what only an open package holds is nobody else’s, and what a manifest alone is made of is no file', async () => {
    const draft = await store.packages.open({ repository: 'open/mine' })
    await draft.put('a', bytes('only-open'))
    const { id } = await sealed(store, 'open/mine', { a: 'sealed' })
    const manifest = await store.packages.manifest(id)
    const caller = await as(['read', 'write'], 'open/**').packages.open({ repository: 'open/mine' })
    assert.deepEqual(await caller.attach(known('only-open')), [false])
    assert.deepEqual(await caller.attach([{ path: 'm', digest: manifest.digest, size: manifest.bytes.length }]), [false])
  })

  test('with the right digest and a wrong size is missing, as is what is too large to be anything', async () => {
    await sealed(store, 'size/mine', { a: 'sized' })
    const draft = await as(['read', 'write'], 'size/**').packages.open({ repository: 'size/mine' })
    assert.deepEqual(await draft.attach([{ path: 'a', digest: digestOf(bytes('sized')), size: 6 }]), [false])
  })

  test('what everybody has is found in the caller’s own repository first, and elsewhere only within bounds', async () => {
    await sealed(store, 'popular/mine', { licence: 'popular', own: 'own' })
    await sealed(store, 'popular/late', { licence: 'popular', own: 'late' })
    for (let n = 0; n < 210; n += 1) await sealed(store, `popular/theirs/r${n}`, { licence: 'popular', n: `theirs ${n}` })
    const owner = await as(['read', 'write'], 'popular/mine').packages.open({ repository: 'popular/mine' })
    assert.deepEqual(await owner.attach(known('popular')), [true])
    const elsewhere = await as(['read', 'write'], 'popular/late', 'popular/new').packages.open({ repository: 'popular/new' })
    assert.deepEqual(await elsewhere.attach(known('popular')), [false])
    assert.deepEqual(await elsewhere.attach(known('late', 'popular')), [true, true], 'the manifest that held something is looked at again')
  })
})
