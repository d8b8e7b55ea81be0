import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { compareTrees } from '../../src/testing/compare-trees.ts'
import type { Attempt, Contender } from '../contender.ts'
import { unknownOperation } from '../contender.ts'
import type { JsonFields } from '../json-fields.ts'
import { numberField, parseFields, textField } from '../json-fields.ts'
import type { Command, MeasuredRun } from '../measure-child.ts'
import { measureChild } from '../measure-child.ts'
import type { Measurement } from '../measurement.ts'
import { launcher, nodeEnvironment } from '../place.ts'
import type { Input, Operation } from '../scenario.ts'

/** This store as a person uses it: every operation is a command of its own, its start included. Making the store is not measured. */
export const oursCommand: Contender = {
  name: 'ours (command)',
  about: 'bin/artifact-store push and pull, a fresh store each run; every operation is a process of its own',
  operations: {
    push: { flushes: true },
    'push again': { flushes: true },
    pull: { flushes: false },
    version: { flushes: false },
    list: { flushes: false },
  },
  prepare: async (input, folder) => {
    await fillCompileCache(folder)
    const attempt = new CommandAttempt(input, folder)
    await attempt.command('init')
    return attempt
  },
}

class CommandAttempt implements Attempt {
  readonly #input: Input
  readonly #folder: string
  #pushed: JsonFields | undefined

  constructor(input: Input, folder: string) {
    this.#input = input
    this.#folder = folder
  }

  async run(operation: Operation): Promise<Measurement> {
    switch (operation) {
      case 'push':
      case 'push again': {
        const { stdout, measurement } = await this.command('push', this.#input.folder, '--repository', 'bench/input', '--json')
        this.#pushed = parseFields(stdout)
        return measurement
      }
      case 'pull':
        return (await this.command('pull', textField(this.#pushed ?? {}, 'packageId'), '--output', this.#output)).measurement
      case 'version':
        return this.#start('--version')
      case 'list':
        return this.#start('ls')
      default:
        throw unknownOperation(oursCommand, operation)
    }
  }

  async verify(operation: Operation): Promise<void> {
    if (operation === 'push' || operation === 'push again') verifyReceipt(this.#pushed ?? {}, this.#input, operation)
    if (operation !== 'pull') return
    const differences = await compareTrees(this.#input.folder, this.#output)
    if (differences.length > 0) throw new Error(`pull gave back something else:\n${differences.join('\n')}`)
  }

  command(...args: string[]): Promise<MeasuredRun> {
    return measureChild({ ...this.#process(args), isNode: true })
  }

  /** Without being asked for its memory, which takes a few milliseconds. */
  async #start(...args: string[]): Promise<Measurement> {
    return (await measureChild(this.#process(args))).measurement
  }

  #process(args: readonly string[]): Command {
    return {
      program: launcher,
      args: [...args, '--store', join(this.#folder, 'store')],
      // What is remembered of a tree starts empty in each run; compiled code is kept, as it is between the commands of a user.
      environment: { ARTIFACT_STORE_CACHE: join(this.#folder, 'cache'), ...nodeEnvironment(this.#folder) },
      scratch: this.#folder,
    }
  }

  get #output(): string {
    return join(this.#folder, 'output')
  }
}

/** @throws Error when a push did not store what it was given */
export function verifyReceipt(receipt: JsonFields, input: Input, operation: Operation): void {
  const [files, bytes] = [numberField(receipt, 'fileCount'), numberField(receipt, 'size')]
  if (files !== input.files || bytes !== input.bytes) throw new Error(`stored ${files} files of ${bytes} bytes, not ${input.files} of ${input.bytes}`)
  if (receipt['reusedExisting'] !== (operation === 'push again'))
    throw new Error(`${operation}: reusedExisting is ${String(receipt['reusedExisting'])}`)
}

let isWarm = false

/** Runs every command once, so that the first measured run does not compile for all others. @param folder of an attempt */
export async function fillCompileCache(folder: string): Promise<void> {
  if (isWarm) return
  isWarm = true
  const place = `${folder}-first`
  const input = join(place, 'input')
  mkdirSync(input, { recursive: true })
  // Enough for threads to be started, whose code is compiled on its own.
  const files = 1_000
  for (let file = 0; file < files; file++) writeFileSync(join(input, `${file}`), 'content')
  const attempt = new CommandAttempt({ folder: input, files, bytes: files * 'content'.length }, place)
  await attempt.command('init')
  for (const operation of ['version', 'list', 'push', 'push again', 'pull'] as const) {
    await attempt.run(operation)
    await attempt.verify(operation)
  }
}
