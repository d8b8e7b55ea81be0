import type { Measurement } from './measurement.ts'
import type { Input, Operation } from './scenario.ts'

/** What must be known of an operation to compare it fairly. */
export interface OperationFacts {
  /** What was written survives a power cut once the operation says that it is done. */
  readonly flushes: boolean
}

/** A way to do the work. */
export interface Contender {
  readonly name: string
  readonly about: string
  /** What it can do; the others are left out of its rows. */
  readonly operations: Readonly<Partial<Record<Operation, OperationFacts>>>
  /** Takes part only when asked for; see the README. */
  readonly onDemand?: true
  /** What the program says its version is, for one that comes from elsewhere; undefined when it is not on this machine. */
  readonly version?: () => string | undefined
  /** Gets ready in an empty folder of its own; not measured. */
  readonly prepare: (input: Input, folder: string) => Promise<Attempt>
}

/** One contender in one run of one scenario. Operations are called in the order in which the scenario has them. */
export interface Attempt {
  readonly run: (operation: Operation) => Promise<Measurement>
  /** Makes sure that the operation did what it should have. @throws Error if not */
  readonly verify: (operation: Operation) => Promise<void>
  /** Ends what runs for it, whatever became of the operations. */
  readonly end?: () => Promise<void>
}

/** For an operation that a contender was never asked to support. */
export function unknownOperation(contender: Contender, operation: Operation): Error {
  return new Error(`${contender.name} does not know how to ${operation}`)
}
