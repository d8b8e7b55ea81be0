import { joinBytes } from '../core/bytes.ts'
import type { PutSource } from '../store/interface.ts'
import type { LocalFile } from './local-file.ts'

/** Bytes on their way: held whole, in a file on this machine, or a stream that comes once and is longer than what is held. */
export type Content =
  | { readonly kind: 'held'; readonly bytes: Uint8Array }
  | { readonly kind: 'file'; readonly file: LocalFile; readonly size: number }
  | { readonly kind: 'stream'; readonly pieces: AsyncIterable<Uint8Array> }

/** Takes a source up; at once, unless it is a stream. Streams of up to `heldBytes` are held, so that they can be sent again. */
export function contentOf(source: PutSource, heldBytes: number): Content | Promise<Content> {
  // Not by class: bytes may come from another window.
  if (Symbol.asyncIterator in source) return streamed(source, heldBytes)
  if ('file' in source) return { kind: 'file', file: source, size: Number(source.fingerprint.size) }
  return { kind: 'held', bytes: source }
}

async function streamed(source: AsyncIterable<Uint8Array>, heldBytes: number): Promise<Content> {
  const head: Uint8Array[] = []
  let length = 0
  const iterator = source[Symbol.asyncIterator]()
  for (let step = await iterator.next(); step.done !== true; step = await iterator.next()) {
    length += step.value.length
    // Streams may use the memory of a piece again for the next one.
    head.push(Uint8Array.from(step.value))
    if (length > heldBytes) return { kind: 'stream', pieces: joined(head, iterator) }
  }
  return { kind: 'held', bytes: joinBytes(head) }
}

/** The pieces of a local file; its reader is loaded when it is needed, as only Node has it. */
export async function* piecesOfFile(file: LocalFile, start: number, end: number): AsyncGenerator<Uint8Array, void, undefined> {
  const { localFilePieces } = await import('./local-file.ts')
  yield* localFilePieces(file, start, end)
}

/**
 * Cuts a stream into pieces of `length` bytes, each a buffer of its own; the last one is shorter. Says of each whether it is the last.
 * @param length in bytes
 */
export async function* cut(
  pieces: AsyncIterable<Uint8Array>,
  length: number,
): AsyncGenerator<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly isLast: boolean }, void, undefined> {
  let buffer = new Uint8Array(length)
  let filled = 0
  for await (const piece of pieces) {
    for (let start = 0; start < piece.length;) {
      // Only now it is sure that what was gathered is not the last.
      if (filled === length) {
        yield { bytes: buffer, isLast: false }
        buffer = new Uint8Array(length)
        filled = 0
      }
      const step = Math.min(length - filled, piece.length - start)
      buffer.set(piece.subarray(start, start + step), filled)
      filled += step
      start += step
    }
  }
  yield { bytes: buffer.slice(0, filled), isLast: true }
}

async function* joined(head: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* head
    for (let step = await rest.next(); step.done !== true; step = await rest.next()) yield step.value
  } finally {
    await rest.return?.()
  }
}
