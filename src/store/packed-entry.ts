import { DamagedError } from '../core/errors.ts'
import type { FileInfo } from './interface.ts'

/** A file on its way into an archive. Up to {@link WHOLE_BYTES} its content is there as a whole; else it is read as it is written. */
export type PackedFile = Extract<FileInfo, { kind: 'file' }> & { readonly content: Uint8Array | AsyncIterable<Uint8Array> }

/** An entry on its way into an archive. */
export type PackedEntry = PackedFile | Exclude<FileInfo, { kind: 'file' }>

/** Longest content that is held as a whole, in bytes. It decides how an archive is written, so it is the same whatever the bytes lie in. */
export const WHOLE_BYTES: number = 2 * 1024 * 1024

/**
 * The content of a file in pieces. An archive has said already how long it is; other bytes would shift everything behind them.
 * @throws DamagedError when it is longer or shorter
 */
export async function* contentOf({ path, digest, size, content }: PackedFile): AsyncGenerator<Uint8Array, void, undefined> {
  let length = 0
  for await (const piece of content instanceof Uint8Array ? [content] : content) {
    length += piece.length
    if (length > size) break
    yield piece
  }
  if (length !== size)
    throw new DamagedError(`'${path}' should have ${size} bytes but has ${length > size ? 'more' : length}`, { detail: { digest, path } })
}
