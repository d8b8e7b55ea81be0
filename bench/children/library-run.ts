/**
 * One operation of the library in a process that has it loaded: `library-run.ts [--no-flush] create|push|pull STORE [CACHE FOLDER [REF]]`. Measured is the work
 * from opening the store to closing it; loading the code is not.
 */
import { parseArgs } from 'node:util'
import { openFileSystemBackend } from '../../src/adapters/backend-fs/backend-fs.ts'
import type { Store } from '../../src/store/interface.ts'
import { createStore, openStore } from '../../src/store/open.ts'
import { pullTree } from '../../src/store/pull-tree.ts'
import { pushTree } from '../../src/store/push-tree.ts'
import { storeFiles } from '../../src/store/store-files.ts'
import { report, startMeasuring } from './self-report.ts'

const { values: flags, positionals } = parseArgs({ allowPositionals: true, options: { 'no-flush': { type: 'boolean' } } })
const [operation, directory = '', cacheDir = '', folder = '', ref = ''] = positionals

async function push(directory: string, cacheDir: string, folder: string): Promise<Record<string, unknown>> {
  await using store = await open(directory)
  const draft = await store.packages.open({ repository: 'bench/input' })
  await pushTree(draft, folder, { cacheDir })
  return { ...(await draft.finalize()) }
}

async function pull(directory: string, folder: string, ref: string): Promise<void> {
  await using store = await open(directory)
  await pullTree(store, ref, folder)
}

/** SQLite flushes in any case. */
async function open(directory: string): Promise<Store> {
  if (flags['no-flush'] !== true) return openStore(directory)
  return openStore(directory, { backend: await openFileSystemBackend(storeFiles(directory).objects, { flush: false }) })
}

const measuring = startMeasuring()
switch (operation) {
  case 'create':
    await (await createStore(directory)).close()
    report(measuring.end())
    break
  case 'push': {
    const receipt = await push(directory, cacheDir, folder)
    report(measuring.end(), receipt)
    break
  }
  case 'pull':
    await pull(directory, folder, ref)
    report(measuring.end())
    break
  default:
    throw new Error(`unknown operation ${operation}`)
}
