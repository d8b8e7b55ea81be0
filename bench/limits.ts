import { createHash } from 'node:crypto'
import { closeSync, fdatasyncSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { quantile } from './statistics.ts'

/** What the machine itself can do, measured between the scenarios. Bytes and seconds. */
export interface MachineLimits {
  /** SHA-256 on one core. */
  readonly hashBytesPerSecond: number
  /** One file, written in order, flushed once at its end. */
  readonly writeBytesPerSecond: number
  /** Adding 4 KiB to a file and flushing it. */
  readonly flushMilliseconds: number
}

const PIECE = Buffer.alloc(1024 ** 2, 'some bytes of no meaning')
const HASHED_PIECES = 512
const WRITTEN_PIECES = 384
const FLUSHES = 100

/** Measures all of them once. @param folder on the file system in question */
export function measureLimits(folder: string): MachineLimits {
  return {
    hashBytesPerSecond: (HASHED_PIECES * PIECE.length) / secondsOf(hash),
    writeBytesPerSecond: (WRITTEN_PIECES * PIECE.length) / withFile(folder, (file) => secondsOf(() => write(file))),
    flushMilliseconds: withFile(folder, flushLatency),
  }
}

/** The best of each: what the machine can do when nothing else is going on. */
export function bestLimits(limits: readonly MachineLimits[]): MachineLimits {
  return {
    hashBytesPerSecond: Math.max(...limits.map(({ hashBytesPerSecond }) => hashBytesPerSecond)),
    writeBytesPerSecond: Math.max(...limits.map(({ writeBytesPerSecond }) => writeBytesPerSecond)),
    flushMilliseconds: Math.min(...limits.map(({ flushMilliseconds }) => flushMilliseconds)),
  }
}

function hash(): void {
  const digest = createHash('sha256')
  for (let piece = 0; piece < HASHED_PIECES; piece++) digest.update(PIECE)
  digest.digest()
}

function write(file: number): void {
  for (let piece = 0; piece < WRITTEN_PIECES; piece++) writeSync(file, PIECE)
  fsyncSync(file)
}

function flushLatency(file: number): number {
  const times = Array.from({ length: FLUSHES }, () => {
    writeSync(file, PIECE, 0, 4096)
    return secondsOf(() => fdatasyncSync(file)) * 1000
  })
  return quantile(times, 0.5)
}

function secondsOf(work: () => void): number {
  const start = performance.now()
  work()
  return (performance.now() - start) / 1000
}

function withFile(folder: string, measure: (file: number) => number): number {
  const path = join(folder, 'limit.bin')
  const file = openSync(path, 'w')
  try {
    return measure(file)
  } finally {
    closeSync(file)
    rmSync(path)
  }
}
