import { closeSync, constants, fdatasyncSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { access, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { uuidv4 } from '../../core/uuid.ts'
import { exists, type StoreFiles } from '../store-files.ts'
import { counted, type Finding, worst } from './finding.ts'

/** Below this a store cannot be relied on to finish what it does: two full packs, in bytes. */
const LEAST_BYTES = 128 * 1024 * 1024
const LITTLE_BYTES = 1024 * 1024 * 1024
const LEAST_INODES = 100
const LITTLE_INODES = 10_000

/** A flush that reaches a disk takes longer than this, microseconds ([M] 1 on a memory disk, 150 and more on a virtual one). */
const QUICK_FLUSH_US = 20
const SLOW_FLUSH_US = 50_000
/** The measurement ends after so many flushes or so many milliseconds. */
const FLUSHES = 32
const FLUSHES_MS = 500
const FLUSHED_BYTES = 4_096

/** What lies in a store's directory, by what people call it. */
function partsOf(directory: string, files: StoreFiles): readonly { readonly path: string; readonly isFolder: boolean }[] {
  return [
    { path: directory, isFolder: true },
    { path: files.registry, isFolder: false },
    { path: `${files.registry}-wal`, isFolder: false },
    { path: `${files.registry}-shm`, isFolder: false },
    { path: files.objects, isFolder: true },
  ]
}

/** Whether this user may write the parts of a store, whose they are, and who else may change them. */
export async function examinePermissions(directory: string, files: StoreFiles): Promise<Finding> {
  const unwritable: string[] = []
  const open: string[] = []
  const owners = new Set<number>()
  for (const { path, isFolder } of partsOf(directory, files)) {
    if (!(await exists(path))) continue
    const { uid, mode } = await stat(path)
    owners.add(uid)
    if ((mode & 0o002) !== 0) open.push(path)
    await access(path, isFolder ? constants.W_OK | constants.X_OK : constants.W_OK).catch((error: unknown) => {
      unwritable.push(`${path} (${error instanceof Error && 'code' in error ? String(error.code) : String(error)})`)
    })
  }
  const user = process.getuid?.()
  const who = user === undefined ? 'this user' : `this user (uid ${user})`
  const check = 'permissions'
  if (unwritable.length > 0) {
    const observed = `${who} may not write ${counted(unwritable.length, 'part')} of the store`
    const advice =
      'EROFS: its disk is mounted read-only; find out why in the kernel log before you remount it. EACCES: run as the user who owns the store, or change its owner.'
    return { check, status: 'fail', observed, advice, examples: unwritable }
  }
  if (owners.size > 1) {
    const observed = `parts of the store belong to different users (uid ${[...owners].toSorted((a, b) => a - b).join(', ')})`
    return { check, status: 'warn', observed, advice: 'Let one user own all of it, or a command of one of them will fail one day: chown -R.' }
  }
  if (open.length > 0) {
    return {
      check,
      status: 'warn',
      observed: 'every user of this machine may change the store',
      advice: 'Take that right away: chmod o-w.',
      examples: open,
    }
  }
  return { check, status: 'ok', observed: `${who} may write all parts; they belong to one user` }
}

/** Room on the disks of a store. */
export async function examineSpace(files: StoreFiles): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  for (const { folder, what } of await disksOf(files)) {
    const { bavail, bsize, ffree, files: inodes } = await statfs(folder)
    // File systems that make inodes as they need them count none.
    findings.push(judgeSpace(what, bavail * bsize, inodes === 0 ? undefined : ffree))
  }
  return findings
}

/** @param bytes free for this user @param inodes free; undefined: without a limit */
export function judgeSpace(what: string, bytes: number, inodes: number | undefined): Finding {
  const room = bytes < LEAST_BYTES ? 'fail' : bytes < LITTLE_BYTES ? 'warn' : 'ok'
  const names = inodes === undefined ? 'ok' : inodes < LEAST_INODES ? 'fail' : inodes < LITTLE_INODES ? 'warn' : 'ok'
  const observed = `${Math.floor(bytes / (1024 * 1024))} MiB${inodes === undefined ? '' : ` and ${counted(inodes, 'inode')}`} free for ${what}`
  const status = worst([room, names])
  if (status === 'ok') return { check: 'space', status, observed }
  const advice =
    room === 'ok'
      ? 'There is room, but no names for more files. Remove small files that are not needed from this disk, or move the store to another.'
      : 'Free some space on this disk, or move the store to a larger one. When it is full, storing fails with a clear error and nothing stored before is lost.'
  return { check: 'space', status, observed, advice }
}

/** How long a flush takes where the store lies. Writes a small file beside the objects and removes it. */
export async function examineFlushes(files: StoreFiles): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  for (const { folder, what } of await disksOf(files)) {
    try {
      findings.push(judgeFlushes(what, await measureFlushes(folder)))
    } catch (error) {
      const observed = `flushes could not be measured for ${what}: ${error instanceof Error ? error.message : String(error)}`
      findings.push({ check: 'flushes', status: 'warn', observed, advice: 'See what the other checks say of permissions and space.' })
    }
  }
  return findings
}

/** @param times of single flushes, microseconds, not empty */
export function judgeFlushes(what: string, times: readonly number[]): Finding {
  const sorted = times.toSorted((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0
  const observed = `a flush takes ${duration(median)} (median of ${times.length}; the slowest ${duration(sorted.at(-1) ?? 0)}) for ${what}`
  if (median < QUICK_FLUSH_US) {
    const advice =
      'That is too fast for a disk: what is "flushed" may be in memory only and would be lost when the power fails. Check for a RAM disk (tmpfs), an option such as nobarrier, or a library that leaves flushes out (eatmydata).'
    return { check: 'flushes', status: 'warn', observed, advice }
  }
  if (median > SLOW_FLUSH_US) {
    const advice =
      'Every commit waits for that. Look for other programs that use this disk, a failing disk, or a network file system, and prefer a local SSD.'
    return { check: 'flushes', status: 'warn', observed, advice }
  }
  return { check: 'flushes', status: 'ok', observed }
}

/**
 * Appends and flushes, as the store does. Not through the thread pool, on which a call alone takes longer than what is to be told apart.
 * @returns the times, microseconds
 */
async function measureFlushes(folder: string): Promise<readonly number[]> {
  // Names that start with a dot are no objects.
  const path = join(folder, `.flush-test-${uuidv4()}`)
  const fd = openSync(path, 'wx')
  const times: number[] = []
  try {
    const piece = Buffer.alloc(FLUSHED_BYTES, 1)
    for (const started = performance.now(); times.length < FLUSHES && performance.now() - started < FLUSHES_MS;) {
      writeSync(fd, piece)
      const before = performance.now()
      fdatasyncSync(fd)
      times.push((performance.now() - before) * 1_000)
      await nextTurn()
    }
    return times
  } finally {
    closeSync(fd)
    unlinkSync(path)
  }
}

/** The folders of a store that lie on disks of their own. */
async function disksOf(files: StoreFiles): Promise<readonly { readonly folder: string; readonly what: string }[]> {
  const registry = join(files.registry, '..')
  if (!(await exists(files.objects))) return (await exists(registry)) ? [{ folder: registry, what: 'the store' }] : []
  if ((await stat(registry)).dev === (await stat(files.objects)).dev) return [{ folder: files.objects, what: 'the store' }]
  return [
    { folder: files.objects, what: 'the objects' },
    { folder: registry, what: 'the registry' },
  ]
}

function duration(microseconds: number): string {
  return microseconds < 1_000 ? `${microseconds.toFixed(0)} µs` : `${(microseconds / 1_000).toFixed(microseconds < 10_000 ? 1 : 0)} ms`
}
