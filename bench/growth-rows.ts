import { fitGrowth, linearithmicExponent, logarithmicExponent } from './growth.ts'
import type { Measurement } from './measurement.ts'
import type { Growth, RowResult, Verdict } from './results.ts'
import type { Operation } from './scenario.ts'
import { quantile } from './statistics.ts'

/** What a step must not do however much is in the store: cost more than a lookup in a tree does. */
const FLAT: ReadonlySet<Operation> = new Set<Operation>(['page', 'lookup', 'commit'])

/** Fits the growth of the time of rows that differ in size only, and of the peak memory where the whole is one operation. */
export function growthsOf(rows: readonly RowResult[]): readonly Growth[] {
  const groups = Map.groupBy(
    rows.filter(({ growth }) => growth !== undefined),
    ({ growth, operation, contender }) => `${growth?.series ?? ''} ${operation}, ${contender}`,
  )
  return [...groups.values()].flatMap((group) => [
    ...growthOf(group, 'time', ({ milliseconds }) => milliseconds),
    ...growthOf(group, 'peak memory', ({ peakBytes }) => peakBytes),
  ])
}

/** Holds growth against the goals: nothing grows faster than `n log n`; listing, lookup and commit no faster than `log n`. */
export function judgeGrowths(growths: readonly Growth[]): readonly Verdict[] {
  return growths.flatMap(({ row, contender, exponent, limit }) =>
    limit === undefined
      ? []
      : [{ row, contender, text: `grows with an exponent of at most ${limit.toFixed(2)}`, value: exponent, unit: '', met: exponent <= limit }],
  )
}

function growthOf(group: readonly RowResult[], figure: Growth['figure'], valueOf: (run: Measurement) => number | undefined): readonly Growth[] {
  const [first] = group
  const points = group.flatMap(({ growth, runs }) => {
    const values = runs.map(valueOf).filter((value) => value !== undefined)
    return growth === undefined || values.length === 0 ? [] : [{ size: growth.size, label: growth.label, value: quantile(values, 0.5) }]
  })
  if (first?.growth === undefined || points.length < 2) return []
  const sizes = points.map(({ size }) => size)
  const limit = FLAT.has(first.operation) ? logarithmicExponent(sizes) : linearithmicExponent(sizes)
  return [
    {
      row: `${first.growth.series} ${first.operation}`,
      contender: first.contender,
      figure,
      points,
      ...fitGrowth(points),
      // Memory is bounded by goals of its own.
      ...(figure === 'time' && { limit }),
    },
  ]
}
