import { join } from 'node:path'
import type { Contender } from '../contender.ts'
import { backupContender } from './backup-program.ts'

/** restic with its defaults: encrypted, which it always is, and compressed. It flushes the files of its repository. */
export const restic: Contender = backupContender({
  name: 'restic',
  about: 'restic backup and restore with the defaults, encryption and compression included; init is not measured',
  flushes: { backup: { flushes: true }, restore: { flushes: false } },
  version: ['version'],
  environment: (folder) => ({
    RESTIC_REPOSITORY: join(folder, 'repository'),
    RESTIC_CACHE_DIR: join(folder, 'cache'),
    RESTIC_PASSWORD: 'benchmark',
  }),
  init: ['init', '--quiet'],
  backup: (source, name) => ({ args: ['backup', '--quiet', '--tag', name, source] }),
  // The last one stays.
  prune: () => [{ args: ['forget', '--quiet', '--group-by', '', '--keep-last', '1', '--prune'] }],
  describe: (name) => ['ls', '--json', '--tag', name, 'latest'],
  filesIn: (described) => described.match(/"type":"file"/g)?.length ?? 0,
  restore: (output, name) => ({ args: ['restore', '--quiet', '--tag', name, '--target', output, 'latest'] }),
  // It keeps absolute paths.
  restored: (source, output) => join(output, source),
})
