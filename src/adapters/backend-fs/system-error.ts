import { BackendFailedError, StorageFullError, StoreReadOnlyError } from '../../core/errors.ts'
import type { StoreError, StoreErrorOptions } from '../../core/errors.ts'

/** What was being done when a system call failed. */
export type Operation = 'read' | 'write' | 'flush'

type ErrorClass = new (message: string, options?: StoreErrorOptions) => StoreError

interface Meaning {
  readonly error: ErrorClass
  readonly advice: string
}

/** What the codes mean to somebody who writes. A code that is not here is a {@link BackendFailedError} with the system's own words. */
const meanings = new Map<string, Meaning>([
  ['ENOSPC', { error: StorageFullError, advice: 'no space or no inodes are left; free some and try again' }],
  ['EDQUOT', { error: StorageFullError, advice: 'the disk quota is used up; raise it or free some space, and try again' }],
  ['EROFS', { error: StoreReadOnlyError, advice: 'the file system is mounted read-only; see the kernel log for the reason, then remount it' }],
  ['EACCES', { error: StoreReadOnlyError, advice: 'this user may not do that; check owner and permissions of the folder' }],
  ['EPERM', { error: StoreReadOnlyError, advice: 'the system does not allow that; check owner, permissions and attributes of the folder' }],
  ['EIO', { error: BackendFailedError, advice: 'the device reports an error; check the disk and the kernel log' }],
  ['EMFILE', { error: BackendFailedError, advice: 'this process has too many files open; raise the limit (ulimit -n) or try again later' }],
  ['ENFILE', { error: BackendFailedError, advice: 'the system has too many files open; try again later' }],
  ['ENOMEM', { error: BackendFailedError, advice: 'the system is out of memory; try again later' }],
  ['ESTALE', { error: BackendFailedError, advice: 'the network file system lost the file; remount it' }],
  ['ENOTCONN', { error: BackendFailedError, advice: 'the file system is not connected any more; remount it' }],
])

/** There is no regular file under that name: nothing, a folder, a link (not followed), a socket, or a parent that is no folder. */
const absent: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'ENXIO'])

/** The code of an error of a system call (`ENOENT` and the like), or undefined for any other error. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'syscall' in error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Whether the error says that no regular file has that name. */
export function isAbsent(error: unknown): boolean {
  return absent.has(codeOf(error) ?? '')
}

/**
 * The error to throw for a failed system call. A flush that fails is a {@link StoreReadOnlyError} whatever its code: the kernel may have dropped
 * the bytes and report the next flush as a success, so it is never retried. Errors that come from no system call are passed through.
 * @param what the key or folder, for the message
 */
export function systemError(error: unknown, operation: Operation, what: string): unknown {
  const code = codeOf(error)
  if (code === undefined) return error
  const meaning = meanings.get(code) ?? { error: BackendFailedError, advice: error instanceof Error ? error.message : '' }
  const message = `cannot ${operation} ${what}: ${meaning.advice} (${code})`
  const options = { cause: error, detail: { systemCode: code } }
  if (operation === 'flush') return new StoreReadOnlyError(`${message}; a failed flush is final, nothing more is written`, options)
  // Somebody who may not read is not told that the store is read-only.
  if (operation === 'read' && meaning.error === StoreReadOnlyError) return new BackendFailedError(message, options)
  return new meaning.error(message, options)
}
