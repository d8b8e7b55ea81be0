import { Session } from 'node:inspector'
import { getHeapStatistics } from 'node:v8'
import type { LoadLimits } from './server-limits.ts'

/** What a process has to carry. */
export interface Load {
  /** Time by which timers are late, in ms. */
  readonly delayMs: number
  /** Heap and buffers outside of it, in bytes. */
  readonly liveBytes: number
  /** How full the heap is, 0 to 1. */
  readonly heapPart: number
}

/** What there is too much of, or undefined. Pure. */
export function excessOf(load: Load, limits: LoadLimits): 'work' | 'memory' | undefined {
  if (load.delayMs > limits.delayMs) return 'work'
  return load.liveBytes > limits.liveBytes || load.heapPart > limits.heapPart ? 'memory' : undefined
}

/** What is older than this hardly counts any more, in ms. */
const MEMORY_MS = 1_000

/** By how much timers are late, on average over the last time: each lateness weighs as much as the time in which it was felt. Pure. */
export class Lateness {
  #ms = 0

  get ms(): number {
    return this.#ms
  }

  /** @param elapsedMs time since the last call @param lateMs how much of it was too much */
  observe(elapsedMs: number, lateMs: number): void {
    this.#ms += (lateMs - this.#ms) * (1 - Math.exp(-elapsedMs / MEMORY_MS))
  }
}

/** How long to wait between two collections of garbage that are asked for, in ms. */
const COLLECT_MS = 5_000
/** How often lateness is looked at, in ms. */
const LOOK_MS = 50

/**
 * Measures the load of this process. Resident memory says nothing here: the allocator keeps what it was given. Node's own histogram of delays loses
 * the first one after each reset, and with it all of them when the process is busiest.
 */
export class LoadGauge {
  readonly #lateness = new Lateness()
  #timer: NodeJS.Timeout | undefined
  #last = 0
  #collected = -Infinity

  /** Begins to look whether timers are late. What the process does before it serves does not count. */
  start(): void {
    this.#last = performance.now()
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref()
  }

  read(): Load {
    const heap = getHeapStatistics()
    return {
      delayMs: this.#lateness.ms,
      liveBytes: heap.used_heap_size + heap.external_memory,
      heapPart: heap.used_heap_size / heap.heap_size_limit,
    }
  }

  /**
   * Frees memory that nothing uses any more, unless that was done a moment ago. V8 does so when there are many new objects; a server that turns
   * everybody away makes few, and would go on for long.
   */
  collectGarbage(): void {
    if (performance.now() - this.#collected < COLLECT_MS) return
    this.#collected = performance.now()
    const session = new Session()
    session.connect()
    session.post('HeapProfiler.collectGarbage')
    session.disconnect()
  }

  /** Stops measuring. */
  close(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const now = performance.now()
    const elapsedMs = now - this.#last
    this.#last = now
    this.#lateness.observe(elapsedMs, Math.max(0, elapsedMs - LOOK_MS))
  }
}
