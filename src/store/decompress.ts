import { pipeline } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { InputInvalidError } from '../core/errors.ts'

const MAGIC_BYTES = 6
const OUTPUT_BYTES = 256 * 1024

interface Format {
  readonly name: string
  readonly magic: RegExp
  /** Undefined when the format is known but not read. */
  readonly decoder: (() => NodeJS.ReadWriteStream) | undefined
}

/** What can be told from the first bytes, as hexadecimal digits of them. */
const FORMATS: readonly Format[] = [
  { name: 'gzip', magic: /^1f8b/, decoder: () => createGunzip({ chunkSize: OUTPUT_BYTES }) },
  // A frame, or one that carries no content and is to be skipped (RFC 8878 section 3.1).
  { name: 'zstd', magic: /^(?:28b52ffd|5.2a4d18)/, decoder: () => createZstdDecompress({ chunkSize: OUTPUT_BYTES }) },
  { name: 'bzip2', magic: /^425a68/, decoder: undefined },
  { name: 'xz', magic: /^fd377a585a00/, decoder: undefined },
  { name: 'zip', magic: /^504b0304/, decoder: undefined },
]

/**
 * Passes bytes through, decompressed if they begin as gzip or zstd do. A source that fails, fails the result with its own error.
 * @throws InputInvalidError when the compressed bytes are damaged or cut off, or of a format that is known but not read
 */
export async function* decompress(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = source[Symbol.asyncIterator]()
  const head = await firstBytes(iterator)
  const all = resume(head, iterator)
  const hex = head.toString('hex', 0, MAGIC_BYTES)
  const format = FORMATS.find(({ magic }) => magic.test(hex))
  if (format === undefined) return yield* all
  if (format.decoder === undefined)
    throw new InputInvalidError(`the archive is of the format ${format.name}, which is not read (tar, plain or compressed with gzip or zstd, is)`)
  let sourceFailed = false
  const guarded = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* all
    } catch (error) {
      sourceFailed = true
      throw error
    }
  }
  const decoder = format.decoder()
  pipeline(guarded, decoder, () => {})
  try {
    for await (const piece of decoder) yield typeof piece === 'string' ? Buffer.from(piece) : piece
  } catch (error) {
    if (sourceFailed) throw error
    throw new InputInvalidError(`the archive is damaged or cut off: its ${format.name} data cannot be decompressed`, { cause: error })
  }
}

async function firstBytes(source: AsyncIterator<Uint8Array>): Promise<Buffer> {
  let head = Buffer.alloc(0)
  while (head.length < MAGIC_BYTES) {
    const next = await source.next()
    if (next.done === true) break
    head = Buffer.concat([head, next.value])
  }
  return head
}

async function* resume(head: Uint8Array, source: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    if (head.length > 0) yield head
    for (let next = await source.next(); next.done !== true; next = await source.next()) yield next.value
  } finally {
    await source.return?.()
  }
}
