import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { openMemoryBackend } from '../adapters/backend-memory/backend-memory.ts'
import { storeSuite } from '../testing/store-suite.ts'
import { createStore } from './open.ts'

const folders: string[] = []
async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'store-'))
  folders.push(folder)
  return join(folder, 'data')
}
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))))

storeSuite('the embedded store on the file system', { open: async () => createStore(await newFolder()) })
storeSuite('the embedded store on memory', { open: async () => createStore(await newFolder(), { backend: openMemoryBackend() }) })
