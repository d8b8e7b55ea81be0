/**
 * What collection costs. `collection.ts fill STORE BLOBS` makes a store of that many small blobs in 100 packages; `… idle STORE` repeats a run that finds
 * nothing to do; `… collect STORE` gives up ten packages and collects them; `… beside STORE` seals small packages alone, then while another process,
 * which is `… collector STORE`, collects ten packages as a server would; `… rewrite STORE FOLDER` stores the files of a folder, each beside as much that is
 * given up, and rewrites the packs; `… prune STORE FOLDER CHANGED` stores a folder, then the changed one, gives up the first and collects it.
 */
import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Collector } from '../../src/store/collector/collector.ts'
import { defaultCollectionSettings } from '../../src/store/collector/collection-settings.ts'
import { CollectionWork } from '../../src/store/collector/collection-work.ts'
import { review } from '../../src/store/collector/review.ts'
import { rewritePacks } from '../../src/store/collector/rewriting.ts'
import { settlePacks } from '../../src/store/collector/settlement.ts'
import type { StoreContext } from '../../src/store/context.ts'
import { EmbeddedStore } from '../../src/store/embedded-store.ts'
import type { PutItem, Store } from '../../src/store/interface.ts'
import { createStore, openStore } from '../../src/store/open.ts'
import { closeContext, openContext } from '../../src/store/open-context.ts'
import { pushTree } from '../../src/store/push-tree.ts'
import { purgePackage } from '../../src/testing/purge-package.ts'
import { report, startMeasuring } from './self-report.ts'

const AT_ONCE = { graceMs: 0, drainMs: 0, eraseWithinMs: 0 }
const PACKAGES = 100
const GIVEN_UP = 10
const BLOB_BYTES = 100
const CYCLES = 50
const SEALS = 150

const [operation, directory = '', given = '', changed = ''] = process.argv.slice(2)

switch (operation) {
  case 'fill':
    await fill(Number(given))
    break
  case 'idle':
    await withParts(idle)
    break
  case 'collect':
    await withParts(collect)
    break
  case 'beside':
    await beside()
    break
  case 'collector':
    await withParts(async (context) => {
      process.send?.('collecting')
      await new Collector(context, { ...AT_ONCE, rest: 9 }).runOnce()
      process.send?.('collected')
    })
    process.disconnect?.()
    break
  case 'rewrite':
    await rewrite(given)
    break
  case 'prune':
    await prune(given, changed)
    break
  default:
    throw new Error(`unknown operation ${operation}`)
}

async function withParts(work: (context: StoreContext) => Promise<void>): Promise<void> {
  const context = await openContext(directory)
  try {
    await work(context)
  } finally {
    await closeContext(context)
  }
}

async function fill(blobs: number): Promise<void> {
  const measuring = startMeasuring()
  const store = await createStore(directory)
  for (let number = 0; number < PACKAGES; number++) {
    const draft = await store.packages.open({ repository: 'bench/blobs' })
    for await (const _batch of draft.putMany(smallFiles(blobs / PACKAGES)));
    await draft.finalize()
  }
  await store.close()
  report(measuring.end())
}

function* smallFiles(count: number): Generator<PutItem> {
  for (let file = 0; file < count; file++) yield { kind: 'file', path: `f${file}`, source: randomBytes(BLOB_BYTES) }
}

async function giveUp(context: StoreContext, packages: number): Promise<void> {
  const { items } = await new EmbeddedStore(context).packages.search({ repository: 'bench/blobs', status: 'finalized' }, { limit: packages })
  for (const { id } of items) await purgePackage(context.registry, id)
}

async function idle(context: StoreContext): Promise<void> {
  const collector = new Collector(context)
  // Packs are looked through, and the backend listed, once.
  await collector.runOnce()
  const measuring = startMeasuring()
  const times: number[] = []
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    const start = performance.now()
    await collector.runOnce()
    times.push(performance.now() - start)
  }
  report(measuring.end(), { times })
}

async function collect(context: StoreContext): Promise<void> {
  await new Collector(context).runOnce()
  await giveUp(context, GIVEN_UP)
  const measuring = startMeasuring()
  const { reviewed } = await new Collector(context, AT_ONCE).runOnce()
  report(measuring.end(), { condemned: reviewed.condemned })
}

async function beside(): Promise<void> {
  // Enough for the collector to be at it all the time.
  await withParts((context) => giveUp(context, GIVEN_UP * 4))
  await using store = await openStore(directory)
  await seals(store)
  const measuring = startMeasuring()
  const alone = await seals(store)
  const child = fork(fileURLToPath(import.meta.url), ['collector', directory])
  await once(child, 'message')
  let isOver = false
  child.once('message', () => (isOver = true))
  const exit = once(child, 'exit')
  const times = await seals(store, () => isOver)
  const measured = measuring.end()
  await exit
  if (times.length < SEALS / 5) throw new Error('collecting was over before anything could be pushed beside it')
  report(measured, { alone, beside: times })
}

async function seals(store: Store, isOver: () => boolean = () => false): Promise<readonly number[]> {
  const times: number[] = []
  for (let seal = 0; seal < SEALS && !isOver(); seal++) {
    const start = performance.now()
    const draft = await store.packages.open({ repository: 'bench/seals' })
    for await (const _batch of draft.putMany(smallFiles(10)));
    await draft.finalize()
    times.push(performance.now() - start)
    await sleep(5)
  }
  return times
}

/** Every file lies beside garbage of its size, so that half of each pack lives. */
async function rewrite(folder: string): Promise<void> {
  const store = await createStore(directory)
  const [kept, garbage] = [await store.packages.open({ repository: 'bench/kept' }), await store.packages.open({ repository: 'bench/garbage' })]
  for (const file of filesBelow(folder)) {
    const bytes = readFileSync(join(folder, file))
    await Promise.all([kept.put(file, bytes), garbage.put(file, randomBytes(bytes.length))])
  }
  await kept.finalize()
  await garbage.abort()
  await store.close()
  const context = await openContext(directory)
  const work = new CollectionWork(context, { ...defaultCollectionSettings, ...AT_ONCE }, {})
  await settlePacks(work)
  await review(work)
  const measuring = startMeasuring()
  const { moved } = await rewritePacks(work)
  const measured = measuring.end()
  await closeContext(context)
  report(measured, { moved })
}

async function prune(folder: string, changedFolder: string): Promise<void> {
  const store = await createStore(directory)
  const push = async (tree: string): Promise<string> => {
    const draft = await store.packages.open({ repository: 'bench/input' })
    await pushTree(draft, tree)
    return (await draft.finalize()).id
  }
  const first = await push(folder)
  const second = await push(changedFolder)
  await store.close()
  await withParts(({ registry }) => purgePackage(registry, first))
  const measuring = startMeasuring()
  await withParts(async (context) => void (await new Collector(context, AT_ONCE).runOnce()))
  report(measuring.end(), { id: second })
}

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1))
}
