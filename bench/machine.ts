import { statfsSync } from 'node:fs'
import { cpus, loadavg, release, totalmem, type as systemType } from 'node:os'

/** Where figures come from, as far as it explains them. */
export interface Machine {
  readonly date: string
  readonly system: string
  readonly processor: string
  readonly cores: number
  readonly memoryBytes: number
  readonly fileSystem: string
  readonly node: string
  /** Processes that wanted to run in the minute before, on average: what else was going on. */
  readonly load: number
}

/** Names of `f_type` (statfs(2)) that one is likely to meet. */
const fileSystems: Readonly<Record<string, string>> = {
  ef53: 'ext4',
  '58465342': 'XFS',
  '9123683e': 'Btrfs',
  '2fc12fc1': 'ZFS',
  '1021994': 'tmpfs',
  '794c7630': 'overlay',
  '6969': 'NFS',
}

/** To be asked before anything is measured. @param folder where the benchmark works */
export function describeMachine(folder: string): Machine {
  const kind = statfsSync(folder).type.toString(16)
  return {
    date: new Date().toISOString().slice(0, 10),
    system: `${systemType()} ${release()}`,
    processor: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    fileSystem: fileSystems[kind] ?? `type ${kind}`,
    node: process.version,
    load: loadavg()[0] ?? 0,
  }
}
