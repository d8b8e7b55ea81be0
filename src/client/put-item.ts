import { parseDigest } from '../core/digest-text.ts'
import { DigestInvalidError, InputInvalidError } from '../core/errors.ts'
import { parseMediaType } from '../core/media-type.ts'
import { type FilePath, parsePath } from '../core/path.ts'
import { checkSymlink } from '../core/symlink.ts'
import type { KnownFile, PutItem, PutOptions } from '../store/interface.ts'
import type { FileFacts } from './file-transfer.ts'

/** A line of the question which files must be sent. */
export type KnownEntry =
  | {
      readonly type: 'file'
      readonly path: string
      readonly digest: string
      readonly size: number
      readonly mediaType?: string
      readonly executable?: boolean
    }
  | { readonly type: 'symlink'; readonly path: string; readonly target: string }
  | { readonly type: 'directory'; readonly path: string }

/**
 * Checks what is said of a file, so that one bad item among many is told apart before all are sent.
 * @throws PathInvalidError; InputInvalidError; DigestInvalidError
 */
export function fileFacts(path: string, { mediaType, executable, digest, size }: PutOptions): FileFacts {
  return {
    path: parsePath(path),
    ...(mediaType === undefined || mediaType === '' ? {} : { mediaType: parseMediaType(mediaType) }),
    ...(executable === undefined ? {} : { executable }),
    ...(digest === undefined ? {} : { digest: parseDigest(digest) }),
    ...(size === undefined ? {} : { size }),
  }
}

/** The line of a link or a directory. @throws PathInvalidError; InputInvalidError when a package cannot hold it */
export function entryLine(item: Exclude<PutItem, { kind: 'file' }>): KnownEntry & { readonly path: FilePath } {
  const path = parsePath(item.path)
  if (item.kind === 'directory') return { type: 'directory', path }
  const problem = checkSymlink(path, item.target)
  if (problem !== undefined) throw new InputInvalidError(`link '${path}' ${problem}`, { detail: { path, reason: problem } })
  return { type: 'symlink', path, target: item.target }
}

/** The line of a file whose digest is known. @throws as {@link fileFacts}; DigestInvalidError for one that is no SHA-256 */
export function fileLine(file: KnownFile): KnownEntry {
  const { path, mediaType, executable, digest = '' } = fileFacts(file.path, file)
  if (!digest.startsWith('sha256:')) throw new DigestInvalidError(`files are known by SHA-256, not by ${file.digest.slice(0, 100)}`)
  return {
    type: 'file',
    path,
    digest,
    size: file.size,
    ...(mediaType === undefined ? {} : { mediaType }),
    ...(executable === undefined ? {} : { executable }),
  }
}
