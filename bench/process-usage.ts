import { readFileSync } from 'node:fs'

/** What a process has used so far. Unknown where there is no /proc. */
export interface ProcessUsage {
  /** The largest resident memory it ever had: the kernel's own mark, not a sample. */
  readonly peakBytes?: number
  /** Handed to the file system to be written, by this process and by children it has waited for. */
  readonly writtenBytes?: number
}

/** What children that were waited for have used, with all of theirs. */
export interface ChildrenUsage {
  readonly cpuMilliseconds?: number
}

/** Clock ticks a second, the unit of /proc/PID/stat: 100 on every Linux that Node supports (`USER_HZ`). */
const TICKS = 100
/** Fields 16 and 17 of /proc/PID/stat, counted from the one behind the name, which is field 3 (proc_pid_stat(5)). */
const CUTIME = 16 - 3
const CSTIME = 17 - 3

/** @param pid a process, or `self`. Empty when it has ended or there is no /proc. */
export function processUsage(pid: number | 'self'): ProcessUsage {
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readProc(pid, 'status'))?.[1]
  const written = /^write_bytes: (\d+)$/m.exec(readProc(pid, 'io'))?.[1]
  return {
    ...(peak !== undefined && { peakBytes: Number(peak) * 1024 }),
    ...(written !== undefined && { writtenBytes: Number(written) }),
  }
}

/** The children of this process that have ended, to 10 ms. */
export function endedChildrenUsage(): ChildrenUsage {
  const fields = readProc('self', 'stat').split(') ').at(-1)?.split(' ') ?? []
  const [user, system] = [fields[CUTIME], fields[CSTIME]]
  if (user === undefined || system === undefined) return {}
  return { cpuMilliseconds: ((Number(user) + Number(system)) * 1000) / TICKS }
}

/** A process and all that descend from it. */
export function processTree(pid: number): readonly number[] {
  const children = readProc(pid, `task/${pid}/children`)
    .split(' ')
    .filter((text) => text !== '')
  return [pid, ...children.flatMap((text) => processTree(Number(text)))]
}

function readProc(pid: number | 'self', file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return ''
  }
}
