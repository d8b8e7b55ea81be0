import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './place.ts'

/**
 * Makes a new folder to work in, below `BENCH_FOLDER` or `.scratch` of the repository.
 *
 * ext4 does not reuse an inode for a minute after its deletion, and when it makes a file, it looks at every such inode of the block group: measured,
 * 2,000 files take 0.08 s, and 1 s where 8,000 others have just been deleted. So nothing is deleted while measuring, and what an earlier benchmark
 * deleted at its end is kept away from: folders in a "top" folder (chattr(1), T) lie in block groups chosen by their names, which are random.
 */
export function makeWorkFolder(): string {
  const parent = process.env['BENCH_FOLDER'] ?? join(root, '.scratch')
  mkdirSync(parent, { recursive: true })
  const folder = mkdtempSync(join(parent, 'bench-'))
  // Other file systems know no such thing and need none.
  spawnSync('chattr', ['+T', folder], { stdio: 'ignore' })
  return folder
}
