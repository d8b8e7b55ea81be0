/**
 * The process that keeps a store busy: `busy-writer.ts STORE seals|files`; makes the store if there is none. `seals` pushes and seals small packages
 * without pause until it is told to end; `files` puts 100,000 tiny files into one package, waits for "seal", and seals it. Says over IPC where it
 * is.
 */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import type { PutItem } from '../../src/store/interface.ts'
import { createStore, openStore } from '../../src/store/open.ts'

const FILES = 100_000
const [directory = '', kind] = process.argv.slice(2)
const messages = new Set<unknown>()
process.on('message', (message) => messages.add(message))
// Without the benchmark there is nobody to tell it to end.
const orphaned = (): never => process.exit(1)
process.on('disconnect', orphaned)

const store = await (existsSync(directory) ? openStore(directory) : createStore(directory))
if (kind === 'seals') await sealSmallPackages()
else await sealManyFiles()
await store.close()
process.off('disconnect', orphaned)
process.disconnect?.()

async function sealSmallPackages(): Promise<void> {
  for (let count = 0; !messages.has('end'); count++) {
    const draft = await store.packages.open({ repository: 'bench/busy' })
    await draft.put('result.txt', Buffer.from(`busy ${process.pid} ${count}`))
    await draft.finalize()
    if (count === 20) process.send?.('busy')
  }
}

async function sealManyFiles(): Promise<void> {
  const draft = await store.packages.open({ repository: 'bench/busy' })
  process.send?.('putting')
  for await (const outcomes of draft.putMany(tinyFiles())) {
    for (const outcome of outcomes) if ('error' in outcome) throw outcome.error
  }
  process.send?.('put')
  while (!messages.has('seal')) await once(process, 'message')
  const { fileCount } = await draft.finalize()
  if (fileCount !== FILES) throw new Error(`sealed ${fileCount} files, not ${FILES}`)
  process.send?.('sealed')
}

function* tinyFiles(): Generator<PutItem, void, undefined> {
  for (let file = 0; file < FILES; file++) {
    yield { kind: 'file', path: `part-${Math.floor(file / 1000)}/file-${file}.txt`, source: Buffer.from(`${process.pid} ${file}`) }
  }
}
