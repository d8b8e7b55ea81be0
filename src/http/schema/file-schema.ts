import { Type, type TUnsafe } from 'typebox'
import type { Digest } from '../../core/digest.ts'
import type { FilePath } from '../../core/path.ts'
import type { ExpiredFileSet, FileInfo, Page, VerifiedFile, VerifiedPack } from '../../store/interface.ts'
import { closed, count, oneOf, text } from './closed.ts'
import { digest, filePath } from './name-schema.ts'
import { expiredFileSet } from './retention-schema.ts'

type Kind<K extends FileInfo['kind']> = Extract<FileInfo, { kind: K }>

const file = closed<Kind<'file'>>()({
  kind: oneOf(['file'], 'A file.'),
  path: filePath,
  digest,
  size: count('Bytes.'),
  mediaType: text('Media type.', 255),
  executable: Type.Boolean(),
  fileSets: Type.Array(text('File set.', 255)),
})
const symlink = closed<Kind<'symlink'>>()({ kind: oneOf(['symlink'], 'A symbolic link.'), path: filePath, target: text('Where it leads.', 4_096) })
const directory = closed<Kind<'directory'>>()({ kind: oneOf(['directory'], 'A directory that holds nothing.'), path: filePath })

/** An entry of a sealed package. */
const fileInfo: TUnsafe<FileInfo> = Type.Unsafe<FileInfo>(Type.Union([file, symlink, directory]))

/** A page of what is in a package, and what of it is gone. */
export interface FilePage extends Page<FileInfo> {
  readonly expired?: readonly ExpiredFileSet[]
}

/** A page of what is in a package, and what of it is gone. */
export const filePage: TUnsafe<FilePage> = Type.Unsafe<FilePage>(
  Type.Object(
    {
      items: Type.Array(fileInfo),
      next: Type.Optional(text('Give it as `after` for the next page; absent on the last one.')),
      expired: Type.Optional(Type.Array(expiredFileSet, { description: 'File sets that expired; absent when there are none.' })),
    },
    { additionalProperties: false },
  ),
)

/** A stored file. */
export interface StoredFile {
  readonly path: FilePath
  readonly digest: Digest
  readonly size: number
}

/** Answer of `PUT /packages/{id}/files/{path}`. */
export const storedFile: TUnsafe<StoredFile> = closed<StoredFile>('StoredFile')({ path: filePath, digest, size: count('Bytes.') })

/** What is wrong with something that was verified. */
export interface VerifiedProblem {
  readonly code: string
  readonly message: string
}

/** A line of a verification. Documents and manifests of the package itself have no path. */
export type VerifiedLine = Omit<VerifiedFile, 'problem'> & { readonly problem?: VerifiedProblem }

/** A line of the verification of packs. */
export type VerifiedPackLine = Omit<VerifiedPack, 'problem'> & { readonly problem?: VerifiedProblem }

/** What a client has, or wants to be in the package: a line of `POST /packages/{id}/missing`. */
export interface KnownEntry {
  readonly path: string
  readonly type: 'file' | 'symlink' | 'directory'
  /** Of files. */
  readonly digest?: string
  readonly size?: number
  readonly mediaType?: string
  readonly executable?: boolean
  /** Of symbolic links. */
  readonly target?: string
}

/** A line of the question which files must be sent. */
export const knownEntry: TUnsafe<KnownEntry> = closed<KnownEntry>()({
  path: filePath,
  type: oneOf(['file', 'symlink', 'directory'], 'What it is.'),
  digest: Type.Optional(digest),
  size: Type.Optional(count('Bytes.')),
  mediaType: Type.Optional(text('Media type.', 255)),
  executable: Type.Optional(Type.Boolean()),
  target: Type.Optional(text('Where a symbolic link leads.', 4_096)),
})

/** A line of the answer: this file must be sent. */
export interface MissingFile {
  readonly path: string
}
