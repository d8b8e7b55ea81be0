import { Buffer } from 'node:buffer'
import type { Backend, ObjectKey } from '../ports/backend.ts'
import { free } from './memory.ts'

/**
 * Reads a part of an object into memory; shorter than asked for when the object ends before.
 * @param end exclusive; the caller bounds it
 * @throws ObjectMissingError; BackendFailedError
 */
export async function readRange(backend: Backend, key: ObjectKey, start: number, end: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of backend.get(key, { start, end })) pieces.push(piece)
  return joined(pieces)
}

/** Pieces of an object as one; nobody else may look at them any more. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces
  if (pieces.length === 1 && only !== undefined) return only
  const whole = Buffer.concat(pieces)
  for (const piece of pieces) free(piece)
  return whole
}

/** Walks forwards through an object and shows the bytes ahead; holds no more than was asked for and one piece. */
export class ObjectCursor {
  readonly #pieces: AsyncIterator<Uint8Array>
  #held: Uint8Array = new Uint8Array(0)
  /** Where in the object the held bytes start. */
  #start = 0

  constructor(backend: Backend, key: ObjectKey) {
    this.#pieces = backend.get(key)[Symbol.asyncIterator]()
  }

  /** The bytes from `position` on, at least `length` of them unless the object ends. `position` never goes back. */
  async peek(position: number, length: number): Promise<Uint8Array> {
    const ahead: Uint8Array[] = []
    this.#drop(position)
    let available = this.#held.length - (position - this.#start)
    while (available < length) {
      const step = await this.#pieces.next()
      if (step.done === true) break
      ahead.push(step.value)
      available += step.value.length
    }
    if (ahead.length > 0) {
      this.#held = this.#held.length === 0 && ahead.length === 1 && ahead[0] !== undefined ? ahead[0] : Buffer.concat([this.#held, ...ahead])
      this.#drop(position)
    }
    return this.#start === position ? this.#held : new Uint8Array(0)
  }

  /** Stops reading. */
  async close(): Promise<void> {
    await this.#pieces.return?.()
  }

  #drop(position: number): void {
    const count = Math.min(this.#held.length, position - this.#start)
    this.#held = this.#held.subarray(count)
    this.#start += count
  }
}
