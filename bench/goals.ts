import type { RowResult, Verdict } from './results.ts'
import { pairedRatio, summarize } from './statistics.ts'

/** What is aimed at. Goals are told beside the results; nothing fails because one is missed, as machines differ. */
export interface Goal {
  readonly row: string
  readonly contenders: readonly string[]
  readonly text: string
  /** @returns the value to hold against the limit, or undefined when it was not measured */
  readonly value: (ours: RowResult, row: readonly RowResult[]) => number | undefined
  readonly limit: number
  /** The value may not exceed the limit (`most`) or must reach it (`least`). */
  readonly kind: 'most' | 'least'
  readonly unit: string
}

const MIB = 1024 ** 2
const COMMAND = 'ours (command)'
const LIBRARY = 'ours (library)'
const BOTH = [COMMAND, LIBRARY]
const HTTP = 'ours (http)'

function timesAs(other: string): Goal['value'] {
  return (ours, row) => {
    const reference = row.find(({ contender }) => contender === other)
    return reference === undefined ? undefined : pairedRatio(times(ours), times(reference))
  }
}

function times({ runs }: RowResult): readonly number[] {
  return runs.map(({ milliseconds }) => milliseconds)
}

const medianTime: Goal['value'] = (ours) => summarize(times(ours)).median

/** The largest of all runs: memory has no bad luck. */
const peakMebibytes: Goal['value'] = ({ runs }) => {
  const peaks = runs.flatMap(({ peakBytes }) => (peakBytes === undefined ? [] : [peakBytes / MIB]))
  return peaks.length === 0 ? undefined : Math.max(...peaks)
}

const stall: Goal['value'] = ({ runs }) => {
  const stalls = runs.flatMap(({ stalls: found }) => (found === undefined ? [] : [found.p99]))
  return stalls.length === 0 ? undefined : summarize(stalls).median
}

/** How many times as fast as another one. */
function asFastAs(other: string): Goal['value'] {
  return (ours, row) => {
    const ratio = timesAs(other)(ours, row)
    return ratio === undefined ? undefined : 1 / ratio
  }
}

function speedGoal(row: string, other: string, limit: number, text: string, contender: string = HTTP): Goal {
  return { row, contenders: [contender], text, value: asFastAs(other), limit, kind: 'least', unit: '×' }
}

/** On every row that other programs know, the first time and the next. */
function fasterGoals(other: string): readonly Goal[] {
  return ['small', 'tree', 'large']
    .flatMap((scenario) => ['push', 'push again', 'pull'].map((operation) => `${scenario} ${operation}`))
    .map((row) => ({ row, contenders: BOTH, text: `faster than ${other}`, value: timesAs(other), limit: 1, kind: 'most', unit: '×' }))
}

function ratioGoal(row: string, limit: number): Goal {
  return { row, contenders: BOTH, text: `at most ${limit} × the floor`, value: timesAs('floor'), limit, kind: 'most', unit: '×' }
}

function memoryGoal(row: string): Goal {
  return { row, contenders: [COMMAND], text: 'peak memory at most 150 MiB', value: peakMebibytes, limit: 150, kind: 'most', unit: 'MiB' }
}

function startGoal(row: string): Goal {
  return { row, contenders: [COMMAND], text: 'at most 150 ms', value: medianTime, limit: 150, kind: 'most', unit: 'ms' }
}

function fairnessGoals(row: string): readonly Goal[] {
  const shared = { row, contenders: [LIBRARY], limit: 50, kind: 'most', unit: 'ms' } as const
  return [
    { ...shared, text: 'sealing waits at most 50 ms at p99', value: medianTime },
    { ...shared, text: 'the event loop stands still for at most 50 ms at p99', value: stall },
  ]
}

/** How many times as long a step takes beside something. */
const slowedBy: Goal['value'] = ({ runs }) => {
  const ratios = runs.flatMap(({ waits }) => {
    const [alone, beside] = [waits?.['alone'], waits?.['beside']]
    return alone === undefined || beside === undefined ? [] : [beside.p50 / alone.p50]
  })
  return ratios.length === 0 ? undefined : summarize(ratios).median
}

function collectionGoals(scenario: string): readonly Goal[] {
  return [
    { row: `${scenario} idle cycle`, contenders: [LIBRARY], text: 'at most 50 ms', value: medianTime, limit: 50, kind: 'most', unit: 'ms' },
    {
      row: `${scenario} commit beside collecting`,
      contenders: [LIBRARY],
      text: 'pushes are slowed by at most 10 %',
      value: slowedBy,
      limit: 1.1,
      kind: 'most',
      unit: '×',
    },
  ]
}

const goals: readonly Goal[] = [
  startGoal('start version'),
  startGoal('start list'),
  {
    row: 'small push',
    contenders: BOTH,
    text: 'at least 8 × as fast as the flushing copy',
    value: asFastAs('flushing copy'),
    limit: 8,
    kind: 'least',
    unit: '×',
  },
  ratioGoal('tree push', 1.5),
  ratioGoal('tree push again', 0.5),
  ratioGoal('large push', 1.3),
  ...['small push', 'tree push', 'tree push again', 'tree pull', 'large push', 'large pull'].map(memoryGoal),
  ...['fairness commit beside seals', 'fairness commit beside 100,000 puts', 'fairness commit beside 100,000 sealed'].flatMap(fairnessGoals),
  speedGoal('http large download', 'bare Node', 0.9, 'at least 0.9 × as fast as a bare Node server'),
  speedGoal('http small download by 16', 'bare Node', 0.6, 'at least 0.6 × as fast as a bare Node server'),
  speedGoal('http small download by 64', 'bare Node', 0.6, 'at least 0.6 × as fast as a bare Node server'),
  speedGoal('http large upload', LIBRARY, 0.7, 'at least 0.7 × as fast as the library'),
  speedGoal('http small keep', 'ours (a request a file)', 5, 'one request at least 5 × as fast as 2,000'),
  {
    row: 'http packages page at half load',
    contenders: [HTTP],
    text: 'a page takes at most 20 ms at p99',
    value: medianTime,
    limit: 20,
    kind: 'most',
    unit: 'ms',
  },
  speedGoal('packs rewrite', 'floor', 0.5, 'at least 0.5 × as fast as a plain copy', LIBRARY),
  ...['blobs 100,000', 'blobs 1,000,000'].flatMap(collectionGoals),
  { row: 'backup prune', contenders: [LIBRARY], text: 'faster than restic', value: timesAs('restic'), limit: 1, kind: 'most', unit: '×' },
  ...['restic', 'borg'].flatMap(fasterGoals),
]

/** Holds all goals against what was measured; those about something else are left out. */
export function judge(results: readonly RowResult[]): readonly Verdict[] {
  return goals.flatMap((goal) => {
    const row = results.filter(({ row: name }) => name === goal.row)
    return row.filter(({ contender }) => goal.contenders.includes(contender)).flatMap((ours) => verdicts(goal, ours, row))
  })
}

function verdicts(goal: Goal, ours: RowResult, row: readonly RowResult[]): readonly Verdict[] {
  const value = goal.value(ours, row)
  if (value === undefined) return []
  const met = goal.kind === 'most' ? value <= goal.limit : value >= goal.limit
  return [{ row: goal.row, contender: ours.contender, text: goal.text, value, unit: goal.unit, met }]
}
