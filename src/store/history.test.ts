import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { digestOf } from '../core/digest.ts'
import { StoreError } from '../core/errors.ts'
import { collect } from '../testing/collection-case.ts'
import type { Draft, Store } from './interface.ts'
import { closeContext, openContext } from './open-context.ts'
import { createStore, openStore } from './open.ts'
import { rebuildViews } from './rebuild.ts'
import { recoverStore } from './recover.ts'

/** Histories a run; the nightly run asks for more. */
const RUNS = Number(process.env['ARTIFACT_STORE_HISTORIES'] ?? 50)

const REPOSITORIES = ['a', 'a/b', 'c/d/e'] as const
const PATHS = ['f', 'd/g', 'd/h', 'run.sh', 'z'] as const
const TAGS = ['latest', 'v1'] as const
/** Contents repeat, so that histories deduplicate; one is large enough for an object of its own. */
const CONTENTS = ['', 'one', 'two', 'x'.repeat(5_000), 'y'.repeat(3 * 1024 * 1024)].map((text) => Buffer.from(text))

interface ModelPackage {
  readonly repository: string
  readonly files: ReadonlyMap<string, Buffer>
  readonly manifestDigest: string
}

/** What users should see, kept as simply as can be. */
class Model {
  readonly packages = new Map<string, ModelPackage>()
  /** Ids that lead to a package: its own and its aliases. */
  readonly ids = new Map<string, string>()
  readonly tags = new Map<string, string>()
  readonly drafts: { readonly id: string; readonly repository: string; readonly files: Map<string, Buffer> }[] = []
}

type Step =
  | { readonly do: 'open'; readonly repository: string }
  | { readonly do: 'put'; readonly draft: number; readonly path: string; readonly content: number }
  | { readonly do: 'attach'; readonly draft: number; readonly path: string; readonly content: number }
  | { readonly do: 'remove'; readonly draft: number; readonly path: string }
  | { readonly do: 'finalize'; readonly draft: number }
  | { readonly do: 'abort'; readonly draft: number }
  | { readonly do: 'tag'; readonly repository: string; readonly tag: string; readonly pick: number }
  | { readonly do: 'untag'; readonly repository: string; readonly tag: string }
  | { readonly do: 'restart' }
  | { readonly do: 'collect' }

const pick = fc.nat({ max: 5 })
const content = fc.nat({ max: CONTENTS.length - 1 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('open' as const), repository: fc.constantFrom(...REPOSITORIES) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('put' as const), draft: pick, path: fc.constantFrom(...PATHS), content }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('attach' as const), draft: pick, path: fc.constantFrom(...PATHS), content }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), draft: pick, path: fc.constantFrom(...PATHS) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('finalize' as const), draft: pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abort' as const), draft: pick }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('tag' as const), repository: fc.constantFrom(...REPOSITORIES), tag: fc.constantFrom(...TAGS), pick }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('untag' as const), repository: fc.constantFrom(...REPOSITORIES), tag: fc.constantFrom(...TAGS) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('collect' as const) }) },
)

test('after any history the store shows what a simple model shows, and so do its log replayed and the store recovered without its registry', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const folder = await mkdtemp(join(tmpdir(), 'history-'))
      const directory = join(folder, 'data')
      let store = await createStore(directory)
      try {
        const model = new Model()
        for (const next of steps) {
          if (next.do === 'restart') {
            await store.close()
            store = await openStore(directory)
          } else if (next.do === 'collect') await collect(directory)
          else await apply(store, model, next)
        }
        await compare(store, model)
        for (const { id } of model.drafts) assert.equal((await store.packages.resume(id)).status, 'open')
        const { head } = await store.events.verify()
        await store.close()
        const context = await openContext(directory)
        const rebuilt = await rebuildViews(context)
        await closeContext(context)
        assert.deepEqual(rebuilt.listed, [])
        assert.ok(rebuilt.rows > 0 || rebuilt.events === 1)
        await rm(join(directory, 'registry.db'))
        const report = await recoverStore(directory)
        assert.equal(report.head, head)
        assert.equal(report.lossy, false, report.reasons.join('; '))
        store = await openStore(directory)
        await compare(store, model)
      } finally {
        await store.close()
        await rm(folder, { recursive: true, force: true })
      }
    }),
    { numRuns: RUNS },
  )
})

async function apply(store: Store, model: Model, next: Exclude<Step, { do: 'restart' | 'collect' }>): Promise<void> {
  switch (next.do) {
    case 'open': {
      const draft = await store.packages.open({ repository: next.repository })
      model.drafts.push({ id: draft.id, repository: next.repository, files: new Map() })
      return
    }
    case 'tag': {
      const candidates = [...model.packages].filter(([, sealed]) => sealed.repository === next.repository)
      const chosen = candidates[next.pick % Math.max(candidates.length, 1)]
      if (chosen === undefined) return
      await store.tags.set(next.repository, next.tag, chosen[0])
      model.tags.set(`${next.repository}:${next.tag}`, chosen[0])
      return
    }
    case 'untag': {
      const known = model.tags.delete(`${next.repository}:${next.tag}`)
      await expectOutcome(known, () => store.tags.remove(next.repository, next.tag))
      return
    }
    default:
      await applyToDraft(store, model, next)
  }
}

async function applyToDraft(store: Store, model: Model, next: Extract<Step, { draft: number }>): Promise<void> {
  const position = next.draft % Math.max(model.drafts.length, 1)
  const known = model.drafts[position]
  if (known === undefined) return
  const draft: Draft = await store.packages.resume(known.id)
  if (next.do === 'abort') {
    await draft.abort()
    model.drafts.splice(position, 1)
    return
  }
  if (next.do === 'finalize') {
    await finalize(draft, model, known)
    model.drafts.splice(position, 1)
    return
  }
  if (next.do === 'remove') {
    await expectOutcome(known.files.delete(next.path), () => draft.remove(next.path))
    return
  }
  const bytes = CONTENTS[next.content] ?? Buffer.alloc(0)
  if (next.do === 'put') {
    await draft.put(next.path, bytes)
    known.files.set(next.path, bytes)
    return
  }
  const [attached] = await draft.attach([{ path: next.path, digest: digestOf(bytes), size: bytes.length }])
  // Whether bytes are still here that only an ended or replaced entry used is the collector's business; what a package names must be.
  const named = [...model.packages.values()].some((sealed) => [...sealed.files.values()].some((held) => held.equals(bytes)))
  if (named) assert.equal(attached, true)
  if (attached === true) known.files.set(next.path, bytes)
}

async function finalize(draft: Draft, model: Model, known: Model['drafts'][number]): Promise<void> {
  const receipt = await draft.finalize()
  const twin = [...model.packages].find(([, sealed]) => sealed.repository === known.repository && sameFiles(sealed.files, known.files))
  assert.equal(receipt.reusedExisting, twin !== undefined)
  assert.equal(receipt.id, twin?.[0] ?? known.id)
  model.ids.set(known.id, receipt.id)
  if (twin !== undefined) return
  model.packages.set(receipt.id, { repository: known.repository, files: known.files, manifestDigest: receipt.manifestDigest })
}

function sameFiles(left: ReadonlyMap<string, Buffer>, right: ReadonlyMap<string, Buffer>): boolean {
  return left.size === right.size && [...left].every(([path, content]) => right.get(path)?.equals(content) === true)
}

async function compare(store: Store, model: Model): Promise<void> {
  for (const [id, target] of model.ids) assert.equal((await store.packages.get(id)).id, target)
  for (const [id, sealed] of model.packages) {
    const info = await store.packages.get(id)
    assert.deepEqual([info.repository, info.manifestDigest, info.fileCount], [sealed.repository, sealed.manifestDigest, sealed.files.size])
    const seen = new Map<string, Buffer>()
    for await (const read of store.files.readMany(id)) {
      assert.ok(!('error' in read), 'error' in read ? read.error.message : '')
      const pieces: Uint8Array[] = []
      if ('bytes' in read) pieces.push(read.bytes)
      else for await (const piece of read.stream) pieces.push(piece)
      seen.set(read.file.path, Buffer.concat(pieces))
    }
    assert.ok(sameFiles(seen, sealed.files), `files of ${id}`)
  }
  for (const repository of REPOSITORIES) {
    for (const tag of TAGS) {
      const name = `${repository}:${tag}`
      const found = await ifFound(store.packages.get(name))
      assert.equal(found?.id, model.tags.get(name), name)
    }
    const listed = await store.packages.search({ repository }, { limit: 1_000 })
    const expected = [...model.packages].filter(([, sealed]) => sealed.repository === repository || sealed.repository.startsWith(`${repository}/`))
    assert.deepEqual(listed.items.map((item) => item.id).toSorted(), expected.map(([id]) => id).toSorted())
  }
  for await (const line of store.packages.verify('all')) assert.equal(line.problem, undefined)
  await store.events.verify()
}

async function expectOutcome(succeeds: boolean, work: () => Promise<void>): Promise<void> {
  if (succeeds) await work()
  else await assert.rejects(work(), StoreError)
}

async function ifFound<T>(looking: Promise<T>): Promise<T | undefined> {
  try {
    return await looking
  } catch (error) {
    if (error instanceof StoreError && error.code === 'not_found') return undefined
    throw error
  }
}
