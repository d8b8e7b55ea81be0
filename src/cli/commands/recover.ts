import { StoreError } from '../../core/errors.ts'
import { displayPath } from '../../core/path.ts'
import type { RecoveryReport } from '../../store/recover.ts'
import type { CommandContext, Define } from '../command-context.ts'
import { folderOf } from '../configuration.ts'
import { CommandFailure } from '../command-failure.ts'
import { exitCode } from '../exit-code.ts'
import type { Output } from '../output.ts'
import { formatCount, plural } from '../render/bytes.ts'
import { displayMessage } from '../render/message.ts'

/** How many of each kind are named; `--json` has them all. */
const NAMED = 20

/** `recover`: the registry from the objects. */
export const define: Define = (command, act) => {
  command
    .description(
      'Rebuilds the registry of a store from its objects alone: packages, tags, retention and the event log, with the same ids and digests.',
    )
    .option('--anyway', 'also where the registry is there and fits the objects')
    .addHelpText(
      'after',
      `
For when the registry is lost, damaged, or was restored from an older copy. The objects are only
read. A registry that is there is kept beside the new one, under a name that is printed. Open
packages are not recovered: push them again.

Says up to which event the registry is complete. Ends with 5 if something may be missing, or if
packages have parts that cannot be read; the log then goes on under a new id, so that whoever
follows it starts again.

Examples:
  artifact-store recover
  artifact-store recover --store /mnt/backup/store --json`,
    )
    .action(
      act(async (context, options: { readonly anyway?: true }) => {
        const home = folderOf(context.configuration)
        const [{ recoverStore }, { isStoreInUse }] = await Promise.all([import('../../store/recover.ts'), import('../../store/store-use.ts')])
        if (isStoreInUse(home)) {
          throw new CommandFailure(
            `another process has the store in ${displayPath(home)} open`,
            exitCode.tryAgain,
            'End it (serve, a push, a backup of the registry), then run the command again.',
          )
        }
        if (options.anyway !== true) await refuseHealthy(context)
        const report = await recoverStore(home)
        if (context.output.mode.json) await context.output.json(plainReport(report))
        else await printReport(context.output, report)
        return report.lossy || report.damagedPackages.length > 0 ? exitCode.verificationFailed : undefined
      }),
    )
}

/** A registry that fits its objects knows more than the objects do: of open packages, at least. */
async function refuseHealthy({ configuration, openParts }: CommandContext): Promise<void> {
  const { closeContext } = await import('../../store/open-context.ts')
  let isHealthy: boolean
  try {
    const parts = await openParts()
    isHealthy = parts.readOnly() === undefined
    await closeContext(parts)
  } catch (error) {
    // Whatever else is wrong with it is what this command is for.
    if (error instanceof StoreError && (error.code === 'version_unsupported' || error.retryable)) throw error
    return
  }
  if (!isHealthy) return
  throw new CommandFailure(
    `the registry of ${displayPath(configuration.home)} is there and fits the objects: there is nothing to recover`,
    exitCode.refused,
    'See what is wrong with: artifact-store doctor. To rebuild the registry all the same, add --anyway; open packages are lost then.',
  )
}

async function printReport(output: Output, report: RecoveryReport): Promise<void> {
  const { completeTo, head, packages, objects, lossy, reasons, damagedPackages, unnamedManifests, previousRegistry } = report
  if (!output.mode.quiet) {
    await output.line(
      `Rebuilt the registry from ${plural(objects.packs, 'pack')} and ${plural(objects.wholeObjects, 'object')} of their own: ${plural(packages, 'package')}, ${plural(objects.chunks, 'chunk')}`,
    )
    await output.line(`Complete up to event ${formatCount(completeTo)}, which hashes to ${head}`)
    if (previousRegistry !== undefined) await output.line(`The registry that was there is now ${displayPath(previousRegistry)}`)
  }
  if (lossy) {
    await output.line(output.style.bad('Something may be missing:'))
    for (const reason of reasons) await output.line(`  - ${displayMessage(reason)}`)
    await output.line(`The log goes on under the new id ${report.logId}; whoever followed it starts again.`)
  } else if (!output.mode.quiet) await output.line(output.style.good('Nothing is missing.'))
  await printNamed(output, 'Packages with parts that cannot be read (push them again to heal them):', damagedPackages)
  await printNamed(output, 'Manifests that belong to no package: unfinished, or sealed after the last event that was mirrored:', unnamedManifests)
  await printNamed(
    output,
    'Damaged places:',
    objects.damage.map(({ key, reason }) => `${key}: ${reason}`),
  )
}

async function printNamed(output: Output, title: string, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  await output.line(title)
  for (const name of names.slice(0, NAMED)) await output.line(`  - ${displayMessage(name)}`)
  if (names.length > NAMED) await output.line(`  … and ${formatCount(names.length - NAMED)} more (--json lists them all)`)
}

function plainReport({ objects, ...report }: RecoveryReport): object {
  const { manifests, ...scan } = objects
  return { ...report, objects: { ...scan, manifests: manifests.size } }
}
