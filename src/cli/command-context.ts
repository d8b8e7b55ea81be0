import type { Command } from 'commander'
import type { StoreContext } from '../store/context.ts'
import type { Store } from '../store/interface.ts'
import type { Configuration } from './configuration.ts'
import type { ExitCode } from './exit-code.ts'
import type { Output } from './output.ts'

/** What the body of a command works with. */
export interface CommandContext {
  readonly output: Output
  readonly configuration: Configuration
  /** Aborts when the user wants the command to stop. */
  readonly signal: AbortSignal
  readonly stdin: AsyncIterable<Uint8Array>
  /** Opens the configured store; the caller closes it. */
  readonly open: () => Promise<Store>
  /** Opens the parts of the configured store, for commands that work on this machine only; the caller closes them with `closeContext`. */
  readonly openParts: () => Promise<StoreContext>
  /** Creates a store in a folder and opens it. */
  readonly create: (directory: string) => Promise<Store>
}

/** The body of a command. It returns nothing when it did what was asked, or the exit code that says otherwise. */
export type CommandBody<A extends readonly unknown[]> = (context: CommandContext, ...given: A) => Promise<ExitCode | undefined>

/** Makes an action for commander of a body. Commander calls it with the arguments and the options, and as a method of the command. */
export type Act = <A extends readonly unknown[]>(body: CommandBody<A>) => (this: Command, ...given: A) => Promise<void>

/** What a command's file exports: it gives the command its arguments, options, help and action. */
export type Define = (command: Command, act: Act) => void
