import { createZstdCompress, constants } from 'node:zlib'
import { BackendFailedError, InputInvalidError, type StoreError } from '../core/errors.ts'
import { displayPath, type FilePath } from '../core/path.ts'
import type { PackageRow } from '../registry/packages.ts'
import { tarPieces } from './archive-tar.ts'
import { zipPieces } from './archive-zip.ts'
import type { EmbeddedFiles } from './files.ts'
import type { ArchiveRequest, FileInfo } from './interface.ts'
import { joinedPieces } from './joined-pieces.ts'
import { OrderedReader } from './ordered-reader.ts'
import type { PackageReader } from './package-reader.ts'
import type { PackedEntry } from './packed-entry.ts'
import { within } from './path-prefix.ts'
import { transformed } from './transformed.ts'

type Encoding = (entries: AsyncIterable<PackedEntry>) => AsyncIterable<Uint8Array>

const ENCODINGS: { readonly [Format in ArchiveRequest['format']]: Encoding } = {
  tar: (entries) => joinedPieces(tarPieces(entries)),
  'tar.zst': (entries) => compressed(joinedPieces(tarPieces(entries))),
  zip: (entries) => joinedPieces(zipPieces(entries)),
}

/** What an archive is made from. */
export interface ArchiveParts {
  readonly packages: PackageReader
  readonly files: EmbeddedFiles
}

/**
 * Streams a package as an archive: its files in the order of its manifests (by set, then path), its links, its empty directories. Nothing in it depends on
 * when, where or how often it is made. Whatever cannot be read ends the stream with an error; what was given until then is no archive.
 * @throws FileNotFoundError, PurgedError when nothing lies at or below the prefix (any more); InputInvalidError for a zip archive of names with backslashes;
 * DamagedError, ObjectMissingError
 */
export async function* packArchive(parts: ArchiveParts, ref: string, request: ArchiveRequest): AsyncGenerator<Uint8Array, void, undefined> {
  const { format, prefix = '' } = request
  if (!Object.hasOwn(ENCODINGS, format)) throw new InputInvalidError(`an archive is tar, tar.zst or zip, not '${format}'`)
  const row = await parts.packages.resolve(ref)
  if (format === 'zip') await refuseBackslashes(parts, row, within(prefix))
  const entries = nonEmpty(entriesOf(parts, row, request), prefix, () => parts.files.missing(row, prefix))
  yield* ENCODINGS[format](entries)
}

/** Beforehand, so that it is told and not met. @throws InputInvalidError naming the first of them */
async function refuseBackslashes({ packages, files }: ArchiveParts, row: PackageRow, below: (path: FilePath) => boolean): Promise<void> {
  const check = (path: FilePath): void => {
    if (!path.includes('\\') || !below(path)) return
    throw new InputInvalidError(
      `"${displayPath(path)}" has a backslash in its name, which programs that unpack zip archives take for a folder; ask for tar`,
      { detail: { path } },
    )
  }
  for await (const { path } of files.listOf(row)) check(path)
  const { symlinks = [], directories = [] } = await packages.document(row)
  for (const path of [...symlinks.map((link) => link.path), ...directories]) check(path)
}

async function* entriesOf({ packages, files }: ArchiveParts, row: PackageRow, request: ArchiveRequest): AsyncGenerator<PackedEntry> {
  const below = within(request.prefix)
  const wanted = async function* (): AsyncGenerator<Extract<FileInfo, { kind: 'file' }>> {
    for await (const file of files.listOf(row)) if (below(file.path)) yield file
  }
  yield* new OrderedReader(packages, request.signal).read(wanted())
  const document = await packages.document(row)
  for (const { path, target } of document.symlinks ?? []) if (below(path)) yield { kind: 'symlink', path, target }
  for (const path of document.directories ?? []) if (below(path)) yield { kind: 'directory', path }
}

/** A prefix that leads nowhere is a mistake; a package without entries is not. */
async function* nonEmpty(entries: AsyncIterable<PackedEntry>, prefix: string, missing: () => Promise<StoreError>): AsyncGenerator<PackedEntry> {
  let isEmpty = prefix !== ''
  for await (const entry of entries) {
    isEmpty = false
    yield entry
  }
  if (isEmpty) throw await missing()
}

/** One frame with a checksum. The same bytes give the same frame as long as the release of the zstd library is the same. */
function compressed(pieces: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const { ZSTD_c_compressionLevel: level, ZSTD_c_checksumFlag: checksum } = constants
  const transform = createZstdCompress({ chunkSize: 256 * 1024, params: { [level]: 3, [checksum]: 1 } })
  return transformed(pieces, transform, (cause) => new BackendFailedError('the archive could not be compressed', { cause }))
}
