import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { AlreadyExistsError, BackendFailedError, StoreMissingError } from '../../core/errors.ts'
import { codeOf, isAbsent, systemError } from './system-error.ts'

const open: (path: string, flags: number) => Promise<number> = promisify(fs.open)
const close: (fd: number) => Promise<void> = promisify(fs.close)
const fsync: (fd: number) => Promise<void> = promisify(fs.fsync)
const mkdir: (path: string) => Promise<void> = promisify(fs.mkdir)
const rmdir: (path: string) => Promise<void> = promisify(fs.rmdir)
const realpath: (path: string) => Promise<string> = promisify(fs.realpath.native)

/** Folders remembered before all are forgotten, which costs a few system calls each when they are used again. */
const REMEMBERED = 10_000

const DIRECTORY = fs.constants.O_RDONLY | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW

/** The folder of a key, relative to the root; '' is the root. */
export function folderOf(key: string): string {
  return key.slice(0, Math.max(0, key.lastIndexOf('/')))
}

/**
 * The folders below the root of a backend. They are named relative to it, `/` between components. The root is remembered by device and inode, so
 * that one which vanished (removed, or its file system unmounted) is told from one in which something is missing: "not there" confirms a deletion.
 */
export class Directories {
  readonly #root: string
  readonly #device: bigint
  readonly #inode: bigint
  readonly #flushes: boolean
  /** Folders that exist durably as far as this process knows, or are being made. */
  readonly #made = new Map<string, Promise<void>>()
  /** Folders that were found to be folders all the way, no link among them. */
  readonly #real = new Set<string>()

  private constructor(root: string, facts: fs.BigIntStats, flushes: boolean) {
    this.#root = root
    this.#device = facts.dev
    this.#inode = facts.ino
    this.#flushes = flushes
  }

  /** @throws StoreMissingError when there is no such folder; BackendFailedError */
  static async open(root: string, flushes: boolean): Promise<Directories> {
    try {
      const real = await realpath(root)
      const facts = fs.statSync(real, { bigint: true })
      if (facts.isDirectory()) return new Directories(real, facts, flushes)
    } catch (error) {
      if (!isAbsent(error)) throw systemError(error, 'read', root)
    }
    throw new StoreMissingError(`there is no folder ${root}; is its disk mounted? A new one must be created on purpose`)
  }

  /** The absolute path of a key or folder. */
  path(relative: string): string {
    return relative === '' ? this.#root : `${this.#root}/${relative}`
  }

  /** To be called when something was not found, before that is believed. @throws StoreMissingError when the root is not what it was */
  async assertRoot(): Promise<void> {
    const facts = await new Promise<fs.BigIntStats | undefined>((resolve) => {
      fs.lstat(this.#root, { bigint: true }, (error, found) => resolve(error === null ? found : undefined))
    })
    if (facts?.dev === this.#device && facts.ino === this.#inode) return
    throw new StoreMissingError(`the folder ${this.#root} is gone or is another one now; is its disk still mounted?`)
  }

  /**
   * Whether this is a folder reached through folders only: links inside the root are not followed. It is looked at once; the check is against
   * accidents (a restored copy with links in it), not against somebody who can write here.
   */
  async isReal(relative: string): Promise<boolean> {
    if (relative === '' || this.#real.has(relative)) return true
    try {
      if ((await realpath(this.path(relative))) !== this.path(relative)) return false
    } catch (error) {
      if (isAbsent(error)) return false
      throw systemError(error, 'read', relative)
    }
    if (this.#real.size >= REMEMBERED) this.#real.clear()
    this.#real.add(relative)
    return true
  }

  /**
   * Makes a folder and its parents exist durably. The first use of a folder by this process flushes its parents even if it exists already: another
   * process may have made it a moment ago and not flushed yet.
   */
  make(relative: string): Promise<void> {
    const known = this.#made.get(relative)
    if (known !== undefined) return known
    if (this.#made.size >= REMEMBERED) this.#made.clear()
    const made = this.#make(relative)
    this.#made.set(relative, made)
    made.catch(() => this.#made.delete(relative))
    return made
  }

  async #make(relative: string): Promise<void> {
    if (relative === '') return this.assertRoot()
    const parent = folderOf(relative)
    await this.make(parent)
    try {
      await mkdir(this.path(relative))
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
      await this.#assertFolder(relative)
    }
    await this.flush(parent)
  }

  async #assertFolder(relative: string): Promise<void> {
    const facts = await promisify(fs.lstat)(this.path(relative))
    if (facts.isDirectory()) return
    if (facts.isFile()) throw new AlreadyExistsError(`${relative} is an object, so nothing can be put below it`)
    throw new BackendFailedError(`${this.path(relative)} is no folder, and links are not followed; move it away`)
  }

  /** Makes the names in a folder durable. @throws StoreReadOnlyError when the flush fails, which is final */
  async flush(relative: string): Promise<void> {
    if (!this.#flushes) return
    const fd = await open(this.path(relative), DIRECTORY)
    try {
      await fsync(fd)
    } catch (error) {
      throw systemError(error, 'flush', this.path(relative))
    } finally {
      await close(fd)
    }
  }

  /**
   * Removes a folder and its parents as far as they are empty, except the topmost (the store's own). A put that meets a folder removed under it
   * makes it again, and flushes its parent. Not flushed here: an empty folder that comes back harms nothing.
   */
  async prune(relative: string): Promise<void> {
    for (let folder = relative; folder.includes('/'); folder = folderOf(folder)) {
      const removed = await rmdir(this.path(folder)).then(
        () => true,
        () => false,
      )
      if (!removed) return
      this.#made.delete(folder)
      this.#real.delete(folder)
    }
  }

  /** Forgets that a folder and its parents exist: somebody else removed one of them. */
  forget(relative: string): void {
    for (let folder = relative; ; folder = folderOf(folder)) {
      this.#made.delete(folder)
      this.#real.delete(folder)
      if (folder === '') return
    }
  }
}
