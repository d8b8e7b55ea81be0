import { LogCorruptError, type StoreError } from '../../core/errors.ts'
import { formatTime } from '../../core/event.ts'
import type { Clock } from '../../ports/clock.ts'
import { isBlobLease } from '../../registry/blob-leases.ts'
import { getLogHead, lastEventOfResource } from '../../registry/events.ts'
import { listLeases } from '../../registry/inspection.ts'
import { getSetting } from '../../registry/settings.ts'
import type { Session } from '../../registry/statement.ts'
import { type LogCopies, type VerifiedLog, verifyLog } from '../log-verification.ts'
import { counted, type Finding } from './finding.ts'

/** The mirror follows within a second; what has not arrived after this long waits for a process to open and close the store. */
const MIRROR_MS = 60_000
/** Clocks of one machine may differ by this much and mean nothing, milliseconds. */
const CLOCK_MS = 1_000
/** No lease is taken for longer. */
const LEASE_MS = 600_000
const LEASES = 1_000

/** Whether the log is what was written, in both copies, and how far its mirror is behind. */
export async function examineLog(log: LogCopies, now: number): Promise<Finding> {
  const check = 'log'
  const head = await getLogHead(log.reader)
  let verified: VerifiedLog
  try {
    verified = await verifyLog(log)
  } catch (error) {
    if (!(error instanceof LogCorruptError)) throw error
    return { check, status: 'fail', observed: error.message, advice: logAdvice(error, head.seq) }
  }
  const { events, mirrored } = verified
  const behind = events - mirrored
  const observed = `${counted(events, 'event')} that follow from each other; the mirror among the objects ${behind <= 0 ? 'has them all' : `lacks the last ${behind}`}`
  const believed = Number(await getSetting(log.reader, 'mirrored-seq'))
  if (mirrored < Math.min(believed, events)) {
    const advice =
      'Part of the mirror was removed, so that recover could not bring back the events it lacks. Put the objects folder back if it was restored from an older copy; else keep backups of the registry.'
    return { check, status: 'fail', observed: `${observed}, although all up to ${believed} were mirrored`, advice }
  }
  if (behind > 0 && now - head.time > MIRROR_MS) {
    const advice = 'A process ended before it mirrored them. Any command that opens the store catches up, such as: artifact-store ls.'
    return { check, status: 'warn', observed, advice }
  }
  return { check, status: 'ok', observed }
}

function logAdvice(error: StoreError, head: number): string {
  const { seq } = error.detail
  if (typeof seq === 'number' && seq > head) {
    return 'The registry is older than the objects: it was restored from a backup, or this is a copy. Nothing is written until that is settled. Put the newest registry back, or rebuild it from the objects: artifact-store recover.'
  }
  return 'Keep a copy of the store as it is, then find out who or what changed it. If the registry was exchanged, put the right one back or rebuild it from the objects: artifact-store recover.'
}

/** Where an examination began on both clocks, milliseconds. */
export interface ClockReading {
  readonly wall: number
  readonly monotonic: number
}

/** Reads both clocks at once. */
export function readClocks(clock: Clock): ClockReading {
  return { wall: clock.now(), monotonic: performance.now() }
}

/** Whether this machine's clock can be believed. */
export async function examineClock(session: Session, started: ClockReading, clock: Clock): Promise<Finding> {
  const now = readClocks(clock)
  const head = await getLogHead(session)
  const check = 'clock'
  const advice = 'Set the clock right (NTP). Events keep the time of the one before until it has caught up, and nothing is deleted meanwhile.'
  const jump = now.wall - started.wall - (now.monotonic - started.monotonic)
  if (Math.abs(jump) > CLOCK_MS) {
    return { check, status: 'warn', observed: `the clock jumped by ${Math.round(jump / 1_000)} s during this examination`, advice }
  }
  if (now.wall < head.time - CLOCK_MS) {
    const observed = `the clock says ${formatTime(now.wall)}, but the last event happened at ${formatTime(head.time)}`
    return { check, status: 'warn', observed, advice }
  }
  const last = await lastEventOfResource(session, 'clock')
  if (last?.type === 'clock.suspected') {
    const observed = `event ${last.seq} says that the clock is suspect: nothing is deleted`
    return { check, status: 'warn', observed, advice: "Look at the clock ('artifact-store retention clock'), then accept it if it is right." }
  }
  const long = (await listLeases(session, LEASES)).filter(({ left, name }) => left > LEASE_MS && !isBlobLease(name))
  if (long.length > 0) {
    const observed = `${counted(long.length, 'lease')} last longer than any lease is taken for: the clock was set back since`
    return {
      check,
      status: 'warn',
      observed,
      advice: 'Set the clock right (NTP). Until these leases run out, writers that hold them are taken for alive.',
    }
  }
  return { check, status: 'ok', observed: `${formatTime(now.wall)}, not behind the last event (${formatTime(head.time)}), and running evenly` }
}
