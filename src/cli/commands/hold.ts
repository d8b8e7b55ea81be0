import type { HoldInput } from '../../core/hold.ts'
import { parsePackageId } from '../../core/name.ts'
import type { Store } from '../../store/interface.ts'
import type { HoldInfo } from '../../store/retention-interface.ts'
import type { Define } from '../command-context.ts'
import { usageFailure } from '../command-failure.ts'
import type { Output } from '../output.ts'
import type { Column } from '../render/table.ts'
import { propertyLines, tableHead, tableLine } from '../render/table.ts'
import { formatTime } from '../render/time.ts'
import { allPages } from '../repository-list.ts'

const columns: readonly Column[] = [
  { title: 'HOLD', width: 36 },
  { title: 'PLACED', width: 19 },
  { title: 'KIND', width: 9 },
  { title: 'STATE', width: 8 },
  { title: 'MATTER', width: 0 },
]

interface PlaceOptions {
  readonly kind: string
  readonly matter: string
  readonly authority: string
  readonly reason: string
  readonly repository?: string
  readonly producer?: string
  readonly subject?: string
  readonly runId?: string
}

/** `hold place`, `hold list` and `hold release`. */
export const define: Define = (command, act) => {
  command
    .description('Works with holds: while one stands, nothing of what it catches is deleted, whatever its retention says.')
    .usage('COMMAND …')
    .helpCommand(false)
  command
    .command('place')
    .summary('place a hold on a package, or on all that fits')
    .description('Places a hold on a package, or on all packages that fit in everything that is said, also those that come later.')
    .argument('[ref]', 'the package: its id, NAME:TAG, or NAME@sha256:DIGEST')
    .requiredOption('--matter <text>', 'what it is about, such as the number of a case')
    .requiredOption('--authority <text>', 'on whose authority')
    .requiredOption('--reason <text>', 'the reason, in words')
    .option('--kind <kind>', 'legal, temporary, or event: when it is released, the clock of what it held starts', 'legal')
    .option('--repository <name>', 'all of this repository and those below it')
    .option('--producer <name>', 'all of this producer')
    .option('--subject <name>', 'all about this')
    .option('--run-id <id>', 'all of this run')
    .addHelpText(
      'after',
      `
Examples:
  artifact-store hold place demo/app:v1.2 --matter "Case 7" --authority Counsel --reason litigation
  artifact-store hold place --repository demo --matter "Case 7" --authority Counsel --reason appeal`,
    )
    .action(
      act(async ({ output, open }, ref: string | undefined, options: PlaceOptions) => {
        await using store = await open()
        await printHold(output, await store.holds.place(await holdRequest(store, ref, options)))
        return undefined
      }),
    )
  command
    .command('list')
    .summary('list holds')
    .description('Lists the holds that stand, in the order in which they were placed.')
    .option('--released', 'also those that were released')
    .addHelpText('after', '\nExamples:\n  artifact-store hold list\n  artifact-store hold list --released --json')
    .action(
      act(async ({ output, open }, options: { readonly released?: true }) => {
        await using store = await open()
        let count = 0
        for await (const hold of allPages((page) => store.holds.list({ ...page, released: options.released === true }))) {
          if (output.mode.json) await output.json(hold)
          else if (output.mode.quiet) await output.line(hold.id)
          else {
            if (count === 0) await output.line(output.style.faint(tableHead(columns)))
            await output.line(tableLine(columns, [hold.id, formatTime(hold.placedAt), hold.kind, hold.state, hold.matter]))
          }
          count += 1
        }
        if (count === 0) output.note('Nothing is held.')
        return undefined
      }),
    )
  command
    .command('release')
    .summary('release a hold')
    .description('Releases a hold. What it held goes on its way; a kind of event starts the clock of it.')
    .argument('<id>', 'the hold')
    .requiredOption('--reason <text>', 'the reason, in words')
    .addHelpText('after', '\nExamples:\n  artifact-store hold release 019ad3e0-5b7a-7000-8000-3f1d2c4b5a69 --reason "case settled"')
    .action(
      act(async ({ output, open }, id: string, { reason }: { readonly reason: string }) => {
        await using store = await open()
        await printHold(output, await store.holds.release(id, { reason }))
        return undefined
      }),
    )
}

async function holdRequest(store: Store, ref: string | undefined, options: PlaceOptions): Promise<HoldInput> {
  const { repository, producer, subject, runId, ...said } = options
  const selector = Object.fromEntries(Object.entries({ repository, producer, subject, runId }).filter(([, value]) => value !== undefined))
  const selects = Object.keys(selector).length > 0
  if (ref !== undefined && selects) throw usageFailure('name a package, or say which are to be held, not both')
  if (ref !== undefined) return { ...said, packageId: await packageId(store, ref) }
  if (selects) return { ...said, selector }
  throw usageFailure('nothing to hold was named', 'Name a package, or --repository, --producer, --subject or --run-id.')
}

/** An id stands for itself, also when only its tombstone is left. */
async function packageId(store: Store, ref: string): Promise<string> {
  try {
    return parsePackageId(ref)
  } catch {
    return (await store.packages.get(ref)).id
  }
}

async function printHold(output: Output, hold: HoldInfo): Promise<void> {
  if (output.mode.json) return output.json(hold)
  if (output.mode.quiet) return output.line(hold.id)
  const {
    id,
    kind,
    state,
    matter,
    authority,
    reason,
    packageId: held,
    selector = {},
    placedAt,
    placedBy,
    releasedAt,
    releasedBy,
    releaseReason,
  } = hold
  const properties: (readonly [string, string])[] = [
    ['hold', id],
    ['kind', kind],
    ['state', state],
    ['matter', matter],
    ['authority', authority],
    ['reason', reason],
    ...(held === undefined ? [] : [['package', held] as const]),
    ...Object.entries(selector),
    ['placed', `${formatTime(placedAt)} by ${placedBy}`],
  ]
  if (releasedAt !== undefined) properties.push(['released', `${formatTime(releasedAt)} by ${releasedBy ?? ''}: ${releaseReason ?? ''}`])
  for (const line of propertyLines(properties)) await output.line(line)
}
