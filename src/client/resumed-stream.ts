import { ServerUnreachableError } from '../core/errors.ts'
import { abortedError, type Connection, NEVER } from './connection.ts'
import { backOffMs, pause } from './retry-schedule.ts'

/** Something that comes piece by piece, and can be opened again further on. */
export interface Resumable<T> {
  /** Gives what comes from a position on. What it throws is not tried again. */
  readonly open: (position: number) => Promise<AsyncIterable<T>>
  /** How far a piece carries the position. */
  readonly lengthOf: (piece: T) => number
  readonly start: number
  /** How often it may break off in a row without any progress; as the connection has it unless told. */
  readonly retries?: number
  readonly signal?: AbortSignal | undefined
}

/**
 * The pieces of something that is opened again where it was when the connection breaks off. As long as there is progress, this has no end.
 * @throws ServerUnreachableError when it broke off too often without any
 */
export async function* resumedStream<T>(connection: Connection, source: Resumable<T>): AsyncGenerator<T, void, undefined> {
  const { open, lengthOf, start, retries = connection.retries, signal } = source
  let position = start
  let failures = 0
  for (;;) {
    const pieces = await open(position)
    try {
      for await (const piece of pieces) {
        position += lengthOf(piece)
        failures = 0
        yield piece
      }
      return
    } catch (error) {
      if (!(error instanceof ServerUnreachableError) || failures++ === retries) throw error
      await pause(backOffMs(failures, Math.random()), signal ?? NEVER)
      if (signal?.aborted === true) throw abortedError(signal)
    }
  }
}

/** What comes behind the first `count` bytes. */
export async function* behindBytes(pieces: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Uint8Array, void, undefined> {
  let rest = count
  for await (const piece of pieces) {
    if (rest < piece.length) yield rest === 0 ? piece : piece.subarray(rest)
    rest = Math.max(0, rest - piece.length)
  }
}

/** What comes behind the first `count` items. */
export async function* behindItems<T>(items: AsyncIterable<T>, count: number): AsyncGenerator<T, void, undefined> {
  let rest = count
  for await (const item of items) if (rest-- <= 0) yield item
}
