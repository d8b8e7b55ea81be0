import { formatMilliseconds } from './report-table.ts'
import type { Growth, RowResult } from './results.ts'
import { summarize } from './statistics.ts'

const WIDTH = 760
const LABEL = 150
const VALUE = 90
const BAR = 16
const GAP = 5
const TITLE = 30
const PADDING = 16
const PLOT = 200

/** One colour a contender, readable on white and on dark grounds and told apart without colour vision (Okabe and Ito 2008). */
const COLOURS = ['#0072b2', '#56b4e9', '#e69f00', '#999999', '#009e73', '#d55e00', '#cc79a7']

/**
 * Bars of the median time for each row, with the range of all runs as a line; rows have a scale of their own. Below, how times grow with size, on
 * scales of logarithms. An SVG document.
 */
export function drawChart(all: readonly RowResult[], growths: readonly Growth[]): string {
  const results = all.filter(({ growth }) => growth === undefined)
  const rows = Map.groupBy(results, ({ row }) => row)
  const colours = new Map(
    [...new Set(results.map(({ contender }) => contender))].map((contender, index) => [contender, COLOURS[index % COLOURS.length]]),
  )
  const parts: string[] = []
  let y = PADDING
  for (const [row, contenders] of rows) {
    parts.push(`<text x="${PADDING}" y="${y + 14}" class="title">${escape(row)}</text>`)
    y += TITLE
    const longest = Math.max(...contenders.flatMap(({ runs }) => runs.map(({ milliseconds }) => milliseconds)))
    for (const result of contenders) {
      parts.push(bar(result, y, longest, colours.get(result.contender) ?? ''))
      y += BAR + GAP
    }
    y += PADDING
  }
  parts.push(`<text x="${PADDING}" y="${y + 4}">median time; the line spans all runs; * not flushed when it says that it is done</text>`)
  y += 2 * PADDING
  for (const series of Map.groupBy(
    growths.filter(({ figure }) => figure === 'time'),
    ({ row }) => row.split(' ')[0] ?? '',
  ).values()) {
    parts.push(growthPlot(series, y))
    y += PLOT + TITLE + 3 * PADDING
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" font-family="sans-serif" font-size="12">
<style>text { fill: #333 } .title { font-weight: bold; font-size: 13px } @media (prefers-color-scheme: dark) { text { fill: #ddd } }</style>
${parts.join('\n')}
</svg>
`
}

/** Lines through the medians of one series. Both axes are logarithmic, a decade of time as high as the range needs. */
function growthPlot(growths: readonly Growth[], top: number): string {
  const points = growths.flatMap((growth) => growth.points)
  const [x, y] = [logScale(points.map(({ size }) => size)), logScale(points.map(({ value }) => value))]
  const [left, bottom, width] = [PADDING + VALUE, top + TITLE + PLOT, WIDTH - LABEL - VALUE - 2 * PADDING]
  const place = ({ size, value }: { readonly size: number; readonly value: number }): readonly [number, number] => [
    left + width * x(size),
    bottom - PLOT * y(value),
  ]
  const labels = new Map(points.map(({ size, label }) => [label, size]))
  return [
    `<text x="${PADDING}" y="${top + 14}" class="title">${escape(growths[0]?.row.split(' ')[0] ?? '')}: growth of the median time</text>`,
    ...[...labels].map(([label, size]) => `<text x="${left + width * x(size)}" y="${bottom + 22}" text-anchor="middle">${escape(label)}</text>`),
    ...growths.flatMap((growth, index) => {
      const colour = COLOURS[index % COLOURS.length] ?? ''
      const places = growth.points.map(place)
      const [endX, endY] = places.at(-1) ?? [0, 0]
      const name = `${growth.row}, ${growth.exponent.toFixed(2)}`
      return [
        `<polyline points="${places.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...growth.points.map((point) => {
          const [px, py] = place(point)
          return `<circle cx="${px.toFixed(1)}" cy="${py.toFixed(1)}" r="3" fill="${colour}"/><text x="${px.toFixed(1)}" y="${(py - 7).toFixed(1)}" text-anchor="middle" font-size="10">${formatMilliseconds(point.value)}</text>`
        }),
        `<text x="${(endX + 34).toFixed(1)}" y="${(endY + 4).toFixed(1)}">${escape(name)}</text>`,
      ]
    }),
  ].join('\n')
}

/** From the smallest value at 0 to the largest at 1. */
function logScale(values: readonly number[]): (value: number) => number {
  const [least, most] = [Math.log(Math.min(...values)), Math.log(Math.max(...values))]
  return (value) => (most === least ? 0.5 : (Math.log(value) - least) / (most - least))
}

function bar({ contender, flushes, runs }: RowResult, y: number, longest: number, colour: string): string {
  const { median, min, max } = summarize(runs.map(({ milliseconds }) => milliseconds))
  const scale = (milliseconds: number): string => ((milliseconds / longest) * (WIDTH - LABEL - VALUE - 2 * PADDING)).toFixed(1)
  const [left, middle, base] = [PADDING + LABEL, y + BAR / 2, y + BAR - 4]
  const label = flushes ? contender : `${contender} *`
  return [
    `<text x="${PADDING}" y="${base}">${escape(label)}</text>`,
    `<rect x="${left}" y="${y}" width="${scale(median)}" height="${BAR}" fill="${colour}"/>`,
    `<line x1="${left + Number(scale(min))}" x2="${left + Number(scale(max))}" y1="${middle}" y2="${middle}" stroke="#777"/>`,
    `<text x="${left + Number(scale(max)) + 6}" y="${base}">${formatMilliseconds(median)}</text>`,
  ].join('\n')
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
