import { numberField, numbersField } from './json-fields.ts'
import type { Measurement } from './measurement.ts'
import type { Input } from './scenario.ts'
import { runSelfMeasured } from './self-measured.ts'
import { summarizeWaits } from './statistics.ts'

/** What is measured of collection in a store of many blobs, in this order. */
export type CollectionOperation = 'fill blobs' | 'idle cycle' | 'commit beside collecting' | 'collect a tenth'

const DEADLINE_MS = 180_000
/** Ten times what a blob takes on a busy machine. */
const DEADLINE_MS_PER_BLOB = 2

/**
 * Measures one of them in a process of its own. The time of `idle cycle` is that of one, of `collect a tenth` that of one blob; of `commit beside
 * collecting` it is the median wait, and how long the same took with nothing beside it is told, too.
 */
export async function measureCollection(operation: CollectionOperation, store: string, { blobs = 0 }: Input, scratch: string): Promise<Measurement> {
  const deadlineMs = DEADLINE_MS + blobs * DEADLINE_MS_PER_BLOB
  const run = (...args: string[]): ReturnType<typeof runSelfMeasured> => runSelfMeasured('collection.ts', args, scratch, { deadlineMs })
  switch (operation) {
    case 'fill blobs':
      return (await run('fill', store, String(blobs))).measurement
    case 'idle cycle': {
      const { measurement, fields } = await run('idle', store)
      const wait = summarizeWaits(numbersField(fields, 'times'))
      return { ...measurement, milliseconds: wait.p50, waits: { 'idle cycle': wait } }
    }
    case 'commit beside collecting': {
      const { measurement, fields } = await run('beside', store)
      const [alone, beside] = [summarizeWaits(numbersField(fields, 'alone')), summarizeWaits(numbersField(fields, 'beside'))]
      return { ...measurement, milliseconds: beside.p50, waits: { alone, beside } }
    }
    case 'collect a tenth': {
      const { measurement, fields } = await run('collect', store)
      return { ...measurement, milliseconds: measurement.milliseconds / Math.max(1, numberField(fields, 'condemned')) }
    }
  }
}
