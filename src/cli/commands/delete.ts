import type { Define } from '../command-context.ts'
import { printRetention } from './retention-package.ts'

/** `delete REF`: asks for a package to be deleted. */
export const define: Define = (command, act) => {
  command
    .description('Deletes a package, if nothing keeps it: it can be read no more, and is destroyed when its grace is over.')
    .argument('<ref>', 'the package: its id, NAME:TAG, or NAME@sha256:DIGEST')
    .option('--reason <text>', 'the reason, in words')
    .addHelpText(
      'after',
      `
Ends with 4 and says which rule keeps it, if one does: its retention, a hold, or an approval that is
missing. A tag alone is taken away with tag --remove.

Examples:
  artifact-store delete demo/app:broken --reason "pushed by mistake"
  artifact-store undelete 019ad3e0-5b7a-7000-8000-3f1d2c4b5a69`,
    )
    .action(
      act(async ({ output, open }, ref: string, options: { readonly reason?: string }) => {
        await using store = await open()
        const info = await store.retention.delete(ref, options)
        await printRetention(output, info)
        output.note(`It can be taken back for a while: artifact-store undelete ${info.packageId}`)
        return undefined
      }),
    )
}
