import { writeSync } from 'node:fs'
import { StoreError } from '../core/errors.ts'
import { openStore } from '../store/open.ts'
import { crashContent } from './crash-content.ts'

/**
 * A process that pushes packages until it is told to stop (SIGTERM) or is killed, and says a line for each on standard output, see `pusher.ts`. What
 * fails with an error that says so is tried again, as a client would. Arguments: directory of the store, first seed.
 */
const [directory = '', first = '0'] = process.argv.slice(2)
let stopping = false
process.once('SIGTERM', () => (stopping = true))
const say = (line: unknown): void => {
  writeSync(1, `${JSON.stringify(line)}\n`)
}

const store = await openStore(directory, { actor: 'os:pusher' })
for (let seed = Number(first); !stopping;) {
  try {
    const started = performance.now()
    const draft = await store.packages.open({ repository: `pushed/r${seed % 3}`, runId: `run-${seed}` })
    const files: Record<string, number> = {}
    if (draft.status === 'open') {
      await Promise.all(
        Array.from({ length: 1 + (seed % 12) }, (_, index) => {
          // Contents repeat across packages, so that deduplication against what other processes write is met.
          const content = (seed * 7 + index) % 40
          files[`d${index % 3}/f${index}`] = content
          return draft.put(`d${index % 3}/f${index}`, crashContent(content))
        }),
      )
    }
    const { id, manifestDigest } = await draft.finalize()
    say({ id, manifestDigest, files, ms: Math.round(performance.now() - started) })
    seed += 1
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    say({ failed: error.code, retryable: error.retryable, message: error.message })
    if (!error.retryable) process.exit(1)
  }
}
await store.close()
