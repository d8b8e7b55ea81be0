import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeSync,
} from 'node:fs'
import type { Stats } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { resolve } from 'node:path'
import { algorithmOf, DigestStream } from '../core/digest.ts'
import type { Digest } from '../core/digest.ts'
import { AlreadyExistsError, InputInvalidError, StorageFullError, StoreError } from '../core/errors.ts'
import { displayPath } from '../core/path.ts'
import type { EntryKind, FilePath } from '../core/path.ts'
import { free } from '../data-plane/memory.ts'

/** A new file, in any case: neither what is there nor what a link leads to is written to. */
const CREATE_NEW = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW
const READ = constants.O_RDONLY | constants.O_NOFOLLOW
const OWNER_EXECUTE = 0o100
const READ_BYTES = 1 << 20

/** What a directory on the way is: there, not there, or why it cannot be one. */
type Way = 'real' | 'absent' | { readonly obstacle: string }

/**
 * A folder that receives a package. Nothing is written outside of it, whatever lies in it already: a directory on the way is either made here or
 * is one, and no link; files and links are only ever created new, under a name of their own if they replace something. (Someone who exchanges
 * directories for links while this runs may write to that folder anyway, and is not held off.)
 *
 * Small files are written with synchronous calls: measured 17 µs each, where a promise for each step takes several times that.
 */
export class OutputFolder {
  readonly #root: string
  readonly #overwrite: boolean
  /** By path; the top is ''. */
  readonly #ways = new Map<string, Way>()

  constructor(root: string, overwrite: boolean) {
    this.#root = resolve(root)
    this.#overwrite = overwrite
  }

  /** Why an entry cannot be placed here, or undefined. Changes nothing. */
  obstacle(path: FilePath, kind: EntryKind): string | undefined {
    const way = this.#way(parentOf(path))
    if (way === 'absent') return undefined
    if (way !== 'real') return way.obstacle
    const found = lstatOf(this.#place(path))
    if (found === undefined) return undefined
    if (kind === 'directory') return found.isDirectory() ? undefined : 'is there and is no directory'
    if (!found.isFile() && !found.isSymbolicLink()) return 'is there and is neither a file nor a link'
    return this.#overwrite ? undefined : 'is there already'
  }

  /** Makes a directory and those above it. @throws AlreadyExistsError when something else is in the way */
  directory(path: string): void {
    const way = this.#way(path)
    if (way === 'real') return
    if (way !== 'absent') throw new AlreadyExistsError(`"${displayPath(path)}" ${way.obstacle}`)
    if (path === '') {
      guarded(path, () => mkdirSync(this.#root, { recursive: true }))
    } else {
      this.directory(parentOf(path))
      guarded(path, () => mkdirSync(this.#place(path)))
    }
    this.#ways.set(path, 'real')
  }

  /** Places a small file. @returns false when it was there with these very bytes and was left alone */
  file(path: FilePath, bytes: Uint8Array, executable: boolean): boolean {
    this.directory(parentOf(path))
    return guarded(path, () => {
      const place = this.#place(path)
      if (this.#overwrite && holdsBytes(place, bytes, executable)) return false
      const target = this.#target(path)
      const file = openSync(target, CREATE_NEW, modeOf(executable))
      try {
        writeAll(file, bytes)
        if (target !== place) renameSync(target, place)
      } catch (error) {
        rmSync(target, { force: true })
        throw error
      } finally {
        closeSync(file)
      }
      return true
    })
  }

  /**
   * Places a file that is streamed; it appears when it is complete.
   * @returns false when it was there with this digest and was left alone; the source is then not read
   */
  async largeFile(path: FilePath, source: AsyncIterable<Uint8Array>, facts: FileFacts): Promise<boolean> {
    this.directory(parentOf(path))
    const place = this.#place(path)
    const temporary = this.#temporary(path)
    let file: FileHandle | undefined
    try {
      if (this.#overwrite && (await holdsDigest(place, facts))) return false
      file = await open(temporary, CREATE_NEW, modeOf(facts.executable))
      await writePieces(file, source)
      if (!this.#overwrite && lstatOf(place) !== undefined)
        throw new AlreadyExistsError(`"${displayPath(path)}" was created by another program meanwhile`)
      renameSync(temporary, place)
      return true
    } catch (error) {
      if (file !== undefined) rmSync(temporary, { force: true })
      throw outputError(path, error)
    } finally {
      await file?.close()
    }
  }

  /** Places a link. To be called when everything else is in place. */
  symlink(path: FilePath, target: string): void {
    this.directory(parentOf(path))
    guarded(path, () => {
      const place = this.#target(path)
      symlinkSync(target, place)
      if (place !== this.#place(path)) renameSync(place, this.#place(path))
    })
  }

  #way(path: string): Way {
    const known = this.#ways.get(path)
    if (known !== undefined) return known
    const above = path === '' ? 'real' : this.#way(parentOf(path))
    const way = above === 'real' ? this.#found(path) : above
    this.#ways.set(path, way)
    return way
  }

  #found(path: string): Way {
    // The top is where its user says, be it a link.
    const facts = guarded(path, () => (path === '' ? statSync(this.#root, { throwIfNoEntry: false }) : lstatOf(this.#place(path))))
    if (facts === undefined) return 'absent'
    return facts.isDirectory()
      ? 'real'
      : { obstacle: `lies below "${displayPath(path === '' ? this.#root : path)}", which is there and is no directory` }
  }

  #place(path: string): string {
    return `${this.#root}/${path}`
  }

  /** Where something new is created: its place, if that is free, or beside it, if it may replace what is there. */
  #target(path: FilePath): string {
    const place = this.#place(path)
    return this.#overwrite && lstatOf(place) !== undefined ? this.#temporary(path) : place
  }

  #temporary(path: FilePath): string {
    const parent = parentOf(path)
    return this.#place(`${parent}${parent === '' ? '' : '/'}.artifact-store-${randomBytes(9).toString('hex')}`)
  }
}

/** What is to be placed. */
export interface FileFacts {
  readonly size: number
  readonly digest: Digest
  readonly executable: boolean
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0))
}

function modeOf(executable: boolean): number {
  return executable ? 0o777 : 0o666
}

function lstatOf(place: string): Stats | undefined {
  return lstatSync(place, { throwIfNoEntry: false })
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let position = 0; position < bytes.length;) position += writeSync(file, bytes, position, bytes.length - position)
}

/** While a piece is written, the next one is read. */
async function writePieces(file: FileHandle, source: AsyncIterable<Uint8Array>): Promise<void> {
  let writing = Promise.resolve()
  try {
    for await (const piece of source) {
      await writing
      writing = file.writeFile(piece).then(() => free(piece))
      writing.catch(() => undefined) // it is awaited, if only after the next piece is there
    }
  } finally {
    await writing
  }
}

/** Whether a regular file is there that holds these bytes; it then gets the mode it should have. */
function holdsBytes(place: string, bytes: Uint8Array, executable: boolean): boolean {
  if (!isFileOfSize(place, bytes.length)) return false
  const file = openSync(place, READ)
  try {
    if (!readFileSync(file).equals(bytes)) return false
    setExecutable(file, executable)
    return true
  } finally {
    closeSync(file)
  }
}

async function holdsDigest(place: string, { size, digest, executable }: FileFacts): Promise<boolean> {
  if (!isFileOfSize(place, size)) return false
  const file = await open(place, READ)
  try {
    const hash = new DigestStream(algorithmOf(digest))
    const buffer = Buffer.allocUnsafe(READ_BYTES)
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES)
      if (bytesRead === 0) break
      hash.update(buffer.subarray(0, bytesRead))
    }
    if (hash.digest() !== digest) return false
    setExecutable(file.fd, executable)
    return true
  } finally {
    await file.close()
  }
}

function isFileOfSize(place: string, size: number): boolean {
  const facts = lstatOf(place)
  return facts?.isFile() === true && facts.size === size
}

function setExecutable(file: number, executable: boolean): void {
  const { mode } = fstatSync(file)
  if (((mode & OWNER_EXECUTE) !== 0) !== executable) fchmodSync(file, executable ? mode | 0o111 : mode & ~0o111)
}

function guarded<T>(path: string, action: () => T): T {
  try {
    return action()
  } catch (error) {
    throw outputError(path, error)
  }
}

/** What the file system says, in our words. */
function outputError(path: string, error: unknown): Error {
  if (error instanceof StoreError || !(error instanceof Error)) return error instanceof Error ? error : new Error(String(error))
  const code = 'code' in error ? error.code : undefined
  const name = path === '' ? 'the output folder' : `"${displayPath(path)}"`
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new StorageFullError(`no space left while writing ${name}; free some and pull again`, { cause: error })
  if (code === 'EEXIST') return new AlreadyExistsError(`${name} is there already`, { cause: error })
  return new InputInvalidError(`cannot write ${name}: ${error.message}`, { cause: error })
}
