import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { isObjectKey } from '../../ports/backend.ts'
import type { ObjectInfo, ObjectKey } from '../../ports/backend.ts'
import type { Directories } from './directories.ts'
import { folderOf } from './directories.ts'
import { isAbsent, systemError } from './system-error.ts'

const lstat: (path: string) => Promise<fs.Stats> = promisify(fs.lstat)
const readdir: (path: string, options: { withFileTypes: true }) => Promise<fs.Dirent[]> = promisify(fs.readdir)

/** Files asked for their size at the same time. [M] 4 µs a file instead of 37 one by one. */
const STAT_BATCH = 64

/**
 * The objects below a root in byte order of their keys, one folder in memory at a time. What is no object is skipped: temporary files (their names
 * start with a dot), links, and foreign files whose names can be no keys.
 */
export async function* listObjects(directories: Directories, prefix: string, after: string | undefined): AsyncGenerator<ObjectInfo> {
  const start = folderOf(prefix)
  // A prefix that leads out (`../x`) is the folder of no key.
  if (start !== '' && !isObjectKey(start)) return
  if (await directories.isReal(start)) yield* listFolder(directories, start, prefix, after)
  // A listing that lacks things because the disk went away must not look complete.
  await directories.assertRoot()
}

async function* listFolder(directories: Directories, folder: string, prefix: string, after: string | undefined): AsyncGenerator<ObjectInfo> {
  const names = await namesIn(directories, folder)
  const wanted = names.filter((name) => (name.endsWith('/') ? mayHold(name, prefix, after) : isWanted(name, prefix, after))).toSorted(compareKeys)
  for (let position = 0; position < wanted.length;) {
    const name = wanted[position] ?? ''
    if (name.endsWith('/')) {
      yield* listFolder(directories, name.slice(0, -1), prefix, after)
      position += 1
      continue
    }
    const batch = filesFrom(wanted, position)
    for (const info of await Promise.all(batch.map((key) => infoOf(directories, key)))) if (info !== undefined) yield info
    position += batch.length
  }
}

/** Full names of what is in a folder; those of folders end in `/`, which puts them in the order of the keys below them (`a-b` < `a/b` < `a0`). */
async function namesIn(directories: Directories, folder: string): Promise<string[]> {
  const entries = await readdir(directories.path(folder), { withFileTypes: true }).catch(async (error: unknown) => {
    if (!isAbsent(error)) throw systemError(error, 'read', directories.path(folder))
    await directories.assertRoot()
    return []
  })
  return entries.flatMap((entry) => {
    const name = folder === '' ? entry.name : `${folder}/${entry.name}`
    if (!isObjectKey(name)) return []
    if (entry.isDirectory()) return [`${name}/`]
    return entry.isFile() ? [name] : []
  })
}

function isWanted(key: string, prefix: string, after: string | undefined): boolean {
  return key.startsWith(prefix) && (after === undefined || key > after)
}

/** Whether keys that start with `beginning` (a folder, `/` included) can be wanted. The walk began in the folder of the prefix. */
function mayHold(beginning: string, prefix: string, after: string | undefined): boolean {
  return beginning.startsWith(prefix) && (after === undefined || beginning > after || after.startsWith(beginning))
}

/** Keys are ASCII, where the order of code units is that of bytes. */
function compareKeys(a: string, b: string): number {
  return a < b ? -1 : 1
}

function filesFrom(names: readonly string[], position: number): readonly ObjectKey[] {
  const batch = names.slice(position, position + STAT_BATCH)
  const end = batch.findIndex((name) => name.endsWith('/'))
  return (end === -1 ? batch : batch.slice(0, end)).filter(isObjectKey)
}

/** What a key names, without following a link; undefined when that is no regular file. @throws StoreMissingError; BackendFailedError */
export async function infoOf(directories: Directories, key: ObjectKey): Promise<ObjectInfo | undefined> {
  try {
    const facts = await lstat(directories.path(key))
    return facts.isFile() ? { key, size: facts.size } : undefined
  } catch (error) {
    if (!isAbsent(error)) throw systemError(error, 'read', key)
    await directories.assertRoot()
    return undefined
  }
}
