import { pipeline, type Transform } from 'node:stream'

/**
 * Passes bytes through a transform (compressing or decompressing), with back-pressure. A source that fails, fails the result with its own error.
 * @param failure what to throw when the transform itself fails, as bytes are not what it expects
 */
export async function* transformed(
  source: AsyncIterable<Uint8Array>,
  transform: Transform,
  failure: (cause: unknown) => Error,
): AsyncGenerator<Uint8Array, void, undefined> {
  let sourceFailed = false
  const guarded = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* source
    } catch (error) {
      sourceFailed = true
      throw error
    }
  }
  pipeline(guarded, transform, () => {})
  try {
    for await (const piece of transform) yield typeof piece === 'string' ? Buffer.from(piece) : piece
  } catch (error) {
    throw sourceFailed ? error : failure(error)
  }
}
