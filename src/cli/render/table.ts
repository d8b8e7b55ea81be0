/** One column. `width` is the least number of characters; what is longer is shown whole and pushes the rest of its line. */
export interface Column {
  readonly title: string
  readonly width: number
  readonly align?: 'left' | 'right'
}

/**
 * Lines of columns whose widths are known from the start, so that a list of any length is printed as it arrives. Names, whose width is anybody's
 * guess, belong in the last column, which is never padded.
 */
export function tableLine(columns: readonly Column[], cells: readonly string[]): string {
  return columns
    .map((column, index) => {
      const cell = cells[index] ?? ''
      if (column.align === 'right') return cell.padStart(column.width)
      return index === columns.length - 1 ? cell : cell.padEnd(column.width)
    })
    .join('  ')
    .trimEnd()
}

/** The line of titles. */
export function tableHead(columns: readonly Column[]): string {
  return tableLine(
    columns,
    columns.map((column) => column.title),
  )
}

/** Names beside values, the values aligned. */
export function propertyLines(properties: readonly (readonly [name: string, value: string])[], indent = ''): string[] {
  const width = Math.max(0, ...properties.map(([name]) => name.length))
  return properties.map(([name, value]) => `${indent}${name.padEnd(width)}  ${value}`.trimEnd())
}
