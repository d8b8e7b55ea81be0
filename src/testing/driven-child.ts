import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { StoreError } from '../core/errors.ts'
import type { Draft } from '../store/interface.ts'
import { openStore } from '../store/open.ts'

/**
 * A process that does one thing for each line on standard input and answers with a line: `put PATH` puts a file that contains its own path into the
 * open package, `finalize` seals it and says its id. It ends with its input. Argument: directory of the store.
 */
const store = await openStore(process.argv[2] ?? '', { actor: 'os:driven' })
let draft: Draft = await store.packages.open({ repository: 'driven' })
for await (const line of createInterface({ input: process.stdin })) {
  let answer: string
  try {
    answer = await act(line)
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    answer = `${error.code} ${error.retryable ? 'retryable' : 'final'}`
  }
  writeSync(1, `${answer}\n`)
}
await store.close()

async function act(line: string): Promise<string> {
  const [verb, path = ''] = line.split(' ')
  if (verb === 'put') return (await draft.put(path, Buffer.from(path))).digest
  const { id } = await draft.finalize()
  draft = await store.packages.open({ repository: 'driven' })
  return id
}
