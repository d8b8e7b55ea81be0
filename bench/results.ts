import type { GrowthFit, GrowthPoint } from './growth.ts'
import type { MachineLimits } from './limits.ts'
import type { Machine } from './machine.ts'
import type { Measurement } from './measurement.ts'
import type { GrowthPlace, Operation } from './scenario.ts'

/** All runs of one contender in one row. */
export interface RowResult {
  /** Scenario and operation. */
  readonly row: string
  readonly operation: Operation
  /** What the scenario is about, in words. */
  readonly about: string
  readonly contender: string
  readonly flushes: boolean
  /** Files and bytes of the input. */
  readonly files: number
  readonly bytes: number
  /** Flushes that it asked the system for, counted in a run of its own. */
  readonly flushCalls?: number
  /** For rows that differ in size only. */
  readonly growth?: GrowthPlace
  /** In the order in which they happened. */
  readonly runs: readonly Measurement[]
}

/** How one figure of a contender grows with size. */
export interface Growth extends GrowthFit {
  /** Series and operation. */
  readonly row: string
  readonly contender: string
  readonly figure: 'time' | 'peak memory'
  /** Medians, smallest size first; ms or bytes. */
  readonly points: readonly (GrowthPoint & { readonly label: string })[]
  /** The exponent that it may have, where there is a goal. */
  readonly limit?: number
}

/** A goal held against a measurement. */
export interface Verdict {
  readonly row: string
  readonly contender: string
  readonly text: string
  readonly value: number
  readonly unit: string
  readonly met: boolean
}

/** What a run of the benchmark found out. */
export interface BenchResults {
  readonly machine: Machine
  /** One set for each time they were measured. */
  readonly limits: readonly MachineLimits[]
  readonly rows: readonly RowResult[]
  readonly growths: readonly Growth[]
  /** Versions of the programs that are not ours, a line each, and which are not on this machine. */
  readonly programs: readonly string[]
  readonly verdicts: readonly Verdict[]
  /** Runs that ended with an error, a line each. */
  readonly failures: readonly string[]
}
