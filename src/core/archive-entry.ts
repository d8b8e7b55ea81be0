import { InputInvalidError } from './errors.ts'

/** What an entry of an archive is. `other`: devices, FIFOs, and types that only mean something to one program. */
export type ArchiveEntryKind = 'file' | 'hardlink' | 'symlink' | 'directory' | 'other'

/** One entry of an archive, whatever its format, as the readers of them yield it. */
export interface ArchiveEntry {
  readonly kind: ArchiveEntryKind
  /** As in the archive: raw bytes, not checked. */
  readonly name: Uint8Array
  /** What a link leads to, raw. */
  readonly linkName: Uint8Array
  /** Bytes of content, the zeros of a sparse file included. */
  readonly size: number
  /** Permission bits as on Unix. */
  readonly mode: number
  /** What the archive says of the content beside its name; not checked. */
  readonly mediaType: string | undefined
  /** SHA-256 that the content must have, hexadecimal; not checked. */
  readonly sha256: string | undefined
  /** Why the entry cannot be understood as a whole; its content is then not to be used. */
  readonly problem: string | undefined
  /**
   * The content, in pieces of at most 1 MiB. At most once, and to its end or not at all, before the next entry is asked for.
   * @throws DamagedEntryError when only this entry is damaged; any other error ends the archive
   */
  content(): AsyncGenerator<Uint8Array, void, undefined>
}

/** The content of an entry is not what the archive says of it; the entries behind it can be read all the same. */
export class DamagedEntryError extends InputInvalidError {}
