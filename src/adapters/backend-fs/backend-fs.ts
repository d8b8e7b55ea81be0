import * as fs from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { promisify } from 'node:util'
import { AlreadyExistsError, ClosedError, ObjectMissingError } from '../../core/errors.ts'
import type { AppendBackend, BackendCapabilities, ByteRange, ObjectAppender, ObjectInfo, ObjectKey } from '../../ports/backend.ts'
import { abortedError, piecesOf } from '../../ports/source.ts'
import type { ByteSource } from '../../ports/source.ts'
import { Directories, folderOf } from './directories.ts'
import { FileAppender } from './file-appender.ts'
import { readFile } from './file-read.ts'
import { StreamWriter } from './file-write.ts'
import { infoOf, listObjects } from './listing.ts'
import { codeOf, isAbsent, systemError } from './system-error.ts'

const open: (path: string, flags: number, mode?: number) => Promise<number> = promisify(fs.open)
const close: (fd: number) => Promise<void> = promisify(fs.close)
const lstat: (path: string) => Promise<fs.Stats> = promisify(fs.lstat)
const rename: (from: string, to: string) => Promise<void> = promisify(fs.rename)
const unlink: (path: string) => Promise<void> = promisify(fs.unlink)

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants

/** Tries to create a file whose folder other processes keep removing because it is empty. */
const ATTEMPTS = 10

/** Settings of a file system backend. */
export interface FileSystemBackendOptions {
  /** `false` leaves out every flush, so that nothing is durable. For benchmarks only, which must say so. Default: true. */
  readonly flush?: boolean
}

/**
 * Opens a folder as a backend: each key is a path below it. The folder is never created here: one that vanished must be noticed, not replaced.
 * @throws StoreMissingError when there is no such folder; BackendFailedError
 */
export async function openFileSystemBackend(root: string, options: FileSystemBackendOptions = {}): Promise<AppendBackend> {
  return new FileSystemBackend(await Directories.open(resolve(root), options.flush ?? true), options.flush ?? true)
}

/**
 * Creates the folder of a backend and the missing parents durably, and opens it. One that exists is used as it is.
 * @throws StorageFullError; StoreReadOnlyError; BackendFailedError
 */
export async function createFileSystemBackend(root: string, options: FileSystemBackendOptions = {}): Promise<AppendBackend> {
  const flush = options.flush ?? true
  const missing: string[] = []
  let existing = resolve(root)
  while (!fs.existsSync(existing)) {
    missing.unshift(basename(existing))
    existing = dirname(existing)
  }
  const directories = await Directories.open(existing, flush)
  await directories.make(missing.join('/')).catch((error: unknown) => {
    throw systemError(error, 'write', root)
  })
  return openFileSystemBackend(root, options)
}

/**
 * Objects are files. A file under its key is complete, except while an appender of this store owns it: `put` writes to `.<name>.put` in the same
 * folder, flushes the file, renames it and flushes the folder. The temporary name follows from the key, which makes it a lock (it is created
 * exclusively, so a key has one writer), lets `delete` remove what an interrupted put left, and makes "look whether the key is free, then rename"
 * as safe as a rename that never replaces, which Node does not offer; a hard link would do, but not every file system has them.
 */
class FileSystemBackend implements AppendBackend {
  readonly capabilities: BackendCapabilities = { append: true, multipart: false, presign: false, persistent: true }
  readonly #directories: Directories
  readonly #flushes: boolean
  readonly #writer: StreamWriter
  #closed = false

  constructor(directories: Directories, flushes: boolean) {
    this.#directories = directories
    this.#flushes = flushes
    this.#writer = new StreamWriter(flushes)
  }

  async put(key: ObjectKey, source: ByteSource, options: { readonly signal?: AbortSignal } = {}): Promise<ObjectInfo> {
    this.#assertOpen()
    if (options.signal?.aborted === true) throw abortedError(options.signal)
    const fd = await this.#createTemporary(key)
    try {
      await this.#assertFree(key)
      const size = await this.#writer.write(fd, piecesOf(source, options.signal), key)
      await this.#publish(key)
      return { key, size }
    } catch (error) {
      await unlink(this.#temporary(key)).catch(() => undefined)
      throw error
    } finally {
      await close(fd)
    }
  }

  async createAppender(key: ObjectKey): Promise<ObjectAppender> {
    this.#assertOpen()
    const fd = await this.#createTemporary(key)
    try {
      await this.#assertFree(key)
      await this.#publish(key)
      return new FileAppender(key, fd, this.#flushes)
    } catch (error) {
      await unlink(this.#temporary(key)).catch(() => undefined)
      await close(fd)
      throw error
    }
  }

  async *get(key: ObjectKey, range?: ByteRange): AsyncGenerator<Uint8Array> {
    this.#assertOpen()
    if (!(await this.#directories.isReal(folderOf(key)))) await this.#missing(key)
    try {
      yield* readFile(this.#directories.path(key), key, range)
    } catch (error) {
      if (error instanceof ObjectMissingError) await this.#directories.assertRoot()
      throw error
    }
  }

  async head(key: ObjectKey): Promise<ObjectInfo | undefined> {
    this.#assertOpen()
    if (await this.#directories.isReal(folderOf(key))) return infoOf(this.#directories, key)
    await this.#directories.assertRoot()
    return undefined
  }

  async delete(key: ObjectKey): Promise<void> {
    this.#assertOpen()
    const folder = folderOf(key)
    if (!(await this.#directories.isReal(folder))) return this.#directories.assertRoot()
    try {
      // The temporary name first: a put that is still at work then fails to rename it and cannot bring the object back.
      await unlinkIfThere(this.#temporary(key))
      await unlinkIfThere(this.#directories.path(key))
      // Even if nothing was there: an earlier call may have removed it and been killed before its flush.
      await this.#directories.flush(folder)
    } catch (error) {
      if (!isAbsent(error)) throw systemError(error, 'write', key)
    }
    await this.#directories.assertRoot()
    await this.#directories.prune(folder)
  }

  list(prefix: string, after?: ObjectKey): AsyncGenerator<ObjectInfo> {
    this.#assertOpen()
    return listObjects(this.#directories, prefix, after)
  }

  close(): Promise<void> {
    this.#closed = true
    return Promise.resolve()
  }

  /** Creates the file that locks a key, and its folder. */
  async #createTemporary(key: ObjectKey): Promise<number> {
    const folder = folderOf(key)
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#directories.make(folder)
        return await open(this.#temporary(key), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666)
      } catch (error) {
        if (codeOf(error) === 'EEXIST') throw new AlreadyExistsError(`${key} is being put, or was when its writer ended`)
        if (codeOf(error) !== 'ENOENT' || attempt === ATTEMPTS) throw systemError(error, 'write', key)
        this.#directories.forget(folder)
      }
    }
  }

  /** Must follow {@link #createTemporary}: from then on nobody else can put this key. */
  async #assertFree(key: ObjectKey): Promise<void> {
    try {
      await lstat(this.#directories.path(key))
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return
      throw systemError(error, 'write', key)
    }
    throw new AlreadyExistsError(`${key} exists; keys are never used twice`)
  }

  async #publish(key: ObjectKey): Promise<void> {
    try {
      await rename(this.#temporary(key), this.#directories.path(key))
      await this.#directories.flush(folderOf(key))
    } catch (error) {
      throw systemError(error, 'write', key)
    }
  }

  #temporary(key: ObjectKey): string {
    const start = key.lastIndexOf('/') + 1
    return this.#directories.path(`${key.slice(0, start)}.${key.slice(start)}.put`)
  }

  async #missing(key: ObjectKey): Promise<never> {
    await this.#directories.assertRoot()
    throw new ObjectMissingError(`there is no object ${key}`)
  }

  #assertOpen(): void {
    if (this.#closed) throw new ClosedError('the backend is closed')
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (!isAbsent(error)) throw error
  }
}
