import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

/** What a process of clients was told, and what went wrong. `files`: content numbers by path. */
export interface SoakLedger {
  readonly kept: readonly { readonly id: string; readonly files: Readonly<Record<string, number>> }[]
  readonly pushes: number
  readonly removals: number
  readonly reads: number
  readonly failures: readonly string[]
}

const CHILD = fileURLToPath(new URL('soaking-child.ts', import.meta.url))

/** Another process with clients that push, remove and read, see `soaking-child.ts`. Killed when the test is over. */
export class Soaker {
  readonly #child: ChildProcess
  readonly #lines: Interface
  readonly #exit: Promise<unknown>
  #stderr = ''

  constructor(t: TestContext, directory: string, options: { readonly seed: number; readonly clients: number; readonly longest: number }) {
    const { seed, clients, longest } = options
    const child = spawn(process.execPath, ['--max-old-space-size=256', CHILD, directory, String(seed), String(clients)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    const limit = setTimeout(() => child.kill('SIGKILL'), longest)
    this.#exit = once(child, 'close').then(() => clearTimeout(limit))
    child.stderr.on('data', (text: Buffer) => (this.#stderr = `${this.#stderr}${text.toString()}`.slice(-10_000)))
    this.#lines = createInterface({ input: child.stdout })
    t.after(() => child.kill('SIGKILL'))
  }

  /** Resolves when it is at work. */
  async started(): Promise<void> {
    assert.equal(await this.#line(), 'started')
  }

  /** Lets it finish what it is at. */
  async stop(): Promise<SoakLedger> {
    this.#child.kill('SIGTERM')
    // Sound: the line is what soaking-child.ts writes.
    const ledger = JSON.parse(await this.#line()) as SoakLedger
    await this.#exit
    assert.equal(this.#child.exitCode, 0, this.#stderr)
    return ledger
  }

  async #line(): Promise<string> {
    const ended = this.#exit.then(() => assert.fail(`the soaker ended early: ${this.#stderr}`))
    ended.catch(() => undefined)
    return String((await Promise.race([once(this.#lines, 'line'), ended]))[0])
  }
}
