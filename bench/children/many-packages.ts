/**
 * What a store with many packages costs: `many-packages.ts fill STORE COUNT` makes a store of that many small packages, as fast as one process can;
 * `… page|lookup|commit STORE COUNT` repeats one step in such a store and tells how long each time took. The packages lie in 20 repositories, have a
 * file of their own each, and a tag.
 */
import type { Store } from '../../src/store/interface.ts'
import { createStore, openStore } from '../../src/store/open.ts'
import { report, startMeasuring } from './self-report.ts'

const REPOSITORIES = 20
/** Packages that are made side by side, so that their commits share flushes. */
const SIDE_BY_SIDE = 64
const PAGE = 100
/** So that code is compiled and pages of the database are in memory before anything counts. */
const WARM_UP = 50
const REPEATS = 200

const [operation, directory = '', countText = ''] = process.argv.slice(2)
const count = Number(countText)

switch (operation) {
  case 'fill':
    await fill()
    break
  case 'page':
    await repeat(async (store) => {
      const { items } = await store.packages.search({}, { limit: PAGE })
      if (items.length !== PAGE) throw new Error(`a page has ${items.length} packages, not ${PAGE}`)
    })
    break
  case 'lookup':
    await repeat(async (store, turn) => {
      // Far apart, so that no two turns share a page of the database by luck.
      const number = (turn * 7919) % count
      await store.packages.get(`${repositoryOf(number)}:build-${number}`)
    })
    break
  case 'commit':
    await repeat((store, turn) => seal(store, count + turn))
    break
  default:
    throw new Error(`unknown operation ${operation}`)
}

async function fill(): Promise<void> {
  const store = await createStore(directory)
  const measuring = startMeasuring()
  let next = 0
  const workers = Array.from({ length: SIDE_BY_SIDE }, async () => {
    while (next < count) await seal(store, next++)
  })
  await Promise.all(workers)
  await store.close()
  report(measuring.end())
}

async function repeat(step: (store: Store, turn: number) => Promise<void>): Promise<void> {
  await using store = await openStore(directory)
  for (let turn = 0; turn < WARM_UP; turn++) await step(store, turn)
  const measuring = startMeasuring()
  const times: number[] = []
  for (let turn = WARM_UP; turn < WARM_UP + REPEATS; turn++) {
    const start = performance.now()
    await step(store, turn)
    times.push(performance.now() - start)
  }
  report(measuring.end(), { times })
}

async function seal(store: Store, number: number): Promise<void> {
  const draft = await store.packages.open({ repository: repositoryOf(number), tags: [`build-${number}`] })
  await draft.put('result.txt', Buffer.from(`result ${number}`))
  await draft.finalize()
}

function repositoryOf(number: number): string {
  return `bench/part-${number % REPOSITORIES}`
}
