import type { Define } from '../command-context.ts'
import { listRepositories } from '../repository-list.ts'

/** `repository list`. */
export const define: Define = (command, act) => {
  command.description('Works with repositories, the names packages are kept under.').usage('COMMAND …').helpCommand(false)
  command
    .command('list')
    .summary('list repositories, as ls without an argument does')
    .description('Lists the repositories of the store, in order of their names.')
    .argument('[prefix]', 'only the repository of this name and those below it')
    .addHelpText('after', '\nExamples:\n  artifact-store repository list\n  artifact-store repository list demo --json')
    .action(
      act(async (context, prefix: string | undefined) => {
        await using store = await context.open()
        await listRepositories(context.output, store, prefix)
        return undefined
      }),
    )
}
