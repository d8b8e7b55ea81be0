import { join } from 'node:path'
import { compareTrees } from '../../src/testing/compare-trees.ts'
import { CommitWait } from '../commit-wait.ts'
import type { Attempt, Contender } from '../contender.ts'
import { unknownOperation } from '../contender.ts'
import type { JsonFields } from '../json-fields.ts'
import { numberField, textField } from '../json-fields.ts'
import type { Measurement } from '../measurement.ts'
import type { Input, Operation } from '../scenario.ts'
import type { SelfMeasured } from '../self-measured.ts'
import { runSelfMeasured } from '../self-measured.ts'
import { changedCopy } from '../changed-copy.ts'
import { measureCollection } from '../collection.ts'
import { measureManyPackages } from '../many-packages.ts'
import { fillCompileCache, verifyReceipt } from './ours-command.ts'

/** This store as a program uses it: the library is loaded; measured is the work from opening a store to closing it. */
export const oursLibrary: Contender = {
  name: 'ours (library)',
  about: 'openStore, push or pull, close, in a process that has the library loaded; a fresh store each run',
  operations: {
    push: { flushes: true },
    upload: { flushes: true },
    'push again': { flushes: true },
    pull: { flushes: false },
    'commit alone': { flushes: true },
    'commit beside other store': { flushes: true },
    'commit beside seals': { flushes: true },
    'commit beside 100,000 puts': { flushes: true },
    'commit beside 100,000 sealed': { flushes: true },
    fill: { flushes: true },
    page: { flushes: false },
    lookup: { flushes: false },
    commit: { flushes: true },
    'fill blobs': { flushes: true },
    'idle cycle': { flushes: true },
    'commit beside collecting': { flushes: true },
    'collect a tenth': { flushes: true },
    rewrite: { flushes: true },
    prune: { flushes: true },
  },
  prepare: (input, folder) => prepareLibrary(input, folder, []),
}

/** The same without the flushes of files and folders: what they cost. The registry's database flushes in any case. */
export const oursUnflushed: Contender = {
  name: 'ours (unflushed)',
  about: 'as ours (library), with no flush of files and folders; the database flushes in any case',
  onDemand: true,
  operations: { push: { flushes: false }, 'push again': { flushes: false }, pull: { flushes: false } },
  prepare: (input, folder) => prepareLibrary(input, folder, ['--no-flush']),
}

async function prepareLibrary(input: Input, folder: string, flags: readonly string[]): Promise<Attempt> {
  await fillCompileCache(folder)
  const attempt = new LibraryAttempt(input, folder, flags)
  // Filling makes its own.
  if (input.packages === undefined && input.blobs === undefined) await attempt.library('create')
  return attempt
}

class LibraryAttempt implements Attempt {
  readonly #input: Input
  readonly #folder: string
  readonly #commitWait: CommitWait
  readonly #flags: readonly string[]
  #pushed: JsonFields | undefined

  constructor(input: Input, folder: string, flags: readonly string[]) {
    this.#input = input
    this.#folder = folder
    this.#flags = flags
    this.#commitWait = new CommitWait(this.#store)
  }

  async run(operation: Operation): Promise<Measurement> {
    switch (operation) {
      case 'push':
      case 'upload':
      case 'push again': {
        const { fields, measurement } = await this.library('push', this.#input.folder)
        this.#pushed = fields
        return measurement
      }
      case 'pull':
        return (await this.library('pull', this.#output, textField(this.#pushed ?? {}, 'id'))).measurement
      case 'commit alone':
      case 'commit beside other store':
      case 'commit beside seals':
      case 'commit beside 100,000 puts':
      case 'commit beside 100,000 sealed':
        return this.#commitWait.measure(operation)
      case 'fill':
      case 'page':
      case 'lookup':
      case 'commit':
        return measureManyPackages(operation, this.#store, this.#input, this.#folder)
      case 'fill blobs':
      case 'idle cycle':
      case 'commit beside collecting':
      case 'collect a tenth':
        return measureCollection(operation, this.#store, this.#input, this.#folder)
      case 'rewrite':
        return this.#rewrite()
      case 'prune':
        return this.#prune()
      default:
        throw unknownOperation(oursLibrary, operation)
    }
  }

  async verify(operation: Operation): Promise<void> {
    if (operation === 'push' || operation === 'push again') verifyReceipt(this.#pushed ?? {}, this.#input, operation)
    if (operation !== 'pull') return
    const differences = await compareTrees(this.#input.folder, this.#output)
    if (differences.length > 0) throw new Error(`pull gave back something else:\n${differences.join('\n')}`)
  }

  async #rewrite(): Promise<Measurement> {
    const { measurement, fields } = await runSelfMeasured('collection.ts', ['rewrite', `${this.#store}-packs`, this.#input.folder], this.#folder)
    // A last, small pack may be left alone.
    const moved = numberField(fields, 'moved')
    if (moved < this.#input.bytes * 0.95) throw new Error(`only ${moved} of ${this.#input.bytes} bytes were moved`)
    return measurement
  }

  async #prune(): Promise<Measurement> {
    const changed = await changedCopy(this.#input.folder, this.#folder)
    const store = `${this.#store}-kept`
    const { measurement, fields } = await runSelfMeasured('collection.ts', ['prune', store, this.#input.folder, changed], this.#folder)
    await runSelfMeasured('library-run.ts', ['pull', store, '', this.#output, textField(fields, 'id')], this.#folder)
    const differences = await compareTrees(changed, this.#output)
    if (differences.length > 0) throw new Error(`what was to be kept is another:\n${differences.join('\n')}`)
    return measurement
  }

  library(operation: 'create' | 'push' | 'pull', ...args: string[]): Promise<SelfMeasured> {
    return runSelfMeasured('library-run.ts', [...this.#flags, operation, this.#store, join(this.#folder, 'cache'), ...args], this.#folder)
  }

  get #store(): string {
    return join(this.#folder, 'store')
  }

  get #output(): string {
    return join(this.#folder, 'output')
  }
}
