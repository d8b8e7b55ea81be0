import type { Define } from '../command-context.ts'
import { StoreError } from '../../core/errors.ts'
import { displayPath } from '../../core/path.ts'
import type { Store, VerifiedFile, VerifiedPack } from '../../store/interface.ts'
import { usageFailure } from '../command-failure.ts'
import { exitCode, exitCodeOf } from '../exit-code.ts'
import { formatBytes, plural } from '../render/bytes.ts'
import { displayMessage } from '../render/message.ts'
import { Progress } from '../render/progress.ts'

/** `verify REF|--all`: re-reads what is stored. */
export const define: Define = (command, act) => {
  command
    .description('Reads every stored byte of a package, or of all, again and compares it with its digest.')
    .argument('[ref]', 'the package: its id, NAME:TAG, or NAME@sha256:DIGEST')
    .option('--all', 'all packages of the store')
    .addHelpText(
      'after',
      `
Prints a line for every damaged or missing file, with --all for every damaged pack too, and ends
with 5 if there is one. With --json it
prints a line for every file that was read. What is damaged is noted: pushing the same bytes again
heals it. The event log has a check of its own: artifact-store events verify

Examples:
  artifact-store verify demo/app:latest
  artifact-store verify --all`,
    )
    .action(
      act(async ({ output, open, signal }, ref: string | undefined, options: { readonly all?: true }) => {
        const which = options.all === true ? 'all' : ref
        if (which === undefined || (options.all === true && ref !== undefined)) throw usageFailure('verify wants either a package or --all')
        await using store = await open()
        const total = options.all === true ? {} : await totalOf(store, which)
        const progress = output.talkative ? new Progress(output.stderr, 'verifying') : undefined
        let [files, bytes, problems] = [0, 0, 0]
        try {
          for await (const verified of store.packages.verify(which, { signal })) {
            if (verified.path !== undefined) files += 1
            bytes += verified.size
            if (verified.problem !== undefined) problems += 1
            if (output.mode.json) await output.json(jsonLine(verified))
            else if (verified.problem !== undefined) {
              progress?.end()
              await output.line(problemLine(verified))
              await output.flush()
            }
            progress?.update({ files, bytes, ...total })
          }
          for await (const pack of options.all === true ? store.packages.verifyPacks({ signal }) : []) {
            if (pack.problem !== undefined) problems += 1
            if (output.mode.json) await output.json(packJsonLine(pack))
            else if (pack.problem !== undefined) {
              progress?.end()
              await output.line(`pack ${pack.key}  ${displayMessage(pack.problem.message)}`)
            }
          }
        } finally {
          progress?.end()
        }
        const verdict = problems === 0 ? output.style.good('all of it is what it was') : output.style.bad(`${plural(problems, 'problem')} found`)
        if (output.talkative) await output.line(`Read ${plural(files, 'file')} (${formatBytes(bytes)}): ${verdict}`)
        return problems === 0 ? undefined : exitCode.verificationFailed
      }),
    )
}

/** What is to be read, for the bar. Unknown where the document of the package is damaged, which the verification will tell. */
async function totalOf(store: Store, ref: string): Promise<{ readonly totalFiles?: number; readonly totalBytes?: number }> {
  try {
    const { fileCount, size } = await store.packages.get(ref)
    return { totalFiles: fileCount, totalBytes: size }
  } catch (error) {
    if (error instanceof StoreError && exitCodeOf[error.code] === exitCode.verificationFailed) return {}
    throw error
  }
}

function jsonLine({ packageId, path, digest, size, problem }: VerifiedFile): object {
  return { packageId, path, digest, size, ok: problem === undefined, problem: problem && { code: problem.code, message: problem.message } }
}

function packJsonLine({ key, problem }: VerifiedPack): object {
  return { pack: key, ok: problem === undefined, problem: problem && { code: problem.code, message: problem.message } }
}

function problemLine({ packageId, path, digest, problem }: VerifiedFile): string {
  return `${packageId}  ${path === undefined ? `its document ${digest}` : displayPath(path)}  ${displayMessage(problem?.message ?? '')}`
}
