import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { nodeEnvironment } from './place.ts'
import { processTree, processUsage } from './process-usage.ts'

/** How long a server may take until it says something, in ms. */
const START_MS = 60_000

/** A server that runs while it is measured. */
export class ServerProcess {
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown>
  /** The first line that it printed. */
  readonly said: string

  private constructor(child: ChildProcess, exit: Promise<unknown>, said: string) {
    this.#child = child
    this.#exit = exit
    this.said = said
  }

  /** Starts a program and waits for its first line. @throws Error when it ends before */
  static async start(program: string, args: readonly string[], scratch: string): Promise<ServerProcess> {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...nodeEnvironment(scratch) } })
    const exit = once(child, 'exit')
    const ended = exit.then(() => {
      throw new Error(`${program} ended before it served`)
    })
    const line = once(createInterface({ input: child.stdout }), 'line', { signal: AbortSignal.timeout(START_MS) })
    ended.catch(() => undefined)
    const [said] = (await Promise.race([line, ended])) as [string]
    return new ServerProcess(child, exit, said)
  }

  /** The largest resident memory of any of its processes, in bytes. */
  get peakBytes(): number {
    return Math.max(...processTree(this.#child.pid ?? 0).map((pid) => processUsage(pid).peakBytes ?? 0))
  }

  /** Ends it and waits. */
  async end(): Promise<void> {
    this.#child.kill('SIGTERM')
    const late = setTimeout(() => this.#child.kill('SIGKILL'), 15_000)
    await this.#exit
    clearTimeout(late)
  }
}
