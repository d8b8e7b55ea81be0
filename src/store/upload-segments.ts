import { LimitExceededError } from '../core/errors.ts'
import type { ByteBudget } from '../data-plane/byte-budget.ts'
import { free } from '../data-plane/memory.ts'

/** Segments end at multiples of this, so that the same content is cut into the same parts again. Bytes. */
export const SEGMENT_BYTES: number = 16 * 1024 * 1024
/** Memory that a segment starts with; then it grows by as much as it has, up to the largest block. */
const FIRST_BLOCK = 64 * 1024
const LARGEST_BLOCK = 1024 * 1024
/** What has arrived is stored when nothing more came for this long. */
const SILENCE_MS = 1_000
/** And when it has waited for this long, however slowly more arrives. */
const AGE_MS = 10_000

/** The next bytes of an upload, in memory. `start` and `size` in bytes. */
export interface Segment {
  readonly start: number
  readonly size: number
  readonly blocks: readonly Uint8Array[]
  /** Gives the memory back; nobody may look at the blocks any more. */
  release(): void
}

/** Where to cut. `room`: bytes that may follow, undefined: any number. */
export interface SegmentOptions {
  readonly start: number
  readonly room: number | undefined
  readonly memory: ByteBudget
}

/**
 * Cuts what arrives into segments: where one is full, where memory is short, where the source is silent or slow, and where it ends or breaks off;
 * its error is passed on behind the last one. Who takes a segment releases it. What waits for memory holds none, so that nobody waits for ever.
 * @throws LimitExceededError when more arrives than there is room for; what the source throws
 */
export async function* cutSegments(
  source: AsyncIterable<Uint8Array>,
  { start, room, memory }: SegmentOptions,
): AsyncGenerator<Segment, void, undefined> {
  const iterator = source[Symbol.asyncIterator]()
  let growing = new GrowingSegment(start, memory)
  const cut = (): Segment => {
    const segment = growing.take()
    growing = new GrowingSegment(segment.start + segment.size, memory)
    return segment
  }
  let next = handled(iterator.next())
  try {
    for (;;) {
      if (growing.size > 0 && !(await settles(next, growing.patience()))) yield cut()
      let step
      try {
        step = await next
      } catch (error) {
        if (growing.size > 0) yield cut()
        throw error
      }
      if (step.done === true) break
      if (room !== undefined && growing.start + growing.size + step.value.length > start + room) throw tooLong(start + room)
      for (let rest = step.value; rest.length > 0;) {
        if (growing.isFull) yield cut()
        if (!growing.grow()) {
          if (growing.size > 0) yield cut()
          await growing.begin()
        }
        rest = growing.fill(rest)
      }
      next = handled(iterator.next())
    }
    if (growing.size > 0) yield cut()
  } finally {
    growing.take().release()
    // Not waited for: a source that is silent answers only when it is not.
    Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
}

/** A segment that is being gathered. */
class GrowingSegment {
  readonly start: number
  readonly #memory: ByteBudget
  readonly #limit: number
  readonly #blocks: Uint8Array[] = []
  /** Bytes in all blocks, and in use. */
  #taken = 0
  #size = 0
  /** When the first and the last byte came, ms. */
  #first = 0
  #latest = 0

  constructor(start: number, memory: ByteBudget) {
    this.start = start
    this.#memory = memory
    this.#limit = SEGMENT_BYTES - (start % SEGMENT_BYTES)
  }

  get size(): number {
    return this.#size
  }

  get isFull(): boolean {
    return this.#size === this.#limit
  }

  /** How long to wait for more, ms. */
  patience(): number {
    return Math.max(0, Math.min(this.#latest + SILENCE_MS, this.#first + AGE_MS) - performance.now())
  }

  /** Makes sure that there is room for a byte. @returns false when memory is short */
  grow(): boolean {
    if (this.#taken > this.#size) return true
    const wanted = Math.min(Math.max(this.#size, FIRST_BLOCK), LARGEST_BLOCK, this.#limit - this.#size)
    if (!this.#memory.tryTake(wanted)) return false
    this.#add(wanted)
    return true
  }

  /** Waits for the memory that an empty segment starts with. */
  async begin(): Promise<void> {
    const wanted = Math.min(FIRST_BLOCK, this.#limit)
    await this.#memory.take(wanted)
    this.#add(wanted)
  }

  /** Copies as much as fits. @returns the rest */
  fill(bytes: Uint8Array): Uint8Array {
    const block = this.#blocks.at(-1)
    if (block === undefined) throw new TypeError('a segment has no room')
    const part = bytes.subarray(0, this.#taken - this.#size)
    block.set(part, block.length - (this.#taken - this.#size))
    this.#size += part.length
    this.#latest = performance.now()
    if (this.#size === part.length) this.#first = this.#latest
    return bytes.subarray(part.length)
  }

  /** What was gathered. */
  take(): Segment {
    const [blocks, taken, memory] = [this.#blocks.splice(0), this.#taken, this.#memory]
    const unused = this.#taken - this.#size
    this.#taken = 0
    const last = blocks.at(-1)
    const used = last === undefined || unused === 0 ? blocks : [...blocks.slice(0, -1), last.subarray(0, last.length - unused)]
    return {
      start: this.start,
      size: this.#size,
      blocks: used,
      release: () => {
        for (const block of blocks.splice(0)) free(block)
        memory.give(taken)
      },
    }
  }

  #add(bytes: number): void {
    this.#blocks.push(Buffer.allocUnsafeSlow(bytes))
    this.#taken += bytes
  }
}

/** Whether a promise settles within this time. */
function settles(promise: Promise<unknown>, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.ceil(ms), false)
    const settled = (): void => {
      clearTimeout(timer)
      resolve(true)
    }
    promise.then(settled, settled)
  })
}

/** The promise itself; its failure counts as handled until it is awaited. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}

function tooLong(length: number): LimitExceededError {
  return new LimitExceededError(`more bytes arrive than the ${length} that the upload was said to have`, { detail: { length } })
}
