import { kill, pid } from 'node:process'

/**
 * Fault injection for tests of crash safety: an observer that ends this process with SIGKILL, as a crash would, when a named step of the write
 * order is reached.
 * @param spec `STEP`, or `STEP:N` for the N-th time it is reached (from 1); names of steps may have colons
 * @param crash what to do then; returns in tests only
 * @throws RangeError when the number is 0 or too long
 */
export function failpoint(spec: string, crash: () => void = () => kill(pid, 'SIGKILL')): (step: string) => void {
  const [, name = spec, count = '1'] = /^(.+):(\d+)$/.exec(spec) ?? []
  if (!/^[1-9]\d{0,8}$/.test(count)) throw new RangeError(`a failpoint is STEP or STEP:N with N from 1 on, not "${spec}"`)
  let left = Number(count)
  return (step) => {
    if (step !== name) return
    left -= 1
    if (left === 0) crash()
  }
}
