/** How a measured program tells what its work cost, without its start. */
import { processUsage } from '../process-usage.ts'
import type { Measurement } from '../measurement.ts'

/** `began` and `ended`: microseconds of the clock that CPU profiles use, too. */
type SelfMeasurement = Measurement & { readonly began: number; readonly ended: number }

/** Begins a measurement. */
export function startMeasuring(): { readonly end: () => SelfMeasurement } {
  const [cpu, start, began] = [process.cpuUsage(), performance.now(), monotonicMicroseconds()]
  const written = processUsage('self').writtenBytes
  return {
    end: () => {
      const milliseconds = performance.now() - start
      const { user, system } = process.cpuUsage(cpu)
      const { peakBytes, writtenBytes } = processUsage('self')
      return {
        milliseconds,
        began,
        ended: monotonicMicroseconds(),
        cpuMilliseconds: (user + system) / 1000,
        ...(peakBytes !== undefined && { peakBytes }),
        ...(written !== undefined && writtenBytes !== undefined && { writtenBytes: writtenBytes - written }),
      }
    },
  }
}

/** Prints the result, and what else is to be told, as the one line that the benchmark reads. */
export function report(result: Measurement, others: Readonly<Record<string, unknown>> = {}): void {
  process.stdout.write(`${JSON.stringify({ ...result, ...others })}\n`)
}

function monotonicMicroseconds(): number {
  return Number(process.hrtime.bigint() / 1000n)
}
