import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CollectionRun } from './collection-work.ts'
import { UpkeepScheduler } from './scheduler.ts'

type Upkeep = ConstructorParameters<typeof UpkeepScheduler>[0]

/** An upkeep of which each run ends when the test says so. */
class Runs implements Upkeep {
  readonly begun: { readonly signal: AbortSignal | undefined; readonly end: () => void; readonly fail: (error: Error) => void }[] = []
  readonly #watchers: (() => void)[] = []

  runOnce(run: CollectionRun = {}): ReturnType<Upkeep['runOnce']> {
    const { promise, resolve, reject } = Promise.withResolvers<Awaited<ReturnType<Upkeep['runOnce']>>>()
    // What is in the report is nobody's business here.
    const report = {} as Awaited<ReturnType<Upkeep['runOnce']>>
    this.begun.push({ signal: run.signal, end: () => resolve(report), fail: reject })
    for (const watcher of this.#watchers.splice(0)) watcher()
    return promise
  }

  async count(wanted: number): Promise<void> {
    while (this.begun.length < wanted) await new Promise<void>((resolve) => this.#watchers.push(resolve))
  }
}

test('runs follow each other, one at a time, and one that fails is followed by another', async () => {
  const runs = new Runs()
  const [reports, failures]: [unknown[], unknown[]] = [[], []]
  const scheduler = new UpkeepScheduler(runs, { everyMs: 1, onReport: (report) => reports.push(report), onFailure: (error) => failures.push(error) })
  scheduler.start()
  scheduler.start()
  await runs.count(1)
  assert.equal(runs.begun.length, 1)
  runs.begun[0]?.end()
  await runs.count(2)
  runs.begun[1]?.fail(new Error('the backend is gone'))
  await runs.count(3)
  assert.deepEqual([reports.length, String(failures[0])], [1, 'Error: the backend is gone'])
  const stopped = scheduler.stop()
  assert.equal(runs.begun[2]?.signal?.aborted, true)
  runs.begun[2]?.fail(new Error('stopped on request'))
  await stopped
  assert.equal(failures.length, 1, 'being stopped is no failure')
  scheduler.start()
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(runs.begun.length, 3)
})
