import type { ArchiveEntry, ArchiveEntryKind } from './archive-entry.ts'
import { isZero, joinBytes } from './bytes.ts'
import { InputInvalidError } from './errors.ts'
import { asciiOf, decimal, parsePaxRecords, parseSparseExtension, parseTarHeader, PAX_MEDIA_TYPE, PAX_SHA256, TAR_BLOCK } from './tar-header.ts'
import type { PaxRecords, TarHeader, TarSegment } from './tar-header.ts'

/** Longest pax header or GNU long name. Paths are at most 4 KiB; what else such headers carry is small. */
const MAX_EXTENSION_BYTES = 1 << 20
/** Longest map of a sparse file, in blocks; about 100,000 pieces of data. */
const MAX_MAP_BLOCKS = 4096
const MAX_PIECE_BYTES = 1 << 20
const ZEROS = new Uint8Array(MAX_PIECE_BYTES)
const NO_BYTES = new Uint8Array(0)

const KINDS: Readonly<Record<string, ArchiveEntryKind>> = { '0': 'file', '7': 'file', S: 'file', '1': 'hardlink', '2': 'symlink', '5': 'directory' }
const OTHERS: Readonly<Record<string, string>> = {
  '3': 'a character device',
  '4': 'a block device',
  '6': 'a FIFO',
  M: 'the rest of a file from another volume',
}

/**
 * Reads a tar archive: the ustar, pax and GNU formats and the one before them. Stricter than what is at hand (tar-stream 3.2 was tried), because an
 * archive may be refused here but never stored as something it is not: names stay bytes, so that what is not UTF-8 can be told; a pax record that
 * does not add up is an error; sparse files are filled with their zeros; an archive that ends without its end mark was cut off; and what follows
 * the end mark is no silent loss.
 * @throws InputInvalidError where the archive cannot be read on
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<ArchiveEntry, void, undefined> {
  const input = new BlockSource(source)
  const global = new Map<string, Uint8Array>()
  let extensions: Extensions = {}
  try {
    for (;;) {
      const header = await nextHeader(input)
      if (header === undefined) break
      const { type } = header
      if (type === 'g') {
        for (const [keyword, value] of parsePaxRecords(await extension(input, header))) global.set(keyword, value)
      } else if (type === 'x') {
        extensions.pax = parsePaxRecords(await extension(input, header))
      } else if (type === 'L') {
        extensions.name = untilNul(await extension(input, header))
      } else if (type === 'K') {
        extensions.linkName = untilNul(await extension(input, header))
      } else {
        const entry = await openEntry(input, header, extensions, global)
        extensions = {}
        yield entry
        await entry.skip()
      }
    }
    if (Object.keys(extensions).length > 0) throw new InputInvalidError('the archive ends where an entry was announced')
    await input.expectZerosToEnd()
  } finally {
    await input.close()
  }
}

async function nextHeader(input: BlockSource): Promise<TarHeader | undefined> {
  const at = input.position
  const block = await input.take(TAR_BLOCK)
  try {
    return parseTarHeader(block)
  } catch (cause) {
    if (at === 0) throw new InputInvalidError('this is no tar archive: it does not begin with a header', { cause })
    throw new InputInvalidError(`${cause instanceof Error ? cause.message : String(cause)} (at byte ${at})`, { cause })
  }
}

/** Headers that came in front of an entry and speak about it. */
interface Extensions {
  pax?: PaxRecords
  name?: Uint8Array
  linkName?: Uint8Array
}

interface OpenEntry extends ArchiveEntry {
  /** Passes over what was not read. */
  skip(): Promise<void>
}

async function extension(input: BlockSource, header: TarHeader): Promise<Uint8Array> {
  if (header.size > MAX_EXTENSION_BYTES)
    throw new InputInvalidError(`the archive has an extended header of ${header.size} bytes (at most ${MAX_EXTENSION_BYTES})`)
  const bytes = new Uint8Array(await input.take(header.size))
  await input.skip(padding(header.size))
  return bytes
}

async function openEntry(input: BlockSource, header: TarHeader, { pax, name, linkName }: Extensions, global: PaxRecords): Promise<OpenEntry> {
  const said = (keyword: string): Uint8Array | undefined => {
    const value = pax?.get(keyword) ?? global.get(keyword)
    // An empty value takes a global one back (POSIX.1-2017 pax, "pax Extended Header").
    return value?.length === 0 ? undefined : value
  }
  const paxSize = said('size')
  const stored = paxSize === undefined ? header.size : decimal(asciiOf(paxSize))
  const layout = await sparseLayout(input, header, said, stored)
  const entryName = said('GNU.sparse.name') ?? said('path') ?? name ?? header.name
  const kind = KINDS[header.type] ?? 'other'
  let left = layout.stored
  let asked = false
  const data = async function* (length: number): AsyncGenerator<Uint8Array, void, undefined> {
    for (let rest = length; rest > 0;) {
      const piece = await input.takeSome(Math.min(rest, MAX_PIECE_BYTES))
      rest -= piece.length
      left -= piece.length
      yield piece
    }
  }
  return {
    // Before types were told apart, a slash at the end told a directory.
    kind: kind === 'file' && entryName.at(-1) === 0x2f ? 'directory' : kind,
    name: entryName,
    linkName: said('linkpath') ?? linkName ?? header.linkName,
    size: layout.size,
    mode: header.mode,
    mediaType: textOf(said(PAX_MEDIA_TYPE)),
    sha256: textOf(said(PAX_SHA256)),
    problem: layout.problem ?? typeProblem(header.type) ?? (kind !== 'file' && stored > 0 ? 'is no file but has content' : undefined),
    async *content() {
      if (asked) throw new Error('the content of an archive entry was asked for twice')
      asked = true
      let position = 0
      for (const segment of layout.segments) {
        yield* zeros(segment.offset - position)
        yield* data(segment.length)
        position = segment.offset + segment.length
      }
      yield* zeros(layout.size - position)
    },
    async skip() {
      await input.skip(left + padding(stored))
      left = 0
    },
  }
}

function typeProblem(type: string): string | undefined {
  if (KINDS[type] !== undefined) return undefined
  return `is ${OTHERS[type] ?? `of the unknown type ${JSON.stringify(type)}`}, which a package cannot hold`
}

/** How the stored bytes of an entry become its content. */
interface Layout {
  readonly size: number
  /** Bytes of data still to come, without padding. */
  readonly stored: number
  readonly segments: readonly TarSegment[]
  readonly problem?: string
}

/** Understands GNU sparse files of the old kind and of pax version 1.0, which are what GNU tar and libarchive write. */
async function sparseLayout(
  input: BlockSource,
  header: TarHeader,
  said: (keyword: string) => Uint8Array | undefined,
  stored: number,
): Promise<Layout> {
  if (header.sparse !== undefined) {
    const segments = [...header.sparse.segments]
    let { extended } = header.sparse
    for (let blocks = 1; extended; blocks++) {
      if (blocks > MAX_MAP_BLOCKS) throw new InputInvalidError('the archive has a sparse file in too many pieces')
      const more = parseSparseExtension(await input.take(TAR_BLOCK))
      segments.push(...more.segments)
      extended = more.extended
    }
    return checkedLayout(header.sparse.realSize, stored, segments)
  }
  const version = [said('GNU.sparse.major'), said('GNU.sparse.minor')].map((part) => (part === undefined ? '' : asciiOf(part))).join('.')
  const realSize = said('GNU.sparse.realsize')
  if (version === '1.0' && realSize !== undefined) {
    const map = await readSparseMap(input, stored)
    return checkedLayout(decimal(asciiOf(realSize)), stored - map.bytes, map.segments)
  }
  const plain = { size: stored, stored, segments: [{ offset: 0, length: stored }] }
  const unknown = header.type === 'S' || version !== '.' || said('GNU.sparse.map') !== undefined || said('GNU.sparse.size') !== undefined
  return unknown ? { ...plain, problem: 'is a sparse file in a form that is not understood' } : plain
}

/** The map in front of the data: count, then offset and length of each piece, a decimal number a line, filled up to whole blocks. */
async function readSparseMap(input: BlockSource, stored: number): Promise<{ readonly segments: readonly TarSegment[]; readonly bytes: number }> {
  let text = ''
  let bytes = 0
  const next = async (): Promise<number> => {
    while (!text.includes('\n')) {
      if (bytes >= stored || bytes >= MAX_MAP_BLOCKS * TAR_BLOCK) throw new InputInvalidError('the archive has a sparse file whose map does not end')
      text += asciiOf(await input.take(TAR_BLOCK))
      bytes += TAR_BLOCK
    }
    const end = text.indexOf('\n')
    const value = decimal(text.slice(0, end))
    text = text.slice(end + 1)
    return value
  }
  const segments: TarSegment[] = []
  for (let rest = await next(); rest > 0; rest--) segments.push({ offset: await next(), length: await next() })
  return { segments, bytes }
}

function checkedLayout(size: number, stored: number, segments: readonly TarSegment[]): Layout {
  let position = 0
  let sum = 0
  for (const { offset, length } of segments) {
    if (offset < position) return { size, stored, segments, problem: 'is a sparse file whose pieces overlap' }
    position = offset + length
    sum += length
  }
  if (position > size || sum !== stored) return { size, stored, segments, problem: 'is a sparse file whose pieces do not add up to its size' }
  return { size, stored, segments }
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : asciiOf(bytes)
}

function* zeros(length: number): Generator<Uint8Array, void, undefined> {
  for (let rest = length; rest > 0; rest -= MAX_PIECE_BYTES) yield ZEROS.subarray(0, Math.min(rest, MAX_PIECE_BYTES))
}

function padding(size: number): number {
  return (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK
}

function untilNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0)
  return end === -1 ? bytes : bytes.subarray(0, end)
}

/** Bytes of a stream, taken in the amounts that are needed. */
class BlockSource {
  readonly #source: AsyncIterator<Uint8Array>
  #buffer: Uint8Array = NO_BYTES
  #position = 0

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** Bytes taken so far, to say where an archive breaks off. */
  get position(): number {
    return this.#position
  }

  /** Exactly this many bytes. @throws InputInvalidError when there are not so many */
  async take(length: number): Promise<Uint8Array> {
    if (this.#buffer.length >= length) return this.#cut(length)
    const pieces: Uint8Array[] = []
    for (let rest = length; rest > 0;) {
      const piece = await this.takeSome(rest)
      rest -= piece.length
      pieces.push(piece)
    }
    return joinBytes(pieces)
  }

  /** At least one byte, at most `length`. */
  async takeSome(length: number): Promise<Uint8Array> {
    if (this.#buffer.length === 0 && !(await this.#more())) throw new InputInvalidError(`the archive is cut off after ${this.#position} bytes`)
    return this.#cut(Math.min(length, this.#buffer.length))
  }

  async skip(length: number): Promise<void> {
    for (let rest = length; rest > 0;) rest -= (await this.takeSome(rest)).length
  }

  async expectZerosToEnd(): Promise<void> {
    do {
      if (!isZero(this.#buffer)) {
        throw new InputInvalidError(`more follows behind the end of the archive, from byte ${this.#position} on (store joined archives one by one)`)
      }
      this.#position += this.#buffer.length
    } while (await this.#more())
  }

  async close(): Promise<void> {
    await this.#source.return?.()
  }

  #cut(length: number): Uint8Array {
    const piece = this.#buffer.subarray(0, length)
    this.#buffer = this.#buffer.subarray(length)
    this.#position += length
    return piece
  }

  async #more(): Promise<boolean> {
    do {
      const next = await this.#source.next()
      if (next.done === true) return false
      this.#buffer = next.value
    } while (this.#buffer.length === 0)
    return true
  }
}
