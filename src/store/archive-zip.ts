import { crc32 } from 'node:zlib'
import { contentOf, type PackedEntry } from './packed-entry.ts'
import { zipMethod } from './zip-header.ts'
import { zipCentralRecord, zipDescriptor, zipEnd, type ZipEntryFacts, zipLocalHeader } from './zip-writer.ts'

const FILE = 0o100644
const EXECUTABLE = 0o100755
const DIRECTORY = 0o040755
const SYMLINK = 0o120777
const NO_BYTES = new Uint8Array(0)
/** Most bytes of a block that deflate holds as they are (RFC 1951 section 3.2.4), and how many are in front of them. */
const BLOCK_BYTES = 65_535
const BLOCK_HEADER_BYTES = 5

/**
 * Writes entries as a zip archive. Nothing is compressed: what zlib makes of the same bytes differs between versions and processors, and the same package
 * is to give the same bytes. Content that is not held as a whole becomes a deflate stream of uncompressed blocks with its checksum behind it, because
 * programs that read an archive as it comes find the end of nothing else.
 */
export async function* zipPieces(entries: AsyncIterable<PackedEntry>): AsyncGenerator<Uint8Array, void, undefined> {
  const directory: Buffer[] = []
  let position = 0
  for await (const entry of entries) {
    const start = position
    const whole = wholeContent(entry)
    const facts = factsOf(entry, whole)
    const header = zipLocalHeader(facts)
    yield header
    position += header.length + facts.packedSize
    let crc = facts.crc ?? 0
    if (whole !== undefined) yield whole
    else if (entry.kind === 'file') {
      for await (const piece of deflated(contentOf(entry), entry.size, (bytes) => (crc = crc32(bytes, crc)))) yield piece
      const descriptor = zipDescriptor(facts, crc)
      yield descriptor
      position += descriptor.length
    }
    directory.push(zipCentralRecord(facts, crc, start))
  }
  yield* directory
  yield zipEnd({ start: position, bytes: directory.reduce((sum, { length }) => sum + length, 0), entries: directory.length })
}

/** Undefined for a file that is read as it is written. */
function wholeContent(entry: PackedEntry): Uint8Array | undefined {
  if (entry.kind === 'directory') return NO_BYTES
  if (entry.kind === 'symlink') return Buffer.from(entry.target)
  return entry.content instanceof Uint8Array ? entry.content : undefined
}

function factsOf(entry: PackedEntry, whole: Uint8Array | undefined): ZipEntryFacts {
  const name = entry.kind === 'directory' ? `${entry.path}/` : entry.path
  const mode = entry.kind === 'directory' ? DIRECTORY : entry.kind === 'symlink' ? SYMLINK : entry.executable ? EXECUTABLE : FILE
  if (whole !== undefined) return { name, mode, method: zipMethod.stored, size: whole.length, packedSize: whole.length, crc: crc32(whole) }
  const size = entry.kind === 'file' ? entry.size : 0
  const packedSize = size + Math.ceil(size / BLOCK_BYTES) * BLOCK_HEADER_BYTES
  return { name, mode, method: zipMethod.deflated, size, packedSize, crc: undefined }
}

/** Cuts content of a known size (not 0) into blocks that deflate holds as they are. */
async function* deflated(
  content: AsyncIterable<Uint8Array>,
  size: number,
  onBytes: (bytes: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let room = 0
  let left = size
  for await (const piece of content) {
    onBytes(piece)
    for (let rest = piece; rest.length > 0;) {
      if (room === 0) {
        room = Math.min(left, BLOCK_BYTES)
        yield blockHeader(room, room === left)
      }
      const part = rest.subarray(0, room)
      yield part
      rest = rest.subarray(part.length)
      room -= part.length
      left -= part.length
    }
  }
}

function blockHeader(length: number, isLast: boolean): Uint8Array {
  const header = Buffer.alloc(BLOCK_HEADER_BYTES)
  header.writeUInt8(isLast ? 1 : 0, 0)
  header.writeUInt16LE(length, 1)
  header.writeUInt16LE(length ^ 0xffff, 3)
  return header
}
