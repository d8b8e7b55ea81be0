import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { openStore } from '../store/open.ts'

/**
 * A process that says `ready` on standard output, reads until it is told to stop (SIGTERM), and then says how many packages it read or verified. It fails when
 * anything is not as it should be. Arguments: directory of the store, `read` or `verify`.
 */
const [directory = '', mode = 'read'] = process.argv.slice(2)
let stopping = false
process.once('SIGTERM', () => (stopping = true))

const store = await openStore(directory, { actor: 'os:reader' })
let count = 0
writeSync(1, 'ready\n')
while (!stopping) {
  if (mode === 'verify') await verifyAll()
  else await readPage()
}
await store.close()
writeSync(1, `${count}\n`)

/** A page of the packages, one half of them new ones. */
async function readPage(): Promise<void> {
  const newest = await store.packages.search({ repository: 'pushed' }, { limit: 5 })
  const { items } =
    Math.random() < 0.5 || newest.next === undefined
      ? newest
      : await store.packages.search({ repository: 'pushed' }, { limit: 5, after: newest.next })
  for (const { id, fileCount } of items) {
    let files = 0
    for await (const read of store.files.readMany(id)) {
      if ('error' in read) throw read.error
      const hash = createHash('sha256')
      if ('bytes' in read) hash.update(read.bytes)
      else for await (const piece of read.stream) hash.update(piece)
      const digest = `sha256:${hash.digest('hex')}`
      if (digest !== read.file.digest) throw new Error(`${id} ${read.file.path} has ${digest} instead of ${read.file.digest}`)
      files += 1
    }
    if (files !== fileCount) throw new Error(`${id} has ${files} files instead of ${fileCount}`)
    count += 1
  }
}

async function verifyAll(): Promise<void> {
  for await (const { packageId, path, problem } of store.packages.verify('all')) {
    if (problem !== undefined) throw new Error(`${packageId} ${path ?? 'document'}`, { cause: problem })
    if (path === undefined) count += 1
    if (stopping) return
  }
}
