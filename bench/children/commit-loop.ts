/**
 * The process that waits: seals small packages one after the other, with a short pause after each, and notes how long every step took and for how
 * long its event loop stood still. `commit-loop.ts STORE`; told over IPC when to count ("count") and when to end ("end").
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStore } from '../../src/store/open.ts'
import { report, startMeasuring } from './self-report.ts'

/** As a client has that does something else, too; without it this process would be as busy as the other. */
const PAUSE_MS = 5

const steps: Record<'open' | 'put' | 'finalize', number[]> = { open: [], put: [], finalize: [] }
// Reports the time between two turns, of which a millisecond is its own.
const delay = monitorEventLoopDelay({ resolution: 1 })
let isCounting = false
let hasEnded = false

process.on('message', (message) => {
  if (message === 'end') hasEnded = true
  if (message !== 'count') return
  isCounting = true
  delay.enable()
})

// Without the benchmark there is nobody to tell it to end.
const orphaned = (): never => process.exit(1)
process.on('disconnect', orphaned)

async function timed<T>(step: keyof typeof steps, work: () => Promise<T>): Promise<T> {
  const [wasCounting, start] = [isCounting, performance.now()]
  const result = await work()
  if (wasCounting) steps[step].push(performance.now() - start)
  return result
}

const [directory = ''] = process.argv.slice(2)
const measuring = startMeasuring()
const store = await openStore(directory)
for (let count = 0; !hasEnded; count++) {
  const draft = await timed('open', () => store.packages.open({ repository: 'bench/waiting' }))
  await timed('put', () => draft.put('result.txt', Buffer.from(`${process.pid} ${count}`)))
  await timed('finalize', () => draft.finalize())
  if (count === 20) process.send?.('warm')
  await sleep(PAUSE_MS)
}
delay.disable()
const stalls = { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 }
await store.close()
report(measuring.end(), { ...steps, stalls })
process.off('disconnect', orphaned)
process.disconnect?.()
