import type { MachineLimits } from './limits.ts'
import { bestLimits } from './limits.ts'
import type { Machine } from './machine.ts'
import type { BenchResults, Growth, RowResult, Verdict } from './results.ts'
import { pairedRatio, quantile, summarize } from './statistics.ts'

/** Cells of text; the first line is the head. */
export interface Table {
  readonly lines: readonly (readonly string[])[]
  /** Columns that hold numbers. */
  readonly rightFrom: number
}

const MIB = 1024 ** 2
const GIB = 1024 ** 3

/** The machine and its limits, a line each. */
export function machineTable({ machine, limits, programs }: BenchResults): Table {
  return {
    lines: [['machine', ''], ...machineLines(machine), ...programs.map((line) => ['program', line]), ...limitLines(limits)],
    rightFrom: Number.POSITIVE_INFINITY,
  }
}

/** A line for each contender of each row. */
export function rowTable({ rows, limits }: BenchResults): Table {
  const limit = bestLimits(limits)
  const head = ['row', 'contender', 'durable', 'median', 'min – max', '× floor', 'CPU', 'peak memory', 'written', 'flushes', 'of the limit', 'runs']
  const lines = rows.map((result) => rowLine(result, rows, limit))
  return { lines: [head, ...lines], rightFrom: 3 }
}

/** What was waited for, step by step, in the rows that are about waiting; no lines where there are none. */
export function waitTable({ rows }: BenchResults): Table {
  const head = ['row', 'contender', 'step', 'p50', 'p99', 'longest', 'times']
  const lines = rows.flatMap(({ row, contender, runs }) => {
    const steps = Object.keys(runs[0]?.waits ?? {}).map((step) => {
      const waits = runs.flatMap((run) => run.waits?.[step] ?? [])
      const count = waits.reduce((sum, wait) => sum + wait.count, 0)
      return [
        row,
        contender,
        step,
        median(waits.map(({ p50 }) => p50)),
        median(waits.map(({ p99 }) => p99)),
        longest(waits.map(({ max }) => max)),
        String(count),
      ]
    })
    const stalls = runs.flatMap((run) => run.stalls ?? [])
    if (stalls.length > 0)
      steps.push([row, contender, 'turn of the event loop', '', median(stalls.map(({ p99 }) => p99)), longest(stalls.map(({ max }) => max)), ''])
    return steps
  })
  return { lines: [head, ...lines], rightFrom: 3 }
}

/** How figures grow with size: fitted exponents, and what the goals allow. */
export function growthTable(growths: readonly Growth[]): Table {
  const lines = growths.map(({ row, contender, figure, points, exponent, lastStep, limit }) => [
    row,
    contender,
    figure,
    points.map(({ label, value }) => `${label}: ${figure === 'time' ? formatMilliseconds(value) : `${(value / MIB).toFixed(0)} MiB`}`).join(', '),
    exponent.toFixed(2),
    lastStep.toFixed(2),
    limit === undefined ? '' : limit.toFixed(2),
  ])
  return { lines: [['row', 'contender', 'figure', 'measured', 'exponent', 'last step', 'allowed'], ...lines], rightFrom: 4 }
}

/** The goals, and whether they were reached here. */
export function goalTable(verdicts: readonly Verdict[]): Table {
  const lines = verdicts.map(({ row, contender, text, value, unit, met }) => [
    row,
    contender,
    text,
    `${formatNumber(value)} ${unit}`.trimEnd(),
    met ? 'pass' : 'fail',
  ])
  return { lines: [['row', 'contender', 'goal', 'measured', ''], ...lines], rightFrom: Number.POSITIVE_INFINITY }
}

/** For a terminal. */
export function renderText({ lines, rightFrom }: Table): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => (column < rightFrom ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** For a document. */
export function renderMarkdown({ lines, rightFrom }: Table): string {
  const [head = [], ...rest] = lines
  const rule = head.map((_, column) => (column < rightFrom ? '---' : '---:'))
  return [head, rule, ...rest].map((line) => `| ${line.join(' | ')} |`).join('\n')
}

/** Three digits that say something: `1.23 s`, `45.6 ms`. */
export function formatMilliseconds(milliseconds: number): string {
  return milliseconds >= 1000 ? `${formatNumber(milliseconds / 1000)} s` : `${formatNumber(milliseconds)} ms`
}

function rowLine(result: RowResult, rows: readonly RowResult[], limit: MachineLimits): readonly string[] {
  const { row, contender, flushes, flushCalls, runs } = result
  const times = runs.map(({ milliseconds }) => milliseconds)
  const { count, median: middle, min, max } = summarize(times)
  const floor = rows.find((other) => other.row === row && other.contender === 'floor')
  const cpu = medianOf(runs.map(({ cpuMilliseconds }) => cpuMilliseconds))
  const peak = medianOf(runs.map(({ peakBytes }) => peakBytes))
  const written = medianOf(runs.map(({ writtenBytes }) => writtenBytes))
  const bound = boundMilliseconds(result, written, limit)
  return [
    row,
    contender,
    flushes ? 'yes' : 'no',
    formatMilliseconds(middle),
    `${formatMilliseconds(min)} – ${formatMilliseconds(max)}`,
    floor === undefined
      ? ''
      : formatNumber(
          pairedRatio(
            times,
            floor.runs.map(({ milliseconds }) => milliseconds),
          ),
        ),
    cpu === undefined ? '' : formatMilliseconds(cpu),
    peak === undefined ? '' : `${(peak / MIB).toFixed(0)} MiB`,
    written === undefined ? '' : `${(written / MIB).toFixed(1)} MiB`,
    flushCalls === undefined ? '' : String(flushCalls),
    bound === undefined ? '' : `${((100 * bound) / middle).toFixed(0)} %`,
    String(count),
  ]
}

/**
 * The least time in which the machine could do it: every byte is hashed on one core, what is written is written and flushed once, side by side.
 * Undefined for what is not bound by bytes.
 */
function boundMilliseconds({ operation, bytes }: RowResult, written: number | undefined, limit: MachineLimits): number | undefined {
  if (operation !== 'push' && operation !== 'pull') return undefined
  const hashing = (1000 * bytes) / limit.hashBytesPerSecond
  if (operation === 'pull' || written === undefined) return hashing
  return Math.max(hashing, (1000 * written) / limit.writeBytesPerSecond + limit.flushMilliseconds)
}

function median(milliseconds: readonly number[]): string {
  return formatMilliseconds(quantile(milliseconds, 0.5))
}

function longest(milliseconds: readonly number[]): string {
  return formatMilliseconds(Math.max(...milliseconds))
}

function medianOf(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 ? undefined : quantile(known, 0.5)
}

function machineLines({ date, system, processor, cores, memoryBytes, fileSystem, node, load }: Machine): readonly (readonly string[])[] {
  return [
    ['date', date],
    ['system', `${system}, ${fileSystem}, Node ${node}`],
    ['processor', `${cores} × ${processor}, ${(memoryBytes / GIB).toFixed(0)} GiB of memory`],
    ['load before', load.toFixed(2)],
  ]
}

function limitLines(limits: readonly MachineLimits[]): readonly (readonly string[])[] {
  const line = (name: string, value: (limit: MachineLimits) => number, unit: string): readonly string[] => {
    const { median: middle, min, max } = summarize(limits.map(value))
    return [name, `${formatNumber(middle)} ${unit} (${formatNumber(min)} – ${formatNumber(max)})`]
  }
  return [
    line('SHA-256 on one core', ({ hashBytesPerSecond }) => hashBytesPerSecond / MIB, 'MiB/s'),
    line('flushed sequential write', ({ writeBytesPerSecond }) => writeBytesPerSecond / MIB, 'MiB/s'),
    line('flush of 4 KiB', ({ flushMilliseconds }) => flushMilliseconds, 'ms'),
  ]
}

function formatNumber(value: number): string {
  if (value >= 100) return value.toFixed(0)
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
