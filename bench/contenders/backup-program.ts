import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { compareTrees } from '../../src/testing/compare-trees.ts'
import { changedCopy } from '../changed-copy.ts'
import type { Attempt, Contender, OperationFacts } from '../contender.ts'
import { unknownOperation } from '../contender.ts'
import { measureChild, runChild } from '../measure-child.ts'
import type { Measurement } from '../measurement.ts'
import type { Input, Operation } from '../scenario.ts'

/** One call of a program, and where it is made. */
export interface BackupCall {
  readonly args: readonly string[]
  readonly cwd?: string
}

/** What differs between backup programs. Everything they keep, caches included, lies below the folder that `environment` is given. */
export interface BackupProgram {
  readonly name: string
  readonly about: string
  readonly flushes: { readonly backup: OperationFacts; readonly restore: OperationFacts }
  readonly version: readonly string[]
  readonly environment: (folder: string) => Readonly<Record<string, string>>
  readonly init: readonly string[]
  readonly backup: (source: string, name: string) => BackupCall
  /** Gives up a backup, and what only it has. */
  readonly prune: (name: string) => readonly BackupCall[]
  /** Tells how much is in a backup; see `filesIn`. Not measured. */
  readonly describe: (name: string) => readonly string[]
  /** The number of regular files, from what `describe` printed. */
  readonly filesIn: (described: string) => number
  readonly restore: (output: string, name: string) => BackupCall
  /** Where a restored tree lies. */
  readonly restored: (source: string, output: string) => string
}

/** A program from the system's packages as a contender: every operation is a process of its own; making the repository is not measured. */
export function backupContender(program: BackupProgram): Contender {
  return {
    name: program.name,
    about: program.about,
    onDemand: true,
    operations: { push: program.flushes.backup, 'push again': program.flushes.backup, pull: program.flushes.restore, prune: program.flushes.backup },
    version: () => versionOf(program),
    prepare: async (input, folder) => {
      const attempt = new BackupAttempt(program, input, folder)
      await attempt.init()
      return attempt
    },
  }
}

function versionOf({ name, version }: BackupProgram): string | undefined {
  const { status, stdout } = spawnSync(name, version, { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
}

class BackupAttempt implements Attempt {
  readonly #program: BackupProgram
  readonly #input: Input
  readonly #folder: string
  readonly #output: string
  #latest = ''
  #changed = ''

  constructor(program: BackupProgram, input: Input, folder: string) {
    this.#program = program
    this.#input = input
    this.#folder = folder
    this.#output = join(folder, 'output')
    mkdirSync(this.#output)
  }

  async init(): Promise<void> {
    await runChild(this.#command({ args: this.#program.init }))
  }

  async run(operation: Operation): Promise<Measurement> {
    switch (operation) {
      case 'push':
        return this.#backup('first')
      case 'push again':
        return this.#backup('again')
      case 'prune':
        return this.#prune()
      case 'pull':
        return this.#measure(this.#program.restore(this.#output, this.#latest))
      default:
        throw unknownOperation(backupContender(this.#program), operation)
    }
  }

  async verify(operation: Operation): Promise<void> {
    if (operation === 'pull') return this.#verifyRestored(this.#input.folder)
    if (operation === 'prune') {
      await this.#measure(this.#program.restore(this.#output, this.#latest))
      return this.#verifyRestored(this.#changed)
    }
    const files = this.#program.filesIn(await runChild(this.#command({ args: this.#program.describe(this.#latest) })))
    if (files !== this.#input.files) throw new Error(`${operation} kept ${files} files, not ${this.#input.files}`)
  }

  /** Two backups, of which the first is given up: what is left of it is what did not change. */
  async #prune(): Promise<Measurement> {
    await this.#backup('first')
    this.#changed = await changedCopy(this.#input.folder, this.#folder)
    this.#latest = 'second'
    await this.#measure(this.#program.backup(this.#changed, this.#latest))
    const [first, ...others] = this.#program.prune('first')
    if (first === undefined) throw new Error(`${this.#program.name} has no way to prune`)
    const measurement = await this.#measure(first)
    let { milliseconds } = measurement
    for (const call of others) milliseconds += (await this.#measure(call)).milliseconds
    return { ...measurement, milliseconds }
  }

  async #verifyRestored(source: string): Promise<void> {
    const differences = await compareTrees(source, this.#program.restored(source, this.#output))
    if (differences.length > 0) throw new Error(`${this.#program.name} gave back something else:\n${differences.join('\n')}`)
  }

  async #backup(name: string): Promise<Measurement> {
    this.#latest = name
    return this.#measure(this.#program.backup(this.#input.folder, name))
  }

  async #measure(call: BackupCall): Promise<Measurement> {
    return (await measureChild(this.#command(call))).measurement
  }

  #command(call: BackupCall): Parameters<typeof measureChild>[0] {
    return { program: this.#program.name, environment: this.#program.environment(this.#folder), scratch: this.#folder, ...call }
  }
}
