import { createCipheriv } from 'node:crypto'
import { closeSync, fsyncSync, lstatSync, mkdirSync, openSync, readdirSync, realpathSync, writeSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { CollectionOperation } from './collection.ts'
import type { ManyPackagesOperation } from './many-packages.ts'
import { root } from './place.ts'

/** Everything that can be measured. What each means is the business of the contenders that know it. */
export type Operation =
  | 'push'
  | 'push again'
  | 'pull'
  | 'version'
  | 'list'
  | 'commit alone'
  | 'commit beside other store'
  | 'commit beside seals'
  | 'commit beside 100,000 puts'
  | 'commit beside 100,000 sealed'
  | 'download'
  | 'download by 16'
  | 'download by 64'
  | 'upload'
  | 'upload by 16'
  | 'upload by 64'
  | 'keep'
  | 'page at half load'
  | 'rewrite'
  | 'prune'
  | CollectionOperation
  | ManyPackagesOperation

/** What the operations work on. `bytes` is the sum of the sizes of its files. */
export interface Input {
  readonly folder: string
  readonly files: number
  readonly bytes: number
  /** How many packages the store is to have, where that is what matters. */
  readonly packages?: number
  /** How many blobs it is to have. */
  readonly blobs?: number
}

/** Scenarios that differ in size only, from whose rows growth is fitted. */
export interface GrowthPlace {
  readonly series: string
  /** Packages, or bytes. */
  readonly size: number
  readonly label: string
}

/** A row of the benchmark: an input and the operations that are run on it, one after the other, by each contender that knows them. */
export interface Scenario {
  readonly name: string
  readonly about: string
  readonly operations: readonly Operation[]
  /** How often each contender runs, unless told otherwise. */
  readonly runs: number
  /** `all`: only when asked for, by name or with everything. `nightly`: only at night. */
  readonly when?: 'all' | 'nightly'
  readonly growth?: GrowthPlace
  /** How many packages or blobs the store is to have, where that is what matters. */
  readonly packages?: number
  readonly blobs?: number
  /** Who takes part; default: everybody who knows the operations. */
  readonly contenders?: readonly string[]
  /** Fills an empty folder. */
  readonly makeInput: (folder: string) => Promise<void>
}

const MIB = 1024 ** 2
const TREE_OPERATIONS: readonly Operation[] = ['push', 'push again', 'pull']

/** All there are, in the order in which they run. */
export const scenarios: readonly Scenario[] = [
  { name: 'start', about: 'starting the command', operations: ['version', 'list'], runs: 11, makeInput: nothing },
  { name: 'small', about: '2,000 files of 4 KiB, incompressible', operations: TREE_OPERATIONS, runs: 7, makeInput: smallFiles },
  { name: 'tree', about: 'the installed node_modules', operations: TREE_OPERATIONS, runs: 3, makeInput: installedTree },
  { name: 'large', about: 'one file of 1 GiB, incompressible', operations: TREE_OPERATIONS, runs: 3, makeInput: largeFile },
  {
    name: 'fairness',
    about: 'one process commits small packages, beside another that is busy',
    operations: ['commit alone', 'commit beside other store', 'commit beside seals', 'commit beside 100,000 puts', 'commit beside 100,000 sealed'],
    runs: 1,
    makeInput: nothing,
  },
  { name: 'http large', about: 'one file of 1 GiB over HTTP', operations: ['download', 'upload'], runs: 3, makeInput: largeFile },
  {
    name: 'http small',
    about: 'over HTTP: 20,000 downloads or 2,000 uploads of 4 KiB, or 2,000 files kept together',
    operations: ['download by 16', 'download by 64', 'upload by 16', 'upload by 64', 'keep'],
    runs: 3,
    makeInput: smallFiles,
  },
  {
    name: 'http packages',
    about: 'the first page of a listing over HTTP, in a store of 100,000 packages',
    operations: ['page at half load'],
    runs: 1,
    when: 'all',
    packages: 100_000,
    makeInput: nothing,
  },
  {
    name: 'packs',
    about: '4,096 files of 64 KiB, moved out of packs of which half is dead',
    operations: ['rewrite'],
    runs: 3,
    makeInput: mediumFiles,
  },
  {
    name: 'backup',
    about: '4,096 files of 64 KiB kept twice, half of them changed, and the first version given up',
    operations: ['prune'],
    runs: 3,
    when: 'all',
    makeInput: mediumFiles,
  },
  ...[100_000, 1_000_000].map(manyBlobs),
  ...[1_000, 10_000, 100_000, 1_000_000].map(manyPackages),
  ...[1, 16, 128, 1024, 8192].map(oneFile),
]

/** The name by which a row is chosen and shown. */
export function rowName(scenario: Scenario, operation: Operation): string {
  return `${scenario.name} ${operation}`
}

/** Makes the input of a scenario, flushed and counted. */
export async function makeInput(scenario: Scenario, folder: string): Promise<Input> {
  mkdirSync(folder, { recursive: true })
  await scenario.makeInput(folder)
  const files = inputFiles(folder)
  const bytes = files.reduce((sum, path) => sum + lstatSync(join(folder, path)).size, 0)
  const packages = scenario.packages ?? (scenario.growth?.series === 'packages' ? scenario.growth.size : undefined)
  const { blobs } = scenario
  return { folder, files: files.length, bytes, ...(packages !== undefined && { packages }), ...(blobs !== undefined && { blobs }) }
}

/** The files of an input, relative to its folder, `/` between components. */
export function inputFiles(folder: string): readonly string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return entries.map(({ parentPath, name }) => relative(folder, join(parentPath, name)))
}

function manyPackages(size: number): Scenario {
  const label = size.toLocaleString('en')
  return {
    name: `packages ${label}`,
    about: `a store of ${label} packages of one small file each, all with tags`,
    operations: ['fill', 'page', 'lookup', 'commit'],
    runs: 1,
    when: size > 100_000 ? 'nightly' : 'all',
    growth: { series: 'packages', size, label },
    makeInput: nothing,
  }
}

function manyBlobs(blobs: number): Scenario {
  const label = blobs.toLocaleString('en')
  return {
    name: `blobs ${label}`,
    about: `a store of ${label} small blobs, of which a tenth is collected`,
    operations: ['fill blobs', 'idle cycle', 'commit beside collecting', 'collect a tenth'],
    runs: 1,
    when: blobs > 100_000 ? 'nightly' : 'all',
    blobs,
    makeInput: nothing,
  }
}

function oneFile(mebibytes: number): Scenario {
  const label = mebibytes < 1024 ? `${mebibytes} MiB` : `${mebibytes / 1024} GiB`
  return {
    name: `file ${label}`,
    about: `one file of ${label}, incompressible`,
    operations: ['push', 'pull'],
    runs: 3,
    when: mebibytes > 1024 ? 'nightly' : 'all',
    growth: { series: 'file', size: mebibytes * MIB, label },
    contenders: ['ours (library)'],
    makeInput: async (folder) => noiseFile(folder, mebibytes),
  }
}

async function nothing(): Promise<void> {}

async function smallFiles(folder: string): Promise<void> {
  const bytes = new Noise()
  for (let directory = 0; directory < 20; directory++) {
    mkdirSync(join(folder, `part-${directory}`))
    for (let file = 0; file < 100; file++) writeNew(join(folder, `part-${directory}`, `result-${file}.bin`), [bytes.next(4096)])
  }
}

async function mediumFiles(folder: string): Promise<void> {
  const bytes = new Noise()
  for (let directory = 0; directory < 16; directory++) {
    mkdirSync(join(folder, `part-${directory}`))
    for (let file = 0; file < 256; file++) writeNew(join(folder, `part-${directory}`, `result-${file}.bin`), [bytes.next(65_536)])
  }
}

/** A copy, so that nothing changes it meanwhile. */
async function installedTree(folder: string): Promise<void> {
  await cp(realpathSync(join(root, 'node_modules')), folder, { recursive: true, verbatimSymlinks: true })
}

async function largeFile(folder: string): Promise<void> {
  noiseFile(folder, 1024)
}

function noiseFile(folder: string, mebibytes: number): void {
  const bytes = new Noise()
  writeNew(join(folder, 'image.bin'), Iterator.from({ next: () => ({ done: false, value: bytes.next(MIB) }) }).take(mebibytes))
}

/** The same bytes on every machine, which no codec makes smaller: the key stream of AES-CTR. */
class Noise {
  readonly #cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16))

  next(length: number): Buffer {
    return this.#cipher.update(Buffer.alloc(length))
  }
}

/** Flushed, so that no later measurement pays for it. */
function writeNew(path: string, pieces: Iterable<Uint8Array>): void {
  const file = openSync(path, 'wx')
  try {
    for (const piece of pieces) writeSync(file, piece)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
