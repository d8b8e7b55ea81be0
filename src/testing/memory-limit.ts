import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

/** Where the memory controller of control groups (version 1) is mounted. */
const CONTROLLER = '/sys/fs/cgroup/memory'

/** Whether memory can be limited here. */
export function canLimitMemory(): boolean {
  return existsSync(join(CONTROLLER, 'cgroup.procs')) && process.getuid?.() === 0
}

/**
 * Makes a control group with so much memory, gone after the test.
 * @returns a command before whose arguments another command and its arguments are put, so that it runs in there; beyond the limit it is killed
 */
export function limitMemory(t: TestContext, bytes: number): readonly [command: string, ...parameters: readonly string[]] {
  const directory = join(CONTROLLER, `artifact-store-${process.pid}-${Date.now()}`)
  mkdirSync(directory)
  // Whoever ran in there must have ended before.
  t.after(() => rmdirSync(directory))
  writeFileSync(join(directory, 'memory.limit_in_bytes'), String(bytes))
  return ['/bin/sh', '-c', `echo $$ > ${directory}/cgroup.procs && exec "$@"`, 'sh']
}
