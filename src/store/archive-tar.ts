import { mediaTypeFor } from '../core/media-type.ts'
import { TAR_END, type TarEntryFacts, tarHead, tarPadding } from '../core/tar-writer.ts'
import { contentOf, type PackedEntry } from './packed-entry.ts'

/** Writes entries as a tar archive. A media type that does not follow from the name is told in a record of its own, so that it comes back. */
export async function* tarPieces(entries: AsyncIterable<PackedEntry>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const entry of entries) {
    yield tarHead(factsOf(entry))
    if (entry.kind !== 'file') continue
    yield* contentOf(entry)
    yield tarPadding(entry.size)
  }
  yield TAR_END
}

function factsOf(entry: PackedEntry): TarEntryFacts {
  if (entry.kind !== 'file') return entry
  const { kind, path, size, executable, mediaType } = entry
  return { kind, path, size, executable, ...(mediaType === mediaTypeFor(path) ? {} : { mediaType }) }
}
