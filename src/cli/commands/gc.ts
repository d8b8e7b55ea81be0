import type { Collector } from '../../store/collector/collector.ts'
import type { CollectionPreview } from '../../store/collector/preview.ts'
import type { CollectionBacklog, CollectionProgress } from '../../store/collector/collection-report.ts'
import type { SweepReport } from '../../store/retention/sweep.ts'
import type { Upkeep, UpkeepReport } from '../../store/upkeep.ts'
import type { CommandContext, Define } from '../command-context.ts'
import { type ExitCode, exitCode } from '../exit-code.ts'
import { parseByteRate, parseDuration } from '../option-values.ts'
import type { Output } from '../output.ts'
import { formatBytes, formatCount, plural } from '../render/bytes.ts'
import { displayMessage } from '../render/message.ts'

interface Options {
  readonly dryRun?: true
  readonly grace?: string
  readonly limitRate?: string
}

/** What each step counts, for people. */
const stepNames: Readonly<Record<CollectionProgress['step'], string>> = {
  reap: 'ended what nobody finished',
  settle: 'packs looked through',
  review: 'chunks reviewed',
  rewrite: 'packs rewritten',
  delete: 'objects deleted',
  audit: 'objects compared with the registry',
}
/** A line of progress at most this often, ms. */
const TELL_MS = 2_000

/** `gc`: removes what nothing holds any more. */
export const define: Define = (command, act) => {
  command
    .description('Deletes what is over, and removes bytes that nothing holds any more: of deleted packages, of uploads that were given up.')
    .option('--dry-run', 'only tell what would be removed')
    .option('--grace <time>', 'how long to keep what lost its last reference, such as 24h, 30m or 0s (default: 24h)')
    .option('--limit-rate <rate>', 'bytes a second that rewriting packs may read and write, such as 20M')
    .addHelpText(
      'after',
      `
Runs beside everybody who reads and writes, and a server does the same all the time. What is over by
its retention is deleted when two runs, a grace apart, have seen it and nothing holds it. What was
removed from a package a moment ago is kept for the grace first. A pack in which much is dead is
written again without it. Nothing is deleted before readers had an hour to finish.
Stopped at any moment, it goes on where it was at the next run.
Stops, and says why, when anything is in doubt: the clock, the registry, a damaged manifest.

Examples:
  artifact-store gc --dry-run
  artifact-store gc
  artifact-store gc --grace 1h --limit-rate 20M`,
    )
    .action(
      act(async (context, options: Options) => {
        const [module, upkeep, { closeContext }] = await Promise.all([
          import('../../store/collector/collector.ts'),
          import('../../store/upkeep.ts'),
          import('../../store/open-context.ts'),
        ])
        const settings = {
          ...(options.grace === undefined ? {} : { graceMs: parseDuration('--grace', options.grace) }),
          ...(options.limitRate === undefined ? {} : { limitRate: parseByteRate('--limit-rate', options.limitRate) }),
        }
        const parts = await context.openParts()
        try {
          const collector = new module.Collector(parts, settings)
          return options.dryRun === true
            ? await preview(context, () => collector.preview(context.signal))
            : await run(context, new upkeep.Upkeep(parts, settings), collector)
        } finally {
          await closeContext(parts)
        }
      }),
    )
}

async function preview({ output }: CommandContext, look: () => Promise<CollectionPreview>): Promise<undefined> {
  const found = await look()
  if (output.mode.json) {
    await output.json(found)
    return undefined
  }
  const { condemned, atLeast, reviews, leaving, expired } = found
  const most = atLeast ? 'at least ' : ''
  await output.line(
    `Would let go of ${most}${plural(condemned.chunks, 'chunk')} (${formatBytes(condemned.size)}, stored in ${formatBytes(condemned.stored)})`,
  )
  if (expired > 0) await output.line(`Would end ${plural(expired, 'open package')} that nobody touched for a week`)
  if (leaving.objects > 0) await output.line(`${plural(leaving.objects, 'object')} (${formatBytes(leaving.size)}) wait for their last readers`)
  if (reviews > 0)
    await output.line(`${plural(reviews, 'chunk')} lost a reference and wait${reviews === 1 ? 's' : ''} for review, some of them for the grace`)
  return undefined
}

async function run({ output, signal }: CommandContext, upkeep: Upkeep, collector: Pick<Collector, 'waiting'>): Promise<ExitCode | undefined> {
  let told = performance.now()
  const onProgress = ({ step, done }: CollectionProgress): void => {
    if (performance.now() - told < TELL_MS) return
    told = performance.now()
    output.note(`${formatCount(done)} ${stepNames[step]} …`)
  }
  const report = await upkeep.runOnce({ signal, onProgress })
  const waiting = await collector.waiting()
  if (output.mode.json) await output.json({ ...report, waiting })
  else await print(output, report, waiting)
  if (report.stopped !== undefined) return exitCode.refused
  return report.problems.length > 0 ? exitCode.failed : undefined
}

async function print(output: Output, report: UpkeepReport, waiting: CollectionBacklog): Promise<void> {
  const { reaped, reviewed, rewritten, deleted, audit, problems, stopped } = report
  if (!output.mode.quiet) {
    for (const line of retentionLines(report.retention)) await output.line(line)
    const ended = reaped.packages + reaped.uploads
    if (ended > 0)
      await output.line(`Ended ${plural(reaped.packages, 'open package')} and ${plural(reaped.uploads, 'upload')} that nobody touched for too long`)
    await output.line(`Let go of ${plural(reviewed.condemned, 'chunk')} (${formatBytes(reviewed.size)})`)
    if (rewritten.packs > 0) await output.line(`Rewrote ${plural(rewritten.packs, 'pack')}; ${formatBytes(rewritten.moved)} of it was needed`)
    await output.line(`Deleted ${plural(deleted.objects, 'object')} (${formatBytes(deleted.size)})`)
    if (audit !== undefined && audit.removed.objects > 0) {
      await output.line(`Removed ${plural(audit.removed.objects, 'object')} (${formatBytes(audit.removed.size)}) that the registry does not know`)
    }
    if (waiting.reviews > 0)
      await output.line(`${plural(waiting.reviews, 'chunk')} wait${waiting.reviews === 1 ? 's' : ''} for the grace, then for review`)
    if (waiting.objects > 0)
      await output.line(
        `${plural(waiting.objects, 'object')} (${formatBytes(waiting.size)}) wait${waiting.objects === 1 ? 's' : ''} for the last readers`,
      )
  }
  for (const problem of problems) await output.line(output.style.bad(displayMessage(problem)))
  if (stopped !== undefined) await output.line(output.style.bad(`Stopped, nothing more was removed: ${displayMessage(stopped)}`))
}

function* retentionLines({ confirmed, deleted, purging, certified }: SweepReport): Generator<string> {
  if (confirmed > 0) yield `Found ${plural(confirmed, 'file set')} whose time is over, for the second time`
  if (deleted > 0) yield `Deleted ${plural(deleted, 'file set')} that nobody has to approve`
  if (purging > 0) yield `Let go of ${plural(purging, 'deleted file set')} for good`
  if (certified > 0) yield `Wrote ${plural(certified, 'certificate')} of what was destroyed`
}
