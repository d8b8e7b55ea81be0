import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { openMemoryBackend } from '../adapters/backend-memory/backend-memory.ts'
import { MovableClock } from '../testing/movable-clock.ts'
import { storeSuite } from '../testing/store-suite.ts'
import type { EmbeddedStore } from './embedded-store.ts'
import { createStore } from './open.ts'

const folders: string[] = []
async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'store-'))
  folders.push(folder)
  return join(folder, 'data')
}
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))))

const DAY_MS = 86_400_000
const clock = new MovableClock(new Date().toISOString())
let movable: EmbeddedStore | undefined

storeSuite('the embedded store on the file system', {
  open: async () => (movable = await createStore(await newFolder(), { clock })),
  pass: async (days) => {
    for (let day = 0; day < days; day += 1) {
      clock.advance(DAY_MS)
      await movable?.sweep({ grace: DAY_MS })
    }
  },
})
storeSuite('the embedded store on memory', { open: async () => createStore(await newFolder(), { backend: openMemoryBackend() }) })
