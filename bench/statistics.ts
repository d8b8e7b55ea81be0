import type { Waits } from './measurement.ts'

/** What is told of repeated measurements. */
export interface Summary {
  readonly count: number
  readonly median: number
  readonly min: number
  readonly max: number
}

/**
 * The value below which a share of all values lies, linearly interpolated between neighbours (Hyndman and Fan 1996, definition 7).
 * @param share from 0 to 1
 * @throws RangeError when there are no values
 */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const position = (sorted.length - 1) * share
  const below = sorted[Math.floor(position)]
  const above = sorted[Math.ceil(position)]
  if (below === undefined || above === undefined) throw new RangeError('there is no quantile of nothing')
  return below + (above - below) * (position - Math.floor(position))
}

/** @throws RangeError when there are no values */
export function summarize(values: readonly number[]): Summary {
  return { count: values.length, median: quantile(values, 0.5), min: quantile(values, 0), max: quantile(values, 1) }
}

/** @throws RangeError when there are no values */
export function summarizeWaits(milliseconds: readonly number[]): Waits {
  return { count: milliseconds.length, p50: quantile(milliseconds, 0.5), p99: quantile(milliseconds, 0.99), max: quantile(milliseconds, 1) }
}

/**
 * How many times as much `a` is as `b`: the median of the ratios of runs that followed each other. A machine that slows down for a while slows
 * both runs of a pair, so this varies less than the ratio of medians does.
 * @throws RangeError when there is no pair
 */
export function pairedRatio(a: readonly number[], b: readonly number[]): number {
  const ratios: number[] = []
  for (const [index, value] of a.entries()) {
    const other = b[index]
    if (other !== undefined) ratios.push(value / other)
  }
  return quantile(ratios, 0.5)
}
