import type { Brand } from '../core/brand.ts'
import { InputInvalidError } from '../core/errors.ts'
import type { ByteSource } from './source.ts'

/**
 * A backend is a dumb, flat byte store. It knows nothing of digests, packages or retention. Bytes acknowledged by any method here are durable:
 * they survive power loss. Keys are never reused by the store, so a backend need not order an overwrite against a delete.
 */

/**
 * `<store id>/<writer or session>/<uuid>` and the like: 1 to 8 components of 1 to 200 characters from `[A-Za-z0-9._-]`, none starting with a dot,
 * at most 512 bytes. No key continues another key after a `/`: where keys are paths, an object cannot be a folder too.
 */
export type ObjectKey = Brand<string, 'ObjectKey'>

/** The most bytes in one piece that a backend yields or writes at a time. [M] 1 MiB halves the CPU of 64 KiB. */
export const PIECE_BYTES: number = 1024 * 1024

const KEY = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}){0,7}$/
const KEY_BYTES = 512

/** Whether a name found in a backend can be a key; foreign names are skipped, not errors. */
export function isObjectKey(text: string): text is ObjectKey {
  return text.length <= KEY_BYTES && KEY.test(text)
}

/** The only way from text to a key. @throws InputInvalidError */
export function parseObjectKey(text: string): ObjectKey {
  if (isObjectKey(text)) return text
  throw new InputInvalidError(
    `${JSON.stringify(text.slice(0, KEY_BYTES))} is no object key: use 1 to 8 components of [A-Za-z0-9._-], separated by "/"`,
  )
}

/** What a backend can do. Declared by the adapter, never guessed by the caller. */
export interface BackendCapabilities {
  /** An object can grow by flushed appends ({@link AppendBackend}). */
  readonly append: boolean
  /** A large object can be made of separately sent parts. */
  readonly multipart: boolean
  /** Reads can be delegated to a signed URL. */
  readonly presign: boolean
  /** Bytes outlive the process. */
  readonly persistent: boolean
}

/** The part of an object to read: from `start` (inclusive) to `end` (exclusive; default: the end of the object). */
export interface ByteRange {
  readonly start: number
  readonly end?: number
}

/**
 * A range cut to what an object of `size` bytes has. `start` is never past `end`.
 * @throws InputInvalidError when the range is not made of integers >= 0 in order
 */
export function cutRange(range: ByteRange | undefined, size: number): Required<ByteRange> {
  const { start, end = Number.MAX_SAFE_INTEGER } = range ?? { start: 0 }
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start) {
    throw new InputInvalidError(`${String(start)} to ${String(end)} is no range of bytes`)
  }
  return { start: Math.min(start, size), end: Math.min(end, size) }
}

/** One object of a listing. `size` in bytes. */
export interface ObjectInfo {
  readonly key: ObjectKey
  readonly size: number
}

/** The role every backend plays. */
export interface Backend {
  readonly capabilities: BackendCapabilities
  /**
   * Stores an object whole; resolves once it is durable. A source that throws leaves nothing behind, and its error is passed on as it is. A piece
   * may be reused by the source once the next one is asked for.
   * @throws AlreadyExistsError when the key exists or is being put; AbortedError; StorageFullError; StoreReadOnlyError when writing is not allowed
   * or a flush failed, which is final; BackendFailedError
   */
  put(key: ObjectKey, source: ByteSource, options?: { readonly signal?: AbortSignal }): Promise<ObjectInfo>
  /**
   * Reads an object or a part of it. A range past the end is cut, as S3 does, and one behind the end is empty;
   * pieces are at most 1 MiB and belong to the caller.
   * @throws ObjectMissingError; InputInvalidError when the range is not made of integers >= 0 in order; StoreMissingError; BackendFailedError
   */
  get(key: ObjectKey, range?: ByteRange): AsyncIterable<Uint8Array>
  /** @returns undefined when there is no such object. @throws StoreMissingError when the backend itself is gone; BackendFailedError */
  head(key: ObjectKey): Promise<ObjectInfo | undefined>
  /**
   * Removes an object durably, and what an interrupted put of it left behind; one that is not there is no error. Resolves when the backend confirms
   * that it is gone.
   * @throws StoreMissingError when the backend itself is gone, so that nothing is confirmed; StoreReadOnlyError; BackendFailedError
   */
  delete(key: ObjectKey): Promise<void>
  /** Lists keys that start with `prefix`, in byte order, those after `after` only. Objects still being put are not listed. */
  list(prefix: string, after?: ObjectKey): AsyncIterable<ObjectInfo>
  /** Ends the use of this backend: later calls throw ClosedError. Appenders are closed by their owners. */
  close(): Promise<void>
}

/** An object that is being appended to by this process alone. */
export interface ObjectAppender {
  readonly key: ObjectKey
  /** Bytes appended so far, flushed or not. */
  readonly size: number
  /**
   * Adds bytes at the end. They are durable only after {@link flush}. Calls are made one after the other. An append that fails adds nothing to
   * `size` and may be repeated (a disk that was full); readers may see torn bytes behind `size` meanwhile.
   */
  append(pieces: readonly Uint8Array[]): Promise<void>
  /**
   * Makes everything appended so far durable. A flush that fails is final: the appender and every later call on it fail, and what it held since
   * the last flush must be written elsewhere.
   * @throws StoreReadOnlyError
   */
  flush(): Promise<void>
  close(): Promise<void>
}

/** The role of backends that declare `append`. */
export interface AppendBackend extends Backend {
  /** Creates an empty object, durably linked into the backend. @throws AlreadyExistsError when the key exists. */
  createAppender(key: ObjectKey): Promise<ObjectAppender>
}

/** Narrows by the declared capability. */
export function canAppend(backend: Backend): backend is AppendBackend {
  return backend.capabilities.append
}
