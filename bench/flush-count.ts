import { AsyncLocalStorage } from 'node:async_hooks'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A program and its arguments. */
export interface ProgramCall {
  readonly program: string
  readonly args: readonly string[]
}

/** The folder for the logs of the programs whose flushes are being counted. */
const counting = new AsyncLocalStorage<string>()

const CALLS = ['fsync', 'fdatasync', 'sync', 'syncfs', 'sync_file_range', 'msync']
// With --seccomp-bpf only the calls in question stop the program. What a call resumes is a line of its own, and no call.
const STRACE = ['--follow-forks', '--seccomp-bpf', '--quiet=all', `--trace=${CALLS.join(',')}`]
const CALL = new RegExp(`^\\d+ +(?:${CALLS.join('|')})\\(`, 'gm')

/** Whether flushes can be counted here: strace must be there and allowed. */
export function canCountFlushes(): boolean {
  return spawnSync('strace', [...STRACE, '--output=/dev/null', 'true'], { stdio: 'ignore' }).status === 0
}

/**
 * Counts the flushes that all programs ask for which are started through {@link observed} while something is done. It takes longer than usual then,
 * so that its time says nothing.
 * @param folder for logs, which stay in it
 * @returns undefined when no program was started
 */
export async function countFlushes(folder: string, work: () => Promise<unknown>): Promise<number | undefined> {
  const logs = mkdtempSync(join(folder, 'flushes-'))
  await counting.run(logs, work)
  const log = join(logs, 'calls')
  return existsSync(log) ? countCalls(readFileSync(log, 'latin1')) : undefined
}

/** The flushes in a log of strace. */
export function countCalls(log: string): number {
  return log.match(CALL)?.length ?? 0
}

/** How a program is to be started: through strace while flushes are counted, otherwise as it is. */
export function observed(call: ProgramCall): ProgramCall {
  const logs = counting.getStore()
  if (logs === undefined) return call
  return { program: 'strace', args: [...STRACE, `--output=${join(logs, 'calls')}`, '--output-append-mode', call.program, ...call.args] }
}
