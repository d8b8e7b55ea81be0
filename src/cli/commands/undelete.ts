import type { Define } from '../command-context.ts'
import { printRetention } from './retention-package.ts'

/** `undelete REF`: takes a deletion back. */
export const define: Define = (command, act) => {
  command
    .description('Takes the deletion of a package back, with its tags, until its grace ends.')
    .argument('<ref>', 'the package: its id, or NAME@sha256:DIGEST; its tags do not lead to it while it is deleted')
    .option('--reason <text>', 'the reason, in words')
    .addHelpText(
      'after',
      `
What was taken back is not deleted again by itself, only when somebody asks.

Examples:
  artifact-store undelete 019ad3e0-5b7a-7000-8000-3f1d2c4b5a69`,
    )
    .action(
      act(async ({ output, open }, ref: string, options: { readonly reason?: string }) => {
        await using store = await open()
        await printRetention(output, await store.retention.undelete(ref, options))
        return undefined
      }),
    )
}
