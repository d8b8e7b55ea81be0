import { Buffer } from 'node:buffer'
import { DigestMismatchError, InputInvalidError, StoreError } from '../core/errors.ts'
import type { IngestItem } from '../ports/data-plane.ts'
import { readLargeFile } from './file-source.ts'

/** Up to here a blob is a chunk in a pack; above it has an object of its own (STORAGE section 2). Bytes. */
export const SMALL_BYTES: number = 2 * 1024 * 1024

/** The size of an item, or undefined when only its end tells. */
export function sizeOf(item: IngestItem): number | undefined {
  switch (item.source.kind) {
    case 'bytes':
      return item.source.bytes.length
    case 'file':
      return Number(item.source.fingerprint.size)
    case 'stream':
      return undefined
  }
}

/** The failure of a source, which is that of its item alone. */
function sourceFailure(cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new InputInvalidError(`the bytes could not be read: ${reason}`, { cause })
}

/** The start of a stream: all of it if it is small, else what was read and the rest. */
export type StreamStart =
  | { readonly kind: 'small'; readonly bytes: Uint8Array }
  | { readonly kind: 'large'; readonly source: AsyncIterable<Uint8Array> }
  | { readonly kind: 'failed'; readonly error: StoreError }

/** Reads a stream until it ends or is too long for a pack. */
export async function startStream(iterator: AsyncGenerator<Uint8Array>): Promise<StreamStart> {
  const pieces: Buffer[] = []
  let size = 0
  try {
    while (size <= SMALL_BYTES) {
      const step = await iterator.next()
      if (step.done === true) return { kind: 'small', bytes: joined(pieces) }
      // Copied: whoever makes the pieces may use the memory again.
      pieces.push(Buffer.from(step.value))
      size += step.value.length
    }
  } catch (cause) {
    return { kind: 'failed', error: sourceFailure(cause) }
  }
  return { kind: 'large', source: continued(pieces, iterator) }
}

function joined(pieces: readonly Buffer[]): Uint8Array {
  const [only] = pieces
  return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces)
}

async function* continued(pieces: Buffer[], rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) yield piece
  } catch (error) {
    await rest.return(undefined)
    throw error
  }
  yield* rest
}

/** The bytes of an item with a known size that is too long for a pack. */
export function largeSource(item: IngestItem): AsyncIterable<Uint8Array> {
  switch (item.source.kind) {
    case 'file':
      return readLargeFile(item.source)
    case 'bytes':
      return slices(item.source.bytes)
    case 'stream':
      return item.source.stream
  }
}

async function* slices(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  const length = 1024 * 1024
  for (let offset = 0; offset < bytes.length; offset += length) yield bytes.subarray(offset, offset + length)
}

/** Passes a source on; remembers that it was the source that failed, not the one who read it, and stops it when it is longer than announced. */
export class WatchedSource implements AsyncIterable<Uint8Array> {
  readonly #source: AsyncIterable<Uint8Array>
  readonly #expectedSize: number | undefined
  failure: StoreError | undefined

  constructor(source: AsyncIterable<Uint8Array>, expectedSize: number | undefined) {
    this.#source = source
    this.#expectedSize = expectedSize
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    let size = 0
    try {
      for await (const piece of this.#source) {
        size += piece.length
        if (this.#expectedSize !== undefined && size > this.#expectedSize) {
          throw new DigestMismatchError(`more bytes arrived than the ${String(this.#expectedSize)} that were announced`, {
            detail: { expectedSize: this.#expectedSize },
          })
        }
        yield piece
      }
    } catch (cause) {
      this.failure = sourceFailure(cause)
      throw this.failure
    }
  }
}
