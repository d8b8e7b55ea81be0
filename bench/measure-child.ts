import { spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { observed } from './flush-count.ts'
import { optionalNumberField, parseFields } from './json-fields.ts'
import type { Measurement } from './measurement.ts'
import { childProgram } from './place.ts'
import { endedChildrenUsage, processTree, processUsage } from './process-usage.ts'

/** A program to run. */
export interface Command {
  readonly program: string
  readonly args: readonly string[]
  /** Where it runs; default: where this process does. */
  readonly cwd?: string
  /** Added to the environment of this process. */
  readonly environment?: Readonly<Record<string, string>>
  /** Where notes about the run may be left; the program does not see it. */
  readonly scratch: string
  /** A Node program is asked for its memory when it ends, which is exact; others are looked at while they run. */
  readonly isNode?: boolean
  /** Whatever takes longer hangs, and is ended; default: 3 minutes. */
  readonly deadlineMs?: number
}

/** A run that ended well. */
export interface MeasuredRun {
  readonly measurement: Measurement
  readonly stdout: string
}

/** Peaks only grow, so that looking late loses what was needed in the last moments at most. */
const LOOK_EVERY_MS = 20

const DEADLINE_MS = 180_000

/**
 * Runs a program and measures it, with all its children: wall time from before the start until it has ended, CPU time, memory, bytes written. Nothing
 * else may be started by this process meanwhile.
 * @throws Error when it does not end with 0
 */
export async function measureChild(command: Command): Promise<MeasuredRun> {
  const usageFile = join(command.scratch, 'usage.json')
  const before = { children: endedChildrenUsage(), written: processUsage('self').writtenBytes }
  const start = performance.now()
  const { program, args } = observed(command)
  const child = spawn(program, args, {
    cwd: command.cwd,
    env: { ...process.env, ...command.environment, ...(command.isNode === true && reportUsage(usageFile)) },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: command.deadlineMs ?? DEADLINE_MS,
    killSignal: 'SIGKILL',
  })
  let [stdout, stderr, sampledPeak] = ['', '', 0]
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const looking = setInterval(() => {
    if (child.pid === undefined) return
    for (const pid of processTree(child.pid)) sampledPeak = Math.max(sampledPeak, processUsage(pid).peakBytes ?? 0)
  }, LOOK_EVERY_MS)
  let milliseconds = 0
  child.on('exit', () => {
    milliseconds = performance.now() - start
  })
  try {
    const [code, signal] = await new Promise<readonly [number | null, string | null]>((resolve, reject) => {
      child.on('error', reject).on('close', (...ended) => resolve(ended))
    })
    if (code !== 0) throw new Error(`${command.program} ${command.args.join(' ')} ended with ${code ?? signal}:\n${stderr}`)
  } finally {
    clearInterval(looking)
  }
  const peakBytes = command.isNode === true ? reportedPeak(usageFile) : sampledPeak
  const cpu = difference(endedChildrenUsage().cpuMilliseconds, before.children.cpuMilliseconds)
  const written = difference(processUsage('self').writtenBytes, before.written)
  return {
    stdout,
    measurement: {
      milliseconds,
      ...(cpu !== undefined && { cpuMilliseconds: cpu }),
      ...(peakBytes !== undefined && peakBytes > 0 && { peakBytes }),
      ...(written !== undefined && { writtenBytes: written }),
    },
  }
}

/** Runs a program that is not measured. @returns what it printed. @throws Error when it does not end with 0 */
export async function runChild(command: Command): Promise<string> {
  return (await measureChild(command)).stdout
}

function reportUsage(file: string): Record<string, string> {
  return { BENCH_USAGE_FILE: file, NODE_OPTIONS: `--import=${childProgram('usage-report.ts')}` }
}

function reportedPeak(file: string): number | undefined {
  if (!existsSync(file)) return undefined
  const peak = optionalNumberField(parseFields(readFileSync(file, 'utf8')), 'peakBytes')
  rmSync(file)
  return peak
}

function difference(after: number | undefined, before: number | undefined): number | undefined {
  return after === undefined || before === undefined ? undefined : after - before
}
