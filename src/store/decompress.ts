import type { Transform } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { InputInvalidError } from '../core/errors.ts'
import { beginningOf } from './beginning.ts'
import { transformed } from './transformed.ts'

const MAGIC_BYTES = 6
const OUTPUT_BYTES = 256 * 1024

interface Format {
  readonly name: string
  readonly magic: RegExp
  /** Undefined when the format is known but not read. */
  readonly decoder: (() => Transform) | undefined
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
  const { head, all } = await beginningOf(source, MAGIC_BYTES)
  const hex = head.toString('hex', 0, MAGIC_BYTES)
  const format = FORMATS.find(({ magic }) => magic.test(hex))
  if (format === undefined) return yield* all
  const { name, decoder } = format
  if (decoder === undefined)
    throw new InputInvalidError(`the archive is of the format ${name}, which is not read here (tar is, plain or compressed with gzip or zstd)`)
  yield* transformed(
    all,
    decoder(),
    (cause) => new InputInvalidError(`the archive is damaged or cut off: its ${name} data cannot be decompressed`, { cause }),
  )
}
