import type { Define } from '../command-context.ts'
import { folderOf } from '../configuration.ts'
import type { Share, StoreStatistics } from '../../store/statistics.ts'
import { parseLimit } from '../option-values.ts'
import type { Output } from '../output.ts'
import { bar } from '../render/bar.ts'
import { formatBytes, formatCount, plural } from '../render/bytes.ts'
import { propertyLines, tableHead, tableLine, type Column } from '../render/table.ts'

const BAR_WIDTH = 30
const SHARE_BAR_WIDTH = 12
/** Rows of a table, if not told otherwise. */
const ROWS = 20

const shareColumns: readonly Column[] = [
  { title: 'PACKAGES', width: 8, align: 'right' },
  { title: 'FILES', width: 9, align: 'right' },
  { title: 'SIZE', width: 8, align: 'right' },
  { title: 'ONCE', width: 8, align: 'right' },
  { title: 'STORED', width: 8, align: 'right' },
  { title: '', width: SHARE_BAR_WIDTH + 2 },
  { title: 'NAME', width: 0 },
]

/** `stats`: how much the store holds and what that takes. */
export const define: Define = (command, act) => {
  command
    .description('Tells how much the store holds, what that takes on disk, and what deduplication and compression save.')
    .option('--limit <n>', `print at most this many repositories and classes (default: ${ROWS})`)
    .addHelpText(
      'after',
      `
SIZE is the sum of all files, ONCE what is left when each content counts once, STORED the space that
takes. What repositories or classes share counts for each of them. The bars compare SIZE.
Reads the registry alone and makes no writer wait; a million files take a few seconds.
Sizes are in bytes with --json, which has all repositories and classes.

Examples:
  artifact-store stats
  artifact-store stats --json`,
    )
    .action(
      act(async ({ output, configuration }, options: { readonly limit?: string }) => {
        const limit = options.limit === undefined ? ROWS : parseLimit('--limit', options.limit)
        const { readStatistics } = await import('../../store/statistics.ts')
        const statistics = await readStatistics(folderOf(configuration))
        if (output.mode.json) await output.json(statistics)
        else await print(output, statistics, limit)
        return undefined
      }),
    )
}

async function print(output: Output, statistics: StoreStatistics, limit: number): Promise<void> {
  for (const line of [...totalLines(statistics), '', ...savingLines(statistics), '', ...spaceLines(statistics)]) await output.line(line)
  await printShares(output, 'REPOSITORY', statistics.repositories, limit)
  await printShares(output, 'RETENTION CLASS', statistics.classes, limit)
}

function totalLines({ packages, purged, files, size, openPackages }: StoreStatistics): string[] {
  const { count, entries } = openPackages
  return propertyLines([
    ['packages', purged === 0 ? formatCount(packages) : `${formatCount(packages)} and ${formatCount(purged)} purged`],
    ['files', `${formatCount(files)} (${formatBytes(size)})`],
    ['open packages', count === 0 ? 'none' : `${formatCount(count)}, so far with ${plural(entries, 'file')} (${formatBytes(openPackages.size)})`],
  ])
}

function savingLines({ size, content, savedByDeduplication, savedByCompression }: StoreStatistics): string[] {
  const line = (name: string, bytes: number, saved: string): string =>
    `${name.padEnd(16)}${formatBytes(bytes).padStart(9)}  ${bar(size === 0 ? 0 : bytes / size, BAR_WIDTH)}  ${saved}`.trimEnd()
  return [
    line('all files', size, ''),
    line('each once', content.size, `${formatBytes(savedByDeduplication)} saved by deduplication (${percent(savedByDeduplication, size)})`),
    line('compressed', content.stored, `${formatBytes(savedByCompression)} saved by compression (${percent(savedByCompression, size)})`),
  ]
}

function spaceLines({ stored, leaving, packs, wholeObjects, descriptions, open, unheld }: StoreStatistics): string[] {
  const fill =
    packs.size === 0
      ? 'none'
      : `${formatCount(packs.count)} (${packs.open} open), ${formatBytes(packs.size)}, ${percent(packs.live, packs.size)} in use`
  return propertyLines([
    ['objects on disk', formatBytes(stored)],
    ['packs', packs.dead === 0 ? fill : `${fill}, ${formatBytes(packs.dead)} dead`],
    ['large files', `${formatCount(wholeObjects.count)} in objects of their own, ${formatBytes(wholeObjects.size)}`],
    ['manifests', `${formatBytes(descriptions.stored)} of manifests and documents`],
    ...(open.chunks === 0 ? [] : [['open packages', `${formatBytes(open.stored)} that only they hold`] as const]),
    ...(unheld.chunks === 0 ? [] : [['unneeded', `${formatBytes(unheld.stored)} that nothing holds any more`] as const]),
    ...(leaving.objects === 0
      ? []
      : [['leaving', `${plural(leaving.objects, 'object')}, ${formatBytes(leaving.size)}, to be deleted soon`] as const]),
  ])
}

async function printShares(output: Output, title: string, shares: readonly Share[], limit: number): Promise<void> {
  if (shares.length === 0) return
  const columns = shareColumns.map((column) => (column.title === 'NAME' ? { ...column, title } : column))
  const largest = Math.max(1, ...shares.map(({ size }) => size))
  await output.line()
  await output.line(output.style.faint(tableHead(columns)))
  for (const { name, packages, files, size, distinct, stored } of shares.slice(0, limit)) {
    const numbers = [formatCount(packages), formatCount(files), formatBytes(size), formatBytes(distinct), formatBytes(stored)]
    await output.line(tableLine(columns, [...numbers, bar(size / largest, SHARE_BAR_WIDTH), name ?? '(none)']))
  }
  if (shares.length > limit) output.note(`… and ${formatCount(shares.length - limit)} more`)
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '0 %' : `${Math.round((100 * part) / whole)} %`
}
