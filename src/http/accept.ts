/**
 * Which of the media types that can be sent the client likes best (RFC 9110, section 12.5.1): the most specific range that fits a type gives its
 * weight; of equal ones the first offered.
 * @param header `Accept` as it arrived; none, or one that accepts nothing that is offered, takes the first
 */
export function preferredType<const Type extends string>(header: string | undefined, offered: readonly [Type, ...Type[]]): Type {
  let [best] = offered
  if (header === undefined) return best
  const ranges = header.toLowerCase().split(',').map(parseRange)
  let bestWeight = 0
  for (const type of offered) {
    const weight = weightOf(type, ranges)
    if (weight <= bestWeight) continue
    best = type
    bestWeight = weight
  }
  return best
}

interface MediaRange {
  readonly range: string
  readonly weight: number
}

function parseRange(text: string): MediaRange {
  const [range = '', ...parameters] = text.split(';').map((part) => part.trim())
  const quality = parameters.find((parameter) => parameter.startsWith('q='))
  const weight = quality === undefined ? 1 : Number(quality.slice(2))
  return { range, weight: weight >= 0 && weight <= 1 ? weight : 0 }
}

function weightOf(type: string, ranges: readonly MediaRange[]): number {
  const [group = ''] = type.split('/')
  for (const wanted of [type, `${group}/*`, '*/*']) {
    const found = ranges.find(({ range }) => range === wanted)
    if (found !== undefined) return found.weight
  }
  return 0
}
