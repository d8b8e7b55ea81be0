import type { Readable } from 'node:stream'
import { inspect } from 'node:util'
import type { Command } from 'commander'
import { CommanderError } from 'commander'
import { AbortedError, StoreError } from '../core/errors.ts'
import type { StoreOptions } from '../store/open.ts'
import type { Act, CommandContext } from './command-context.ts'
import { OutputClosed, usageFailure } from './command-failure.ts'
import type { Environment } from './configuration.ts'
import type { ExitCode } from './exit-code.ts'
import { exitCode } from './exit-code.ts'
import { failureJson, failureText, reportFailure } from './failure.ts'
import type { SignalSource } from './interrupt.ts'
import { Interrupt } from './interrupt.ts'
import type { OutputStream } from './output.ts'
import { Output, written } from './output.ts'
import type { GlobalOptions } from './program.ts'
import { createProgram } from './program.ts'

/** What a process gives the command line. */
export interface CliProcess {
  /** Arguments after the name of the program. */
  readonly arguments: readonly string[]
  readonly environment: Environment
  readonly platform: NodeJS.Platform
  readonly stdin: Readable
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  readonly signals: SignalSource
  /** Ends the process at once. */
  readonly kill: () => void
}

/** Runs one command. Never throws. @returns the exit code of the process */
export async function runCli(host: CliProcess): Promise<ExitCode> {
  let result: ExitCode = exitCode.done
  let chosen: Command | undefined
  let unwritten: Error | undefined
  // Somebody has to listen, or the process dies of it. What a command writes is watched by its Output.
  host.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') unwritten = error
  })
  host.stderr.on('error', () => undefined)
  const act: Act = (body) =>
    async function (...given) {
      result = (await runBody(host, this, (context) => body(context, ...given))) ?? exitCode.done
    }
  const program = createProgram({
    write: (text) => host.stdout.write(text),
    writeError: (text) => host.stderr.write(text),
    width: host.stdout.isTTY === true ? (host.stdout.columns ?? 80) : 100,
    act,
    chosen: (command) => {
      chosen = command
    },
  })
  try {
    await program.parseAsync(host.arguments, { from: 'user' })
    return result
  } catch (error) {
    if (error instanceof OutputClosed) return exitCode.done
    if (error instanceof CommanderError && error.exitCode === 0) {
      await written(host.stdout)
      return unwritten === undefined ? exitCode.done : tellFailure(host, unwritten)
    }
    // Called without a command: commander has printed the help already.
    if (error instanceof CommanderError && error.code === 'commander.help') return exitCode.usage
    return tellFailure(host, error instanceof CommanderError ? usageError(error, chosen ?? program) : error)
  }
}

/** Tells an error on standard error. @returns the exit code it has */
export function tellFailure(host: CliProcess, error: unknown): ExitCode {
  const report = reportFailure(error)
  host.stderr.write(asksForJson(host.arguments) ? failureJson(report) : failureText(report))
  if ((host.environment['ARTIFACT_STORE_DEBUG'] ?? '') !== '') host.stderr.write(`${inspect(error)}\n`)
  return report.exitCode
}

async function runBody(
  host: CliProcess,
  command: Command,
  body: (context: CommandContext) => Promise<ExitCode | undefined>,
): Promise<ExitCode | undefined> {
  const options = command.optsWithGlobals<GlobalOptions & { readonly host?: string; readonly port?: string; readonly allowAnonymousBind?: true }>()
  const { folderOf, readConfiguration } = await import('./configuration.ts')
  const configuration = await readConfiguration({
    flags: {
      home: options.store,
      url: options.url,
      token: options.tokenFile,
      host: options.host,
      port: options.port,
      allow_anonymous_bind: options.allowAnonymousBind === true ? 'true' : undefined,
    },
    file: options.config,
    environment: host.environment,
    platform: host.platform,
  })
  const mode = { json: options.json === true, quiet: options.quiet === true, environment: host.environment }
  const output = new Output(host.stdout, host.stderr, mode)
  using interrupt = new Interrupt(host.signals, () => output.note('Stopping … (press Ctrl-C again to stop at once)'), host.kill)
  const { signal } = interrupt
  const context: CommandContext = {
    output,
    configuration,
    signal,
    stdin: host.stdin,
    open: async () => {
      if (configuration.server !== undefined) {
        const { openServer } = await import('./server-connection.ts')
        return openServer(configuration.server, host.environment, signal)
      }
      const { openStore } = await import('../store/open.ts')
      return openStore(configuration.home, await storeOptions(host.environment))
    },
    openParts: async () => {
      const folder = folderOf(configuration)
      const { openContext } = await import('../store/open-context.ts')
      return openContext(folder, await storeOptions(host.environment))
    },
    create: async (directory) => {
      const { createStore } = await import('../store/open.ts')
      return createStore(directory, await storeOptions(host.environment))
    },
  }
  try {
    const code = await body(context)
    await output.flush()
    return code
  } catch (error) {
    // What was printed before belongs to the reader, whatever happened then.
    await output.flush().catch(() => undefined)
    throw signal.aborted && !(error instanceof StoreError) && !(error instanceof OutputClosed) ? stopped(signal, error) : error
  }
}

async function storeOptions(environment: Environment): Promise<StoreOptions> {
  const actor = `os:${await userName()}`
  const spec = environment['ARTIFACT_STORE_FAILPOINT'] ?? ''
  if (spec === '') return { actor }
  const { failpoint } = await import('../decorators/failpoint.ts')
  return { actor, observe: failpoint(spec) }
}

/** A container may run as a user that nobody has named. */
async function userName(): Promise<string> {
  const { userInfo } = await import('node:os')
  try {
    return userInfo().username
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}`
  }
}

/** Whatever breaks off because the user wanted it to has stopped at the user's request. */
function stopped(signal: AbortSignal, cause: unknown): Error {
  return signal.reason instanceof Error ? signal.reason : new AbortedError('stopped at your request before it was done', { cause })
}

function usageError(error: CommanderError, command: Command): Error {
  const [message = '', suggestion] = error.message.replace(/^error: /, '').split('\n')
  const advice = suggestion === undefined ? '' : `${suggestion.replace(/^\((.*)\)$/, '$1')} `
  return usageFailure(message, `${advice}Run ${commandPath(command)} --help to see how it is used.`)
}

function commandPath(command: Command): string {
  const names: string[] = []
  for (let current: Command | null = command; current !== null; current = current.parent) names.unshift(current.name())
  return names.join(' ')
}

/** Asked before the options are read, as reading them may be what fails. */
function asksForJson(given: readonly string[]): boolean {
  const end = given.indexOf('--')
  return given.slice(0, end === -1 ? given.length : end).includes('--json')
}
