import { AbortedError } from '../core/errors.ts'

/** Where the bytes of an object come from. */
export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/** What a call throws whose signal was aborted; the signal's reason is the cause. */
export function abortedError(signal: AbortSignal): AbortedError {
  return new AbortedError('stopped on request', { cause: signal.reason })
}

/**
 * The pieces of a source, one at a time, until it ends or the signal is aborted. An abort is noticed even while the source is silent; the source
 * is then told to stop, but not waited for.
 * @throws AbortedError; whatever the source throws, unchanged
 */
export async function* piecesOf(source: ByteSource, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
  if (signal === undefined) {
    yield* source
    return
  }
  const isAborted = (): boolean => signal.aborted
  if (isAborted()) throw abortedError(signal)
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  // One listener for the whole source: a Promise.race per piece against a long-lived promise would leak a reaction a piece.
  let interrupt: ((error: AbortedError) => void) | undefined
  const onAbort = (): void => interrupt?.(abortedError(signal))
  signal.addEventListener('abort', onAbort)
  let ended = false
  try {
    for (;;) {
      ended = true // unless it answers: a source that throws has ended
      const step = await new Promise<IteratorResult<Uint8Array, unknown>>((resolve, reject) => {
        interrupt = reject
        Promise.resolve(iterator.next()).then(resolve, reject)
      })
      interrupt = undefined
      if (step.done === true) return
      ended = false
      yield step.value
      if (isAborted()) throw abortedError(signal)
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    if (!ended || isAborted()) await stop(iterator, signal)
  }
}

async function stop(iterator: Iterator<Uint8Array> | AsyncIterator<Uint8Array>, signal: AbortSignal): Promise<void> {
  const stopped = (async () => iterator.return?.())()
  // A generator that waits for something answers `return` only after that, which may be never.
  if (signal.aborted) stopped.catch(() => undefined)
  else await stopped
}
