/** How long single steps took within one measurement, in ms. */
export interface Waits {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** What one run of one operation cost. What cannot be known on this system is absent. */
export interface Measurement {
  /** What is compared: wall time of the operation, or the 99th percentile of what it waited for. */
  readonly milliseconds: number
  /** User and system time of all processes and threads. */
  readonly cpuMilliseconds?: number
  /** Largest resident memory of a single process of the operation. */
  readonly peakBytes?: number
  /** What was handed to the file system to be written, whether flushed or not. */
  readonly writtenBytes?: number
  /** By the name of the step. */
  readonly waits?: Readonly<Record<string, Waits>>
  /** Time between two turns of the event loop of the measured process, in ms. */
  readonly stalls?: Pick<Waits, 'p99' | 'max'>
}
