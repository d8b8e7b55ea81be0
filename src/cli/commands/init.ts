import type { Define } from '../command-context.ts'
import { folderOf } from '../configuration.ts'
import { resolve } from 'node:path'
import { displayPath } from '../../core/path.ts'
import { usageFailure } from '../command-failure.ts'

/** `init [DIR]`: makes a store. Nothing else ever does, so that a mistyped folder is an error and not a second, empty store. */
export const define: Define = (command, act) => {
  command
    .description('Makes a new, empty store. Every other command needs one and says so if it is missing.')
    .argument('[dir]', 'folder to make it in, new or empty; the same as --store DIR')
    .addHelpText(
      'after',
      `
Examples:
  artifact-store init                 make the store of your user
  artifact-store init ./data          make one in a folder; use it with --store ./data
                                      or ARTIFACT_STORE_HOME=./data`,
    )
    .action(
      act(async ({ output, configuration, create }, directory: string | undefined) => {
        const home = directory === undefined ? folderOf(configuration) : resolve(directory)
        if (directory !== undefined && configuration.homeFrom === '--store' && home !== configuration.home) {
          throw usageFailure('two folders were given: as an argument and with --store', 'Give one of them.')
        }
        const store = await create(home)
        await store.close()
        if (output.mode.json) await output.json({ store: home, id: store.id })
        else if (!output.mode.quiet) await output.line(`Made a store in ${displayPath(home)}`)
        return undefined
      }),
    )
}
