import { join } from 'node:path'
import { compareTrees } from '../../src/testing/compare-trees.ts'
import type { Attempt, Contender } from '../contender.ts'
import { unknownOperation } from '../contender.ts'
import type { Measurement } from '../measurement.ts'
import type { Input, Operation } from '../scenario.ts'
import { runSelfMeasured } from '../self-measured.ts'

/** The plain way to keep files safe: copy each and flush it. It finds no damage, shares nothing, and has no names for what it keeps. */
export const flushingCopy: Contender = {
  name: 'flushing copy',
  about: 'a copy with one flush a file; back: the same copy without flushes',
  operations: { push: { flushes: true }, pull: { flushes: false } },
  prepare: async (input, folder) => new CopyAttempt(input, folder),
}

class CopyAttempt implements Attempt {
  readonly #input: Input
  readonly #folder: string

  constructor(input: Input, folder: string) {
    this.#input = input
    this.#folder = folder
  }

  async run(operation: Operation): Promise<Measurement> {
    switch (operation) {
      case 'push':
        return this.#copy(this.#input.folder, this.#place('push'), 'flush')
      case 'pull':
        return this.#copy(this.#place('push'), this.#place('pull'), 'plain')
      default:
        throw unknownOperation(flushingCopy, operation)
    }
  }

  async verify(operation: Operation): Promise<void> {
    const differences = await compareTrees(this.#input.folder, this.#place(operation))
    if (differences.length > 0) throw new Error(`the copy is another:\n${differences.join('\n')}`)
  }

  async #copy(...args: string[]): Promise<Measurement> {
    return (await runSelfMeasured('copy-tree.ts', args, this.#folder)).measurement
  }

  #place(operation: Operation): string {
    return join(this.#folder, operation)
  }
}
