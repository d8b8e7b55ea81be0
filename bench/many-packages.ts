import { numbersField } from './json-fields.ts'
import type { Measurement } from './measurement.ts'
import type { Input } from './scenario.ts'
import { runSelfMeasured } from './self-measured.ts'
import { summarizeWaits } from './statistics.ts'

/** What is measured in a store of many packages: making them all, a page of the listing, a lookup by tag, sealing one more. */
export type ManyPackagesOperation = 'fill' | 'page' | 'lookup' | 'commit'

/** Ten times what a package takes on a busy machine. */
const DEADLINE_MS_PER_PACKAGE = 50
const DEADLINE_MS = 180_000

/** Measures one of them in a process of its own; all but `fill` repeat the step and tell what one costs, the median for its time. */
export async function measureManyPackages(
  operation: ManyPackagesOperation,
  store: string,
  { packages = 0 }: Input,
  scratch: string,
): Promise<Measurement> {
  const deadlineMs = DEADLINE_MS + packages * DEADLINE_MS_PER_PACKAGE
  const { measurement, fields } = await runSelfMeasured('many-packages.ts', [operation, store, String(packages)], scratch, { deadlineMs })
  if (operation === 'fill') return measurement
  const { cpuMilliseconds, peakBytes, writtenBytes } = measurement
  const wait = summarizeWaits(numbersField(fields, 'times'))
  return {
    milliseconds: wait.p50,
    waits: { [operation]: wait },
    ...(cpuMilliseconds !== undefined && { cpuMilliseconds: cpuMilliseconds / wait.count }),
    ...(peakBytes !== undefined && { peakBytes }),
    ...(writtenBytes !== undefined && { writtenBytes: writtenBytes / wait.count }),
  }
}
