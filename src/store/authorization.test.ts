import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { anonymousAccess, grantedAccess, parseRepositoryPattern, type Verb } from '../core/access.ts'
import { StoreError } from '../core/errors.ts'
import { bytes, collect, rejectsWith, sealed } from '../testing/store-case.ts'
import type { EmbeddedStore } from './embedded-store.ts'
import type { FinalizedPackage, Store } from './interface.ts'
import { createStore } from './open.ts'

const ABSENT_ID = '01998e9e-0000-7000-8000-000000000000'
const ABSENT_DIGEST = `sha256:${'0'.repeat(64)}`

let directory = ''
let store: EmbeddedStore
let theirs: FinalizedPackage
let mine: FinalizedPackage
let shown: FinalizedPackage
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'authorization-'))
  store = await createStore(join(directory, 'store'))
  theirs = await sealed(store, 'theirs/b', { secret: 'theirs' }, { tags: ['v1'], runId: 'run' })
  mine = await sealed(store, 'mine/a', { file: 'mine' }, { tags: ['v1'] })
  shown = await sealed(store, 'pub/shown', { page: 'public' }, { tags: ['v1'] })
  await store.repositories.set('pub/shown', { publicRead: true })
})
after(async () => {
  await store.close()
  await rm(directory, { recursive: true })
})

function as(name: string, verbs: readonly Verb[], ...patterns: readonly string[]): EmbeddedStore {
  return store.actingAs(grantedAccess(`token:${name}`, [{ verbs, repositories: patterns.map(parseRepositoryPattern) }]))
}

/** Everything that can be asked of a package or a repository by name. */
const questions: readonly (readonly [what: string, ask: (caller: Store, target: Target) => Promise<unknown>])[] = [
  ['a package by id', (caller, { id }) => caller.packages.get(id)],
  ['a package by tag', (caller, { name }) => caller.packages.get(`${name}:v1`)],
  ['a package by digest', (caller, { name, digest }) => caller.packages.get(`${name}@${digest}`)],
  ['a document', (caller, { id }) => caller.packages.document(id)],
  ['a manifest', (caller, { id }) => caller.packages.manifest(id)],
  ['a verification', (caller, { id }) => collect(caller.packages.verify(id))],
  ['a package to be filled', (caller, { id }) => caller.packages.resume(id)],
  ['a new package', (caller, { name }) => caller.packages.open({ repository: name, runId: 'run' })],
  ['files', (caller, { id }) => collect(caller.files.list(id))],
  ['facts of a file', (caller, { id }) => caller.files.stat(id, 'secret')],
  ['a file', (caller, { id }) => collect(caller.files.read(id, 'secret'))],
  ['all files', (caller, { id }) => collect(caller.files.readMany(id))],
  ['an archive', (caller, { id }) => collect(caller.files.archive(id, { format: 'tar' }))],
  ['tags', (caller, { name }) => caller.tags.list(name)],
  ['a tag', (caller, { name }) => caller.tags.get(name, 'v1')],
  ['setting a tag', (caller, { name, id }) => caller.tags.set(name, 'v2', id)],
  ['removing a tag', (caller, { name }) => caller.tags.remove(name, 'v1')],
  ['tagging it elsewhere', (caller, { id }) => caller.tags.set('mine/a', 'v2', id)],
  ['a repository', (caller, { name }) => caller.repositories.get(name)],
  ['a policy', (caller, { name }) => caller.repositories.set(name, { publicRead: true })],
]

interface Target {
  readonly name: string
  readonly id: string
  readonly digest: string
}

/** What an error says, without what was asked. */
async function told(answer: Promise<unknown>, target: Target): Promise<string> {
  const error = await answer.then(
    () => assert.fail('it was answered'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof StoreError, String(error))
  let text = JSON.stringify([error.code, error.message, error.detail, error.retryable])
  for (const [key, value] of Object.entries(target)) text = text.replaceAll(String(value), `<${key}>`)
  return text
}

describe('what the caller may not read', () => {
  const callers: readonly (readonly [string, () => EmbeddedStore])[] = [
    ['nobody', () => store.actingAs(anonymousAccess)],
    ['a reader of others', () => as('reader', ['read'], 'mine/**', 'theirs')],
    ['a writer of others', () => as('writer', ['read', 'write', 'admin'], 'mine/**')],
  ]
  for (const [who, caller] of callers) {
    for (const [what, ask] of questions) {
      test(`is not there for ${who}, to the letter: ${what}`, async () => {
        const hidden: Target = { name: 'theirs/b', id: theirs.id, digest: theirs.manifestDigest }
        const absent: Target = { name: 'absent/b', id: ABSENT_ID, digest: ABSENT_DIGEST }
        const said = await told(ask(caller(), hidden), hidden)
        assert.equal(said, await told(ask(caller(), absent), absent))
        // Who may see mine/a but not write there is told so; that says nothing of what was to be tagged.
        assert.match(said, what === 'tagging it elsewhere' && who !== 'a writer of others' ? /^\["(forbidden|not_found)"/ : /^\["not_found"/)
      })
    }
  }

  test('is in no list, no search and no event, whatever is asked for', async () => {
    const caller = as('reader', ['read'], 'mine/**')
    const ids = async (filter: object): Promise<string[]> => (await caller.packages.search(filter)).items.map((item) => item.id)
    assert.deepEqual(await ids({}), [shown.id, mine.id])
    for (const filter of [{ repository: 'theirs' }, { repository: 'theirs/b' }, { runId: 'run' }]) assert.deepEqual(await ids(filter), [])
    assert.deepEqual(await ids({ tag: 'v1' }), [shown.id, mine.id])
    const names = async (prefix?: string): Promise<string[]> => (await caller.repositories.list(prefix)).items.map((item) => item.name)
    assert.deepEqual([await names(), await names('theirs')], [['mine/a', 'pub/shown'], []])
    const { events } = await caller.events.list({ limit: 1_000 })
    assert.deepEqual(new Set(events.map(({ data }) => data['repository'])), new Set(['mine/a', 'pub/shown']))
    assert.deepEqual((await caller.events.list({ repository: 'theirs' })).events, [])
  })

  test('pages of a list are full although much in between is not shown', async () => {
    const many = await createStore(join(directory, 'many'))
    for (let n = 0; n < 6; n += 1) for (const name of ['mine', 'theirs']) await sealed(many, `${name}/r${n}`, { n: `${name} ${n}` })
    const caller = many.actingAs(grantedAccess('token:r', [{ verbs: ['read'], repositories: [parseRepositoryPattern('mine/**')] }]))
    const first = await caller.packages.search({}, { limit: 4 })
    const second = await caller.packages.search({}, { limit: 4, after: first.next ?? '' })
    assert.deepEqual(
      [...first.items, ...second.items].map((item) => item.repository),
      [5, 4, 3, 2, 1, 0].map((n) => `mine/r${n}`),
    )
    assert.deepEqual([first.items.length, second.next], [4, undefined])
    const repositories = await caller.repositories.list('', { limit: 4 })
    assert.deepEqual([repositories.items.length, repositories.next !== undefined], [4, true])
    await many.close()
  })
})

describe('what the caller may see but not do', () => {
  test('is forbidden; to nobody it is told that a token is needed', async () => {
    const changes: readonly ((caller: Store) => Promise<unknown>)[] = [
      (caller) => caller.packages.open({ repository: 'pub/shown' }),
      (caller) => caller.packages.resume(shown.id),
      (caller) => caller.tags.set('pub/shown', 'v2', shown.id),
      (caller) => caller.tags.remove('pub/shown', 'v1'),
      (caller) => caller.repositories.set('pub/shown', {}),
      (caller) => collect(caller.packages.verify('all')),
      (caller) => collect(caller.packages.verifyPacks()),
      (caller) => caller.events.verify(),
      (caller) => caller.schemas.register('a.v1', {}),
    ]
    for (const change of changes) {
      await rejectsWith('forbidden', change(as('reader', ['read'], '**')))
      await rejectsWith('unauthenticated', change(store.actingAs(anonymousAccess)))
    }
  })

  test('over the whole store needs a grant for the whole store', async () => {
    const some = as('admin', ['read', 'admin'], 'mine/**', 'theirs/**', 'pub/**')
    await rejectsWith('forbidden', collect(some.packages.verify('all')))
    await rejectsWith('forbidden', some.schemas.register('a.v1', {}))
    const all = as('admin', ['admin'], '**')
    assert.ok((await collect(all.packages.verify('all'))).length > 0)
    assert.ok((await all.events.verify()).events > 0)
  })
})

describe('what the caller may do', () => {
  test('is what the grants say, repository by repository, also in those that are not there yet', async () => {
    const writer = as('writer', ['read', 'write'], 'fresh/**')
    const { id } = await sealed(writer, 'fresh/made', { a: 'a' }, { tags: ['t'] })
    assert.equal((await writer.packages.get('fresh/made:t')).id, id)
    await rejectsWith('not_found', writer.packages.open({ repository: 'fresh' }))
    await rejectsWith('not_found', writer.packages.open({ repository: 'fresher/made' }))
    await rejectsWith('forbidden', writer.repositories.set('fresh/made', {}))
    const { events } = await store.events.list({ repository: 'fresh' })
    assert.deepEqual(new Set(events.map(({ actor }) => actor)), new Set(['token:writer']))
  })

  test('may be to write without reading: what is there stays unseen', async () => {
    const drop = as('drop', ['write'], 'mine/**')
    const draft = await drop.packages.open({ repository: 'mine/drop' })
    await draft.put('a', bytes('dropped'))
    assert.equal((await drop.packages.get(draft.id)).status, 'open')
    const { id } = await draft.finalize()
    await rejectsWith('not_found', drop.packages.get(id))
    await rejectsWith('not_found', drop.packages.get(mine.id))
    await drop.tags.set('mine/drop', 'latest', id)
    assert.equal((await store.packages.get('mine/drop:latest')).id, id)
  })

  test('an open package is seen by whoever may write to its repository, and by nobody else', async () => {
    const draft = await store.packages.open({ repository: 'pub/shown' })
    assert.equal((await as('writer', ['write'], 'pub/**').packages.get(draft.id)).status, 'open')
    await rejectsWith('not_found', as('reader', ['read'], '**').packages.get(draft.id))
    await rejectsWith('not_found', store.actingAs(anonymousAccess).packages.get(draft.id))
    await draft.abort()
  })

  test('closing the store of a caller closes nothing', async () => {
    const caller = as('writer', ['read'], '**')
    await caller.close()
    assert.equal((await caller.packages.get(mine.id)).id, mine.id)
    assert.equal((await store.packages.get(mine.id)).id, mine.id)
  })
})

describe('schemas', () => {
  test('are seen by everybody who says who they are', async () => {
    await store.schemas.register('seen.v1', { title: 'seen' })
    assert.equal((await as('drop', ['write'], 'mine/**').schemas.get('seen.v1')).name, 'seen.v1')
    const nobody = store.actingAs(anonymousAccess)
    await rejectsWith('not_found', nobody.schemas.get('seen.v1'))
    assert.deepEqual((await nobody.schemas.list()).items, [])
  })
})
