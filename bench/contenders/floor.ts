import { stat } from 'node:fs/promises'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { compareTrees } from '../../src/testing/compare-trees.ts'
import type { Attempt, Contender } from '../contender.ts'
import { unknownOperation } from '../contender.ts'
import { measureChild } from '../measure-child.ts'
import type { Measurement } from '../measurement.ts'
import type { Input, Operation } from '../scenario.ts'

/**
 * What can hardly be beaten by a program that reads everything, hashes it and keeps it: `tar` into a file and `sha256sum`, one flush at the end. It
 * remembers nothing, so that an unchanged tree costs it what it cost the first time, which is not measured again.
 */
export const floor: Contender = {
  name: 'floor',
  about:
    'tar into one file and into sha256sum, then one flush; back: sha256sum beside tar; start: an empty Node program; rewrite: one copy of all bytes, then one flush',
  operations: {
    push: { flushes: true },
    'push again': { flushes: true },
    pull: { flushes: false },
    version: { flushes: false },
    rewrite: { flushes: true },
  },
  prepare: async (input, folder) => new FloorAttempt(input, folder),
}

const PUSH = 'set -eo pipefail; tar -cf - -C "$1" . | tee "$2" | sha256sum > "$2.sha256"; sync "$2"'
/** What is in the files, read once and written once. */
const REWRITE = 'set -e; find "$1" -type f -exec cat {} + > "$2"; sync "$2"'
const PULL = 'set -e; sha256sum < "$1" > "$1.again" & tar -xf "$1" -C "$2"; wait $!; cmp "$1.sha256" "$1.again"'

class FloorAttempt implements Attempt {
  readonly #input: Input
  readonly #folder: string
  readonly #archive: string
  readonly #output: string
  #pushed: Measurement | undefined

  constructor(input: Input, folder: string) {
    this.#input = input
    this.#folder = folder
    this.#archive = join(folder, 'archive.tar')
    this.#output = join(folder, 'output')
    mkdirSync(this.#output)
  }

  async run(operation: Operation): Promise<Measurement> {
    switch (operation) {
      case 'push':
        this.#pushed = await this.#bash(PUSH, this.#input.folder, this.#archive)
        return this.#pushed
      case 'push again':
        if (this.#pushed === undefined) throw new Error('nothing was pushed before')
        return this.#pushed
      case 'pull':
        return this.#bash(PULL, this.#archive, this.#output)
      case 'rewrite':
        return this.#bash(REWRITE, this.#input.folder, join(this.#folder, 'copy'))
      case 'version':
        return (await measureChild({ program: process.execPath, args: ['--eval', ''], scratch: this.#folder })).measurement
      default:
        throw unknownOperation(floor, operation)
    }
  }

  async verify(operation: Operation): Promise<void> {
    if (operation === 'push' && (await stat(this.#archive)).size < this.#input.bytes) throw new Error('the archive is smaller than what is in it')
    if (operation !== 'pull') return
    const differences = await compareTrees(this.#input.folder, this.#output)
    if (differences.length > 0) throw new Error(`tar gave back something else:\n${differences.join('\n')}`)
  }

  async #bash(script: string, ...args: string[]): Promise<Measurement> {
    return (await measureChild({ program: 'bash', args: ['-c', script, 'bash', ...args], scratch: this.#folder })).measurement
  }
}
