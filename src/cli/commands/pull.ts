import { displayPath } from '../../core/path.ts'
import type { ExpiredFileSet } from '../../store/interface.ts'
import type { PullReport } from '../../store/pull-tree.ts'
import type { CommandContext, Define } from '../command-context.ts'
import { CommandFailure } from '../command-failure.ts'
import type { ExitCode } from '../exit-code.ts'
import { exitCode } from '../exit-code.ts'
import { formatBytes, plural } from '../render/bytes.ts'
import { displayMessage } from '../render/message.ts'
import { Progress } from '../render/progress.ts'

interface PullOptions {
  readonly output: string
  readonly path?: string
  readonly overwrite?: true
  readonly requireComplete?: true
}

/** `pull REF`: writes a package into a folder. */
export const define: Define = (command, act) => {
  command
    .description('Writes the files of a package into a folder. Every byte is checked against its digest on the way.')
    .argument('<ref>', 'the package: its id, NAME:TAG, or NAME@sha256:DIGEST')
    .option('--output <dir>', 'folder to write to; made if it is missing', '.')
    .option('--path <prefix>', 'only this file, or what lies below this folder of the package')
    .option('--overwrite', 'replace files that are there; without it nothing is written if anything is in the way')
    .option('--require-complete', 'stop at the first file that cannot be read or has expired, instead of writing all others')
    .addHelpText(
      'after',
      `
Ends with 5 if a file of the package is missing or damaged; the others are written all the same.
After a stop, the same command with --overwrite goes on where it was.

Examples:
  artifact-store pull demo/app:latest --output ./copy
  artifact-store pull demo/app:latest --path report --output ./copy --overwrite`,
    )
    .action(
      act(async (context, ref: string, options: PullOptions) => {
        const { output, signal } = context
        const { pullTree } = await import('../../store/pull-tree.ts')
        await using store = await context.open()
        const expired = await store.files.expired(ref)
        if (expired.length > 0) tellExpired(context, ref, expired, options.requireComplete === true)
        const progress = output.talkative ? new Progress(output.stderr, 'writing') : undefined
        try {
          const report = await pullTree(store, ref, options.output, {
            signal,
            onProgress: (state) => progress?.update(state),
            ...(options.path !== undefined && { prefix: options.path }),
            ...(options.overwrite !== undefined && { overwrite: true }),
            ...(options.requireComplete !== undefined && { requireComplete: true }),
          })
          progress?.end()
          return await tellReport(context, ref, options.output, report)
        } finally {
          progress?.end()
        }
      }),
    )
}

/** @throws CommandFailure when all of the package was wanted */
function tellExpired({ output }: CommandContext, ref: string, expired: readonly ExpiredFileSet[], requireComplete: boolean): void {
  const sets = expired.map(({ fileSets, count }) => `${plural(count, 'file')} of ${fileSets.length === 0 ? 'no file set' : fileSets.join(', ')}`)
  const message = `not all of ${displayPath(ref)} is there any more: ${sets.join('; ')} expired`
  if (requireComplete) throw new CommandFailure(message, exitCode.verificationFailed, `See why: artifact-store retention explain ${ref}`)
  output.note(message)
}

async function tellReport({ output }: CommandContext, ref: string, folder: string, report: PullReport): Promise<ExitCode | undefined> {
  const { files, bytes, symlinks, directories, kept, missing } = report
  if (output.mode.json) {
    await output.json({ ref, output: folder, files, bytes, symlinks, directories, kept, missing })
  } else {
    for (const { path, reason } of missing) output.stderr.write(`artifact-store: ${path}: ${displayMessage(reason)}\n`)
    const unchanged = kept === 0 ? '' : `, ${plural(kept, 'file')} of them there already`
    if (!output.mode.quiet) await output.line(`Wrote ${plural(files, 'file')} (${formatBytes(bytes)}) to ${displayPath(folder)}${unchanged}`)
  }
  if (missing.length === 0) return undefined
  output.note(`${plural(missing.length, 'file')} could not be read. Find out how far the damage goes: artifact-store verify ${ref}`)
  return exitCode.verificationFailed
}
