import { randomFillSync, randomUUID } from 'node:crypto'
import { Buffer } from 'node:buffer'

const SEQUENCE_LIMIT = 0x1000
const random = Buffer.alloc(10)
let lastMs = -1
let sequence = 0

/**
 * A UUID of version 7 (RFC 9562 section 5.7): time-ordered, so that indexes grow at one end. Two of one process are always in the order in
 * which they were made, also when the clock stands still or goes back (section 6.2, method 1: the 12 bits after the version are a counter).
 * @param nowMs wall clock, UTC ms
 */
export function uuidv7(nowMs: number = Date.now()): string {
  randomFillSync(random)
  const now = Math.floor(nowMs)
  if (now > lastMs) {
    lastMs = now
    // The upper bit starts clear, so that a burst within one millisecond has room to count.
    sequence = random.readUInt16BE(0) & 0x7ff
  } else if (++sequence === SEQUENCE_LIMIT) {
    lastMs += 1
    sequence = 0
  }
  const time = lastMs.toString(16).padStart(12, '0')
  const counter = sequence.toString(16).padStart(3, '0')
  random[2] = ((random[2] ?? 0) & 0x3f) | 0x80
  const tail = random.toString('hex', 2)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${counter}-${tail.slice(0, 4)}-${tail.slice(4)}`
}

/** A random UUID of version 4 (RFC 9562 section 5.4), for keys that should say nothing. */
export function uuidv4(): string {
  return randomUUID()
}
