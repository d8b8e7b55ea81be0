import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import type { PaceLimits } from './pace.ts'

/** What the server grants to whoever connects. Times in ms, sizes in bytes. */
export interface ServerLimits {
  /** Connections at once. On some more only probes are answered. */
  readonly maxConnections: number
  /** Request line and header fields of a request together. */
  readonly maxHeaderBytes: number
  /** Header fields of a request. */
  readonly maxHeaders: number
  /** The target of a request line. */
  readonly maxTargetBytes: number
  /** Within this time all header fields of a request must be there. */
  readonly headersMs: number
  /** How long a connection may be idle between two requests. */
  readonly keepAliveMs: number
  /** Requests of one connection that may wait for the one before them. */
  readonly maxPipelined: number
  /** How fast a body must arrive while the server waits for it. */
  readonly body: PaceLimits
  /** How fast an answer must be taken while the server has something to send. */
  readonly answer: PaceLimits
  /** How long what a client still sends is read and thrown away after it was refused, so that it sees the answer before the connection is reset. */
  readonly lingerMs: number
  /** Requests under way at once, without those that only wait for news. */
  readonly maxInFlight: number
  /** Memory for bodies that are under way, and who may wait for it. */
  readonly uploads: UploadLimits
  readonly load: LoadLimits
  /** How often connections are looked through and the load is measured. */
  readonly sweepMs: number
}

/** Bodies are taken in while there is room for them; the others wait, unread. */
export interface UploadLimits {
  /** Bodies up to this size need no room. */
  readonly freeBytes: number
  /** What a body holds in memory at most: the store gathers this much before it writes. */
  readonly heldBytes: number
  /** For all bodies together. */
  readonly roomBytes: number
  readonly maxWaiting: number
  readonly waitMs: number
  /** How fast a body that has room must arrive while others have been waiting for longer than `idleMs`. */
  readonly contended: PaceLimits
}

/** Beyond these the server takes no more work until it is less. */
export interface LoadLimits {
  /** Time by which timers of the process are late. */
  readonly delayMs: number
  /** Memory of the main thread that is in use: heap, and buffers outside of it. */
  readonly liveBytes: number
  /** Part of the largest heap that V8 allows. */
  readonly heapPart: number
}

const KIB = 1024
const MIB = 1024 * KIB
/** Files that the store itself may have open. */
const FILES_OF_STORE = 1_000

/** Limits that fit this machine. */
export function defaultLimits(): ServerLimits {
  const memory = memoryLimit()
  return {
    maxConnections: Math.max(100, Math.min(16_384, openFileLimit() - FILES_OF_STORE)),
    maxHeaderBytes: 16 * KIB,
    maxHeaders: 100,
    maxTargetBytes: 8 * KIB,
    headersMs: 10_000,
    keepAliveMs: 60_000,
    maxPipelined: 16,
    body: { idleMs: 30_000, windowMs: 30_000, bytesPerSecond: KIB },
    answer: { idleMs: 60_000, windowMs: 60_000, bytesPerSecond: KIB },
    lingerMs: 5_000,
    maxInFlight: 4_096,
    uploads: {
      freeBytes: 64 * KIB,
      heldBytes: 2 * MIB,
      roomBytes: Math.max(32 * MIB, Math.min(256 * MIB, memory / 8)),
      maxWaiting: 4_096,
      waitMs: 60_000,
      contended: { idleMs: 10_000, windowMs: 10_000, bytesPerSecond: 8 * KIB },
    },
    load: { delayMs: 1_000, liveBytes: memory * 0.6, heapPart: 0.9 },
    sweepMs: 1_000,
  }
}

/** Files that the process may open; Node has raised the soft limit to the hard one. */
function openFileLimit(): number {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
    return limit === null ? Infinity : Number(limit[1])
  } catch {
    // Only Linux tells it like this.
    return 10_240
  }
}

/** Memory for all downloads together, in bytes. */
export function downloadBytes(): number {
  return Math.max(32 * MIB, Math.min(256 * MIB, memoryLimit() / 8))
}

/** Memory that this process may use: that of its container, or of the machine. */
function memoryLimit(): number {
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
}
