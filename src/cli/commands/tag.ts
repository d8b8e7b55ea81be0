import type { Define } from '../command-context.ts'
import { displayPath } from '../../core/path.ts'
import { CommandFailure } from '../command-failure.ts'
import { exitCode } from '../exit-code.ts'

/** `tag REF TAG`: points a tag of the package's repository at it, or removes it. */
export const define: Define = (command, act) => {
  command
    .description('Gives a package a name in its repository, or takes the name away. A tag points to one package; setting it again moves it.')
    .argument('<ref>', 'the package: its id, NAME:TAG, or NAME@sha256:DIGEST')
    .argument('<tag>', 'letters, digits, "_", "." and "-", at most 128; such as latest or v1.2')
    .option('--remove', 'remove the tag, if it points to this package')
    .addHelpText(
      'after',
      `
Examples:
  artifact-store tag demo/app:latest v1.2
  artifact-store tag demo/app:v1.2 v1.2 --remove`,
    )
    .action(
      act(async ({ output, open }, ref: string, tag: string, options: { readonly remove?: true }) => {
        await using store = await open()
        const { id, repository, tags } = await store.packages.get(ref)
        if (options.remove === undefined) {
          await store.tags.set(repository, tag, id)
        } else {
          const carries = tags.some((name) => name === tag)
          if (!carries)
            throw new CommandFailure(`package ${id} has no tag ${displayPath(tag)}`, exitCode.notFound, `See its tags: artifact-store show ${id}`)
          await store.tags.remove(repository, tag)
        }
        if (output.mode.json) await output.json({ repository, tag, packageId: id, removed: options.remove === true })
        else if (!output.mode.quiet)
          await output.line(options.remove === true ? `Removed ${repository}:${tag}` : `${repository}:${tag} is package ${id}`)
        return undefined
      }),
    )
}
