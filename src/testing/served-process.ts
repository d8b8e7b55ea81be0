import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'

/** `serve` in a process of its own. */
export interface ServedProcess {
  readonly address: string
  readonly child: ChildProcess
  /** Sends a signal and waits for the end. @returns the exit code, or the signal that ended it */
  readonly end: (signal: NodeJS.Signals) => Promise<number | string>
}

/**
 * Starts `serve` as users do, on a free port, and waits until it listens. It is killed after the test.
 * @param directory of the store
 * @param through a command that runs the one it is given
 */
export async function serveInProcess(t: TestContext, directory: string, through: readonly string[] = []): Promise<ServedProcess> {
  const main = join(import.meta.dirname, '../cli/main.ts')
  const [command, ...parameters] = [...through, process.execPath, main, 'serve', '--store', directory, '--port', '0', '--json']
  const child = spawn(command, parameters, {
    stdio: ['ignore', 'pipe', 'inherit'],
    // As the launcher sets them.
    env: { ...process.env, MALLOC_TRIM_THRESHOLD_: '1073741824', MALLOC_MMAP_THRESHOLD_: '33554432' },
  })
  // Sound: what the event of a child process carries.
  const ended = once(child, 'exit') as Promise<[number | null, string | null]>
  const end = async (signal: NodeJS.Signals): Promise<number | string> => {
    child.kill(signal)
    const [code, by] = await ended
    return code ?? by ?? ''
  }
  t.after(() => end('SIGKILL'))
  // Sound: the first line of `serve --json`.
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  const { address } = JSON.parse(line) as { address: string }
  return { address, child, end }
}
