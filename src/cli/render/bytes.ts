const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** A size in bytes for people: `0 B`, `999 B`, `1.5 KiB`, `12 MiB`, `1.0 GiB`. Never more than four digits before the unit. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit: string = units[0]
  for (const next of units.slice(1)) {
    if (value < 1000) break
    value /= 1024
    unit = next
  }
  if (unit === 'B') return `${Math.round(value)} B`
  return `${value < 9.95 ? value.toFixed(1) : Math.round(value).toString()} ${unit}`
}

/** A number with a space between groups of three digits: `12 345`. */
export function formatCount(count: number): string {
  return count.toString().replace(/\B(?=(\d{3})+$)/g, ' ')
}

/** `1 file`, `2 files`. */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`
}
