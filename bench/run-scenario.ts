import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import type { Contender } from './contender.ts'
import { countFlushes } from './flush-count.ts'
import type { Measurement } from './measurement.ts'
import type { RowResult } from './results.ts'
import type { Input, Operation, Scenario } from './scenario.ts'
import { rowName } from './scenario.ts'
import { alternate } from './schedule.ts'

/** What happens while a scenario runs. */
export interface ScenarioObserver {
  readonly measured: (contender: Contender, operation: Operation, run: number, measurement: Measurement) => void
  /** A contender could not do its work or did something else; the rest of this run of it is left out. */
  readonly failed: (contender: Contender, run: number, error: unknown) => void
}

/** What is to be run. */
export interface ScenarioRun {
  readonly scenario: Scenario
  readonly input: Input
  readonly contenders: readonly Contender[]
  /** The operations that are reported; what must come before them runs, too. */
  readonly wanted: ReadonlySet<Operation>
  readonly runs: number
  /** Where contenders may work. */
  readonly folder: string
  /** Each contender runs once more, without being measured, to count its flushes. */
  readonly countsFlushes: boolean
  readonly observer: ScenarioObserver
}

/** Lets the contenders take turns, each time from the beginning in an empty folder, and verifies what they did. */
export async function runScenario(plan: ScenarioRun): Promise<readonly RowResult[]> {
  const { scenario, wanted, observer } = plan
  const last = scenario.operations.findLastIndex((operation) => wanted.has(operation))
  const operations = scenario.operations.slice(0, last + 1)
  const able = plan.contenders.filter(
    (contender) =>
      scenario.contenders?.includes(contender.name) !== false &&
      operations.some((operation) => wanted.has(operation) && contender.operations[operation] !== undefined),
  )
  const measured = new Map(able.map((contender) => [contender, new Map<Operation, Measurement[]>()]))
  for (const { run, contender } of alternate(able, plan.runs)) {
    const folder = attemptFolder(plan, contender, run)
    try {
      for await (const { operation, measurement } of runAttempt(contender, plan.input, operations, folder)) {
        if (!wanted.has(operation)) continue
        measured
          .get(contender)
          ?.getOrInsertComputed(operation, () => [])
          .push(measurement)
        observer.measured(contender, operation, run, measurement)
      }
    } catch (error) {
      observer.failed(contender, run, error)
    }
    emptyFiles(folder)
  }
  const flushes = plan.countsFlushes ? await countAllFlushes(plan, able, operations) : new Map<Contender, FlushCounts>()
  return operations.flatMap((operation) =>
    able.flatMap((contender) => result(plan, operation, contender, measured.get(contender)?.get(operation), flushes.get(contender)?.get(operation))),
  )
}

type FlushCounts = ReadonlyMap<Operation, number>

async function countAllFlushes(
  plan: ScenarioRun,
  contenders: readonly Contender[],
  operations: readonly Operation[],
): Promise<ReadonlyMap<Contender, FlushCounts>> {
  const counts = new Map<Contender, FlushCounts>()
  for (const contender of contenders) {
    const folder = attemptFolder(plan, contender, 'flushes')
    const counted = new Map<Operation, number>()
    counts.set(contender, counted)
    try {
      const attempt = await contender.prepare(plan.input, folder)
      try {
        // What a server flushes is not seen from here.
        for (const operation of attempt.end === undefined ? operations : []) {
          if (contender.operations[operation] === undefined) continue
          const count = await countFlushes(folder, () => attempt.run(operation))
          if (count !== undefined) counted.set(operation, count)
        }
      } finally {
        await attempt.end?.()
      }
    } catch (error) {
      plan.observer.failed(contender, plan.runs, error)
    }
    emptyFiles(folder)
  }
  return counts
}

function attemptFolder({ folder, scenario }: ScenarioRun, contender: Contender, purpose: string | number): string {
  return mkdtempSync(join(folder, `${scenario.name}-${purpose}-${contender.name}-`.replaceAll(/[^\w-]+/g, '-')))
}

async function* runAttempt(
  contender: Contender,
  input: Input,
  operations: readonly Operation[],
  folder: string,
): AsyncGenerator<{ readonly operation: Operation; readonly measurement: Measurement }, void, undefined> {
  const attempt = await contender.prepare(input, folder)
  try {
    for (const operation of operations) {
      if (contender.operations[operation] === undefined) continue
      flushEverything()
      const measurement = await attempt.run(operation)
      await attempt.verify(operation)
      yield { operation, measurement }
    }
  } finally {
    await attempt.end?.()
  }
}

function result(
  { scenario, input }: ScenarioRun,
  operation: Operation,
  contender: Contender,
  runs: readonly Measurement[] | undefined,
  flushCalls: number | undefined,
): RowResult[] {
  const facts = contender.operations[operation]
  if (facts === undefined || runs === undefined) return []
  const { about, growth } = scenario
  const { files, bytes } = input
  return [
    {
      row: rowName(scenario, operation),
      operation,
      about,
      contender: contender.name,
      flushes: facts.flushes,
      files,
      bytes,
      ...(flushCalls !== undefined && { flushCalls }),
      ...(growth !== undefined && { growth }),
      runs,
    },
  ]
}

/** Gives the space back, and no more: see work-folder.ts. */
function emptyFiles(folder: string): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) truncateSync(join(entry.parentPath, entry.name))
  }
}

/** So that nobody pays for what the one before left unwritten. */
function flushEverything(): void {
  const { status } = spawnSync('sync')
  if (status !== 0) throw new Error('sync failed')
}
