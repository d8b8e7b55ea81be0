import type { ServerUnreachableError } from '../core/errors.ts'

/**
 * The pieces of an answer's body. A body that is not read to its end is cancelled, which frees the connection.
 * @param broken makes the error of a connection that broke off
 * @param count told of each piece's bytes
 */
export async function* bodyPieces(
  body: ReadableStream<Uint8Array> | null,
  broken: (cause: unknown) => Error | ServerUnreachableError,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (body === null) return
  // Not `for await`: Safari's streams cannot be iterated.
  const reader = body.getReader()
  let ended = false
  try {
    for (;;) {
      const step = await reader.read().catch((cause: unknown) => {
        ended = true
        throw broken(cause)
      })
      if (step.done) {
        ended = true
        return
      }
      count(step.value.byteLength)
      yield step.value
    }
  } finally {
    if (!ended) await reader.cancel().catch(() => undefined)
  }
}
