import type { ExitCode } from './exit-code.ts'
import { exitCode } from './exit-code.ts'

/** A failure that belongs to the command line alone: how it was called, or what it refuses before the store is asked. */
export class CommandFailure extends Error {
  readonly exitCode: ExitCode
  /** What to do next, in one or more lines. */
  readonly next: string | undefined

  constructor(message: string, code: ExitCode, next?: string) {
    super(message)
    this.name = 'CommandFailure'
    this.exitCode = code
    this.next = next
  }
}

/** The command was called in a way that cannot work (exit code 2). */
export function usageFailure(message: string, next?: string): CommandFailure {
  return new CommandFailure(message, exitCode.usage, next)
}

/** Why the operating system refused something: its code, such as `ENOENT`, or whatever there is to say. */
export function systemReason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.message
}

/** Whoever read standard output is gone (`… | head`). Ends a command quietly. */
export class OutputClosed extends Error {
  constructor() {
    super('standard output was closed')
    this.name = 'OutputClosed'
  }
}
