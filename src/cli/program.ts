import { Command } from 'commander'
import type { Act, Define } from './command-context.ts'
import { version } from './version.ts'

/** A command, loaded when it is used. */
interface CommandEntry {
  readonly name: string
  readonly group: string
  readonly summary: string
  readonly load: () => Promise<{ readonly define: Define }>
}

const STORING = 'Storing and reading:'
const LOOKING = 'Looking around:'
const RETAINING = 'Keeping and deleting:'
const KEEPING = 'Running a store:'

const entries: readonly CommandEntry[] = [
  { name: 'init', group: STORING, summary: 'make a new, empty store', load: () => import('./commands/init.ts') },
  { name: 'push', group: STORING, summary: 'store a folder, a file or an archive as a package', load: () => import('./commands/push.ts') },
  { name: 'pull', group: STORING, summary: 'write the files of a package into a folder', load: () => import('./commands/pull.ts') },
  { name: 'cat', group: STORING, summary: 'print one file of a package', load: () => import('./commands/cat.ts') },
  { name: 'guide-board', group: STORING, summary: 'store runs of guide-board', load: () => import('./commands/guide-board.ts') },
  { name: 'tag', group: STORING, summary: 'give a package a name, or take it away', load: () => import('./commands/tag.ts') },
  { name: 'ls', group: LOOKING, summary: 'list repositories, packages or files', load: () => import('./commands/ls.ts') },
  { name: 'show', group: LOOKING, summary: 'tell everything about a package', load: () => import('./commands/show.ts') },
  { name: 'events', group: LOOKING, summary: 'print what happened in the store, in order', load: () => import('./commands/events.ts') },
  { name: 'repository', group: LOOKING, summary: 'list, show or set up repositories', load: () => import('./commands/repository.ts') },
  { name: 'schema', group: LOOKING, summary: 'add, list or show metadata schemas', load: () => import('./commands/schema.ts') },
  { name: 'delete', group: RETAINING, summary: 'delete a package that nothing keeps', load: () => import('./commands/delete.ts') },
  { name: 'undelete', group: RETAINING, summary: 'take a deletion back', load: () => import('./commands/undelete.ts') },
  { name: 'retention', group: RETAINING, summary: 'say how long packages are kept, and why', load: () => import('./commands/retention.ts') },
  { name: 'hold', group: RETAINING, summary: 'hold packages, whatever their retention says', load: () => import('./commands/hold.ts') },
  { name: 'verify', group: KEEPING, summary: 're-read stored files and compare their digests', load: () => import('./commands/verify.ts') },
  { name: 'doctor', group: KEEPING, summary: 'examine the store and say what to do', load: () => import('./commands/doctor.ts') },
  { name: 'stats', group: KEEPING, summary: 'tell how much there is, and what it takes', load: () => import('./commands/stats.ts') },
  { name: 'gc', group: KEEPING, summary: 'remove what nothing holds any more', load: () => import('./commands/gc.ts') },
  { name: 'recover', group: KEEPING, summary: 'rebuild a lost registry from the objects', load: () => import('./commands/recover.ts') },
  { name: 'rebuild', group: KEEPING, summary: 'compare the registry with its event log', load: () => import('./commands/rebuild.ts') },
  { name: 'token', group: KEEPING, summary: 'make a token that serve will accept', load: () => import('./commands/token.ts') },
  { name: 'serve', group: KEEPING, summary: 'serve the store over HTTP', load: () => import('./commands/serve.ts') },
  {
    name: 'completion',
    group: KEEPING,
    summary: 'print a script that completes commands in your shell',
    load: () => import('./commands/completion.ts'),
  },
]

/** The names of all commands, in the order of the help. */
export const commandNames: readonly string[] = entries.map(({ name }) => name)

/** Options that every command has. */
export interface GlobalOptions {
  readonly store?: string
  readonly url?: string
  readonly tokenFile?: string
  readonly config?: string
  readonly json?: true
  readonly quiet?: true
}

/** Where help and error texts go, and how wide they may be. */
export interface ProgramSurroundings {
  readonly write: (text: string) => void
  readonly writeError: (text: string) => void
  readonly width: number
  readonly act: Act
  /** Called with the command that was chosen, before its own options are read. */
  readonly chosen: (command: Command) => void
}

/** Builds the command tree. A command's own file is loaded only when it is chosen; its options are unknown until then. */
export function createProgram(surroundings: ProgramSurroundings): Command {
  const { write, writeError, width, act, chosen } = surroundings
  const program: Command = new Command('artifact-store')
    .usage('[options] COMMAND …')
    .description('Keeps the files that programs produce as immutable, verifiable packages, and hands back exactly the same bytes.')
    .exitOverride()
    .configureOutput({
      writeOut: write,
      writeErr: writeError,
      // Every error is told in one place and one form, see failure.ts.
      outputError: () => undefined,
      getOutHelpWidth: () => width,
      getErrHelpWidth: () => width,
    })
    .configureHelp({
      showGlobalOptions: true,
      // Those of the program alone: what `events` takes is nothing to `events verify`.
      visibleGlobalOptions: (command) => (command.parent === null ? [] : program.options.filter((option) => option.attributeName() !== 'version')),
      styleTitle: (title) => (title === 'Global Options:' ? 'Options of every command:' : title),
      // Known without loading the command's file.
      subcommandTerm: (command) => command.name(),
    })
    .version(version(), '-V, --version', 'print the version')
    .option('--store <dir>', 'folder of the store (default: $ARTIFACT_STORE_HOME, or a folder of your user)')
    .option('--url <url>', 'address of a server to use instead of a folder (default: $ARTIFACT_STORE_URL)')
    .option('--token-file <file>', 'file with the token that the server wants (default: $ARTIFACT_STORE_TOKEN)')
    .option('--config <file>', 'read settings from this file (see docs/guides/configuration.md)')
    .option('--json', 'print JSON on standard output, one object a line in lists, and nothing else')
    .option('-q, --quiet', 'print results and errors only: no progress, no remarks')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .addHelpText('after', programHelp)
    .hook('preSubcommand', async (_program, subcommand) => {
      await complete(subcommand, act)
      chosen(subcommand)
    })
  for (const { name, group, summary } of entries) program.command(name).summary(summary).description(sentence(summary)).helpGroup(group)
  program
    .command('complete', { hidden: true })
    .argument('[words...]')
    .action(async (words: readonly string[]) => {
      const { completionLines } = await import('./word-completion.ts')
      write(`${completionLines(await completeProgram(program, act), words).join('\n')}\n`)
    })
  return program
}

/** Gives every command of a program its options, as needed to print them all. */
export async function completeProgram(program: Command, act: Act): Promise<Command> {
  for (const command of program.commands) await complete(command, act)
  return program
}

const completed = new WeakSet<Command>()

/** Loads the file of a command and lets it define itself, once. */
async function complete(command: Command, act: Act): Promise<void> {
  const entry = entries.find(({ name }) => name === command.name())
  if (entry === undefined || completed.has(command)) return
  completed.add(command)
  const { define } = await entry.load()
  define(command, act)
}

function sentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`
}

const programHelp = `
A package is named by its id, by NAME:TAG, or by NAME@sha256:DIGEST; the help calls this REF.

Examples:
  artifact-store init
  artifact-store push ./build --repository demo/app --tag latest
  artifact-store ls demo/app
  artifact-store pull demo/app:latest --output ./copy
  artifact-store push --help

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 refused by a rule,
5 verification failed or something is missing, 6 try again.`
