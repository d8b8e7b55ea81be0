/** How a figure grows with the size of what it is about: the exponent `e` of `value = c · size^e`. */

/** What was measured at one size. */
export interface GrowthPoint {
  readonly size: number
  readonly value: number
}

/** A fitted growth. */
export interface GrowthFit {
  /** Over all sizes: the slope of the line of least squares through the logarithms. 0 is flat, 1 linear, 2 quadratic. */
  readonly exponent: number
  /** Between the two largest sizes only, where fixed costs hide the least, and noise the most. */
  readonly lastStep: number
}

/**
 * Fits the growth of some points.
 * @throws RangeError unless there are at least two different sizes, and all sizes and values are positive
 */
export function fitGrowth(points: readonly GrowthPoint[]): GrowthFit {
  const logarithms = points.map(({ size, value }) => ({ x: positiveLog(size), y: positiveLog(value) })).toSorted((a, b) => a.x - b.x)
  return { exponent: slope(logarithms), lastStep: slope(logarithms.slice(-2)) }
}

/** The exponent that {@link fitGrowth} finds for `size · log size` at the same sizes, a little above 1. Sizes are larger than 1. */
export function linearithmicExponent(sizes: readonly number[]): number {
  return fitGrowth(sizes.map((size) => ({ size, value: size * Math.log(size) }))).exponent
}

/** The exponent that {@link fitGrowth} finds for `log size` at the same sizes, a little above 0: what a lookup in a tree costs. */
export function logarithmicExponent(sizes: readonly number[]): number {
  return fitGrowth(sizes.map((size) => ({ size, value: Math.log(size) }))).exponent
}

function slope(points: readonly { readonly x: number; readonly y: number }[]): number {
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / points.length
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / points.length
  const spread = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0)
  if (points.length < 2 || spread === 0) throw new RangeError('growth takes two different sizes')
  return points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / spread
}

function positiveLog(value: number): number {
  if (!(value > 0)) throw new RangeError(`there is no logarithm of ${value}`)
  return Math.log(value)
}
