import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Store } from '../store/interface.ts'
import { crashContent } from './crash-content.ts'

/** A package that a process was told is stored. `files`: content numbers by path. `ms`: how long it took. */
export interface Acknowledged {
  readonly id: string
  readonly manifestDigest: string
  readonly files: Readonly<Record<string, number>>
  readonly ms: number
}

/** A push that failed. */
export interface FailedPush {
  readonly failed: string
  readonly retryable: boolean
  readonly message: string
}

/** How to start a {@link Pusher}. */
export interface PusherOptions {
  /** First number of the packages; two pushers must be far apart. */
  readonly seed: number
  readonly env?: Readonly<Record<string, string>>
  /** Options of node. */
  readonly execArgv?: readonly string[]
  /** It is killed after this time, whatever its test does; milliseconds, default 60,000. */
  readonly longest?: number
}

const CHILD = fileURLToPath(new URL('pushing-child.ts', import.meta.url))

/** Another process that pushes packages into a store, and the ledger of what it was told. Killed when the test is over. */
export class Pusher {
  readonly acknowledged: Acknowledged[] = []
  readonly failures: FailedPush[] = []
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown>
  #stderr = ''
  readonly #watchers: (() => void)[] = []

  constructor(t: TestContext, directory: string, { seed, env = {}, execArgv = [], longest = 60_000 }: PusherOptions) {
    const child = spawn(process.execPath, [...execArgv, '--max-old-space-size=256', CHILD, directory, String(seed)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    this.#child = child
    const limit = setTimeout(() => child.kill('SIGKILL'), longest)
    child.once('close', () => {
      clearTimeout(limit)
      this.#changed()
    })
    this.#exit = once(child, 'close')
    t.after(() => this.kill())
    createInterface({ input: child.stdout }).on('line', (line) => {
      // Sound: the line is what pushing-child.ts writes.
      const said = JSON.parse(line) as Acknowledged | FailedPush
      if ('failed' in said) this.failures.push(said)
      else this.acknowledged.push(said)
      this.#changed()
    })
    child.stderr.on('data', (text: Buffer) => (this.#stderr = `${this.#stderr}${text.toString()}`.slice(-10_000)))
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get #over(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** Waits for this many more packages. */
  async pushed(count: number): Promise<void> {
    const wanted = this.acknowledged.length + count
    while (this.acknowledged.length < wanted) {
      assert.ok(!this.#over, `the pusher ended early: ${JSON.stringify(this.failures)} ${this.#stderr}`)
      await new Promise<void>((resolve) => this.#watchers.push(resolve))
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Waits until it ends by itself. @returns its exit code, null when it was killed */
  async ended(): Promise<number | null> {
    await this.#exit
    return this.#child.exitCode
  }

  /** Kills it without warning. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.#exit
  }

  /** Lets it finish what it is at. Asserts that it ends in good order. */
  async stop(): Promise<void> {
    this.signal('SIGTERM')
    assert.equal(await this.ended(), 0, `the pusher failed: ${JSON.stringify(this.failures)} ${this.#stderr}`)
  }

  #changed(): void {
    for (const resolve of this.#watchers.splice(0)) resolve()
  }
}

/** Asserts that what was acknowledged is there, every byte of it. */
export async function assertKept(store: Store, packages: readonly Acknowledged[]): Promise<void> {
  for (const { id, manifestDigest, files } of packages) {
    assert.equal((await store.packages.get(id)).manifestDigest, manifestDigest)
    const seen = new Set<string>()
    for await (const read of store.files.readMany(id)) {
      if ('error' in read) throw read.error
      const bytes = 'bytes' in read ? read.bytes : Buffer.concat(await Array.fromAsync(read.stream))
      const content = files[read.file.path]
      assert.ok(content !== undefined && Buffer.from(bytes).equals(crashContent(content)), `${id} ${read.file.path}`)
      seen.add(read.file.path)
    }
    assert.equal(seen.size, Object.keys(files).length, `files of ${id}`)
  }
}

/** Asserts that all that is visible is whole: every package verifies, and the log is a chain. */
export async function assertWhole(store: Store): Promise<void> {
  for await (const line of store.packages.verify('all')) {
    assert.equal(line.problem, undefined, `${line.packageId} ${line.path ?? line.digest}: ${String(line.problem)}`)
  }
  await store.events.verify()
}

/** Asserts that the store takes a package and gives it back. */
export async function assertUsable(store: Store): Promise<void> {
  const content = Buffer.from(`pushed at ${String(performance.now())}`)
  const draft = await store.packages.open({ repository: 'next' })
  await draft.put('f', content)
  const { id } = await draft.finalize()
  assert.ok(Buffer.concat(await Array.fromAsync(store.files.read(id, 'f'))).equals(content))
}
