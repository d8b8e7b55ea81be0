import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { dirname } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { numberField, numbersField, objectField, parseFields } from './json-fields.ts'
import type { Measurement } from './measurement.ts'
import { childProgram, nodeEnvironment } from './place.ts'
import type { Operation } from './scenario.ts'
import { summarizeWaits } from './statistics.ts'

const ALONE_MS = 3_000
const BESIDE_SEALS_MS = 5_000

/** How long one process waits for its commits while another is busy in the same store. */
export class CommitWait {
  readonly #store: string
  readonly #nodeOptions: readonly string[]
  /** Has put its 100,000 files and waits for the word to seal them. */
  #filled: BenchProcess | undefined

  constructor(store: string, nodeOptions: readonly string[] = []) {
    this.#store = store
    this.#nodeOptions = nodeOptions
  }

  /** @throws Error when one of the processes fails */
  async measure(operation: Operation): Promise<Measurement> {
    switch (operation) {
      case 'commit alone':
        return this.#during(() => sleep(ALONE_MS))
      case 'commit beside other store':
        // What a busy machine costs anyhow: the same work by the other process, and nothing shared.
        return this.#besideSeals(`${this.#store}-2`)
      case 'commit beside seals':
        return this.#besideSeals(this.#store)
      case 'commit beside 100,000 puts':
        return this.#besidePuts()
      default:
        return this.#besideSealing()
    }
  }

  async #besideSeals(busyStore: string): Promise<Measurement> {
    const busy = this.#start('busy-writer.ts', busyStore, 'seals')
    await busy.says('busy')
    const measurement = await this.#during(() => Promise.race([sleep(BESIDE_SEALS_MS), busy.ended]))
    busy.tell('end')
    await busy.ended
    return measurement
  }

  async #besidePuts(): Promise<Measurement> {
    const busy = this.#start('busy-writer.ts', this.#store, 'files')
    await busy.says('putting')
    const measurement = await this.#during(() => busy.says('put'))
    this.#filled = busy
    return measurement
  }

  async #besideSealing(): Promise<Measurement> {
    if (this.#filled === undefined) throw new Error('nothing has been put')
    const busy = this.#filled
    const measurement = await this.#during(() => {
      busy.tell('seal')
      return busy.says('sealed')
    })
    await busy.ended
    return measurement
  }

  #start(name: string, ...args: string[]): BenchProcess {
    return new BenchProcess(name, args, nodeEnvironment(dirname(this.#store)), this.#nodeOptions)
  }

  /** Runs the waiting process and counts what it waits for while something happens. */
  async #during(something: () => Promise<unknown>): Promise<Measurement> {
    const waiting = this.#start('commit-loop.ts', this.#store)
    await waiting.says('warm')
    waiting.tell('count')
    await something()
    waiting.tell('end')
    const fields = parseFields(await waiting.ended)
    const waits = {
      finalize: summarizeWaits(numbersField(fields, 'finalize')),
      put: summarizeWaits(numbersField(fields, 'put')),
      open: summarizeWaits(numbersField(fields, 'open')),
    }
    const stalls = objectField(fields, 'stalls')
    return { milliseconds: waits.finalize.p99, waits, stalls: { p99: numberField(stalls, 'p99'), max: numberField(stalls, 'max') } }
  }
}

/** A program of `bench/children` that talks over IPC. */
class BenchProcess {
  /** What it printed, once it has ended. */
  readonly ended: Promise<string>
  readonly #child: ChildProcess
  readonly #said = new Set<unknown>()

  constructor(name: string, args: readonly string[], environment: Readonly<Record<string, string>>, nodeOptions: readonly string[]) {
    this.#child = fork(childProgram(name), args, {
      env: { ...process.env, ...environment },
      execArgv: [...nodeOptions],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.#child.on('message', (message) => this.#said.add(message))
    this.ended = this.#outcome(name)
    // It is awaited by whoever started the process; a failure before that must not end the benchmark without a word.
    this.ended.catch(() => undefined)
  }

  tell(message: string): void {
    this.#child.send(message)
  }

  /** Resolves once the process has said this. @throws Error when it ends before */
  async says(message: string): Promise<void> {
    while (!this.#said.has(message)) {
      await Promise.race([once(this.#child, 'message'), this.ended])
      if (this.#child.exitCode !== null && !this.#said.has(message)) throw new Error(`a process ended before it said "${message}"`)
    }
  }

  async #outcome(name: string): Promise<string> {
    const { stdout, stderr } = this.#child
    if (stdout === null || stderr === null) throw new Error('the process has no output')
    const [printed, complaint] = await Promise.all([text(stdout), text(stderr), once(this.#child, 'close')])
    const { exitCode, signalCode } = this.#child
    if (exitCode !== 0) throw new Error(`${name} ended with ${exitCode ?? signalCode}:\n${complaint}`)
    return printed
  }
}
