import { join } from 'node:path'
import type { Contender } from '../contender.ts'
import { backupContender } from './backup-program.ts'

/** borg with its defaults, except that nothing is encrypted, which makes it faster. It flushes the segments of its repository. */
export const borg: Contender = backupContender({
  name: 'borg',
  about: 'borg create and extract with the default compression, without encryption; init is not measured',
  flushes: { backup: { flushes: true }, restore: { flushes: false } },
  version: ['--version'],
  environment: (folder) => ({
    BORG_REPO: join(folder, 'repository'),
    BORG_BASE_DIR: join(folder, 'base'),
    BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
  }),
  init: ['init', '--encryption=none'],
  backup: (source, name) => ({ args: ['create', `::${name}`, '.'], cwd: source }),
  prune: (name) => [{ args: ['delete', `::${name}`] }, { args: ['compact'] }],
  describe: (name) => ['list', '--format', '{type}{NL}', `::${name}`],
  filesIn: (described) => described.match(/^-$/gm)?.length ?? 0,
  restore: (output, name) => ({ args: ['extract', `::${name}`], cwd: output }),
  restored: (_source, output) => output,
})
