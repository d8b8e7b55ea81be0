import { NotFoundError } from '../../core/errors.ts'
import type { RepositoryPolicy } from '../../core/repository-policy.ts'
import type { RepositoryInfo, Store } from '../../store/interface.ts'
import type { Define } from '../command-context.ts'
import { usageFailure } from '../command-failure.ts'
import { parseSwitch } from '../option-values.ts'
import type { Output } from '../output.ts'
import { formatCount } from '../render/bytes.ts'
import { propertyLines } from '../render/table.ts'
import { formatTime } from '../render/time.ts'
import { listRepositories } from '../repository-list.ts'

/** What `repository set` was given, as text. */
interface SetOptions {
  readonly defaultClass?: string
  readonly minimumClass?: string
  readonly publicRead?: string
  readonly immutableTags?: string
  readonly separationOfDuties?: string
}

/** How a class is taken away. */
const NO_CLASS = 'none'

/** `repository list`, `repository show` and `repository set`. */
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
  command
    .command('show')
    .summary('tell what holds for the packages of a repository')
    .description('Tells how many packages a repository has, and its policy.')
    .argument('<name>', 'the repository')
    .addHelpText('after', '\nExamples:\n  artifact-store repository show demo/app\n  artifact-store repository show demo/app --json')
    .action(
      act(async ({ output, open }, name: string) => {
        await using store = await open()
        await printRepository(output, await store.repositories.get(name))
        return undefined
      }),
    )
  command
    .command('set')
    .summary('change the policy of a repository')
    .description(
      'Changes what holds for packages that are sealed from now on; makes the repository when there is none. What is not named stays as it is.',
    )
    .argument('<name>', 'the repository')
    .option('--default-class <class>', `class of packages that name none; "${NO_CLASS}" takes it away`)
    .option('--minimum-class <class>', `nothing is kept shorter than this class says; "${NO_CLASS}" takes it away`)
    .option('--public-read <switch>', 'true: anybody may read, also without a token')
    .option('--immutable-tags <switch>', 'true: a tag that is set cannot be moved or removed')
    .option('--separation-of-duties <switch>', 'true: who approves a deletion or releases a hold must be another than who asked for it')
    .addHelpText(
      'after',
      '\nExamples:\n  artifact-store repository set demo/app --default-class raw-evidence --immutable-tags true\n  artifact-store repository set demo/app --default-class none',
    )
    .action(
      act(async ({ output, open }, name: string, options: SetOptions) => {
        const changed = Object.values(options).some((value) => value !== undefined)
        if (!changed) throw usageFailure('nothing to change was named', 'See what there is to change: artifact-store repository set --help')
        const switches = {
          publicRead: parseSwitch('--public-read', options.publicRead),
          immutableTags: parseSwitch('--immutable-tags', options.immutableTags),
          separationOfDuties: parseSwitch('--separation-of-duties', options.separationOfDuties),
        }
        await using store = await open()
        const policy = {
          ...(await currentPolicy(store, name)),
          ...given(switches),
          ...given({ defaultClass: options.defaultClass, minimumClass: options.minimumClass }),
        }
        await printRepository(output, await store.repositories.set(name, withoutNone(policy)))
        return undefined
      }),
    )
}

async function currentPolicy(store: Store, name: string): Promise<RepositoryPolicy> {
  try {
    return (await store.repositories.get(name)).policy
  } catch (error) {
    if (error instanceof NotFoundError) return {}
    throw error
  }
}

function given<T extends object>(members: T): { [Key in keyof T]?: NonNullable<T[Key]> } {
  // Sound: what is undefined has been left out.
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as { [Key in keyof T]?: NonNullable<T[Key]> }
}

function withoutNone(policy: RepositoryPolicy): RepositoryPolicy {
  return Object.fromEntries(Object.entries(policy).filter(([, value]) => value !== NO_CLASS))
}

async function printRepository(output: Output, repository: RepositoryInfo): Promise<void> {
  const { name, packages, createdAt, policy } = repository
  if (output.mode.json) return output.json(repository)
  if (output.mode.quiet) return output.line(name)
  const lines = propertyLines([
    ['repository', name],
    ['packages', formatCount(packages)],
    ['created', formatTime(createdAt)],
    ['default class', policy.defaultClass ?? NO_CLASS],
    ['minimum class', policy.minimumClass ?? NO_CLASS],
    ['public read', yesOrNo(policy.publicRead)],
    ['immutable tags', yesOrNo(policy.immutableTags)],
    ['separation of duties', yesOrNo(policy.separationOfDuties)],
  ])
  for (const line of lines) await output.line(line)
}

function yesOrNo(value: boolean | undefined): string {
  return value === true ? 'yes' : 'no'
}
