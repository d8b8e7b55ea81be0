import { encodeCanonical } from '../core/canonical-json.ts'
import { LogCorruptError, ObjectMissingError, StoreError } from '../core/errors.ts'
import { ChainVerifier, type LoggedEvent, parseSegment } from '../core/event.ts'
import type { Backend } from '../ports/backend.ts'
import { listEvents } from '../registry/events.ts'
import type { Session } from '../registry/statement.ts'
import { readWhole } from './read-whole.ts'
import { listSegments, type SegmentPlace } from './segment-place.ts'

const PAGE = 1_000

/** The two copies of a log: in the registry, and mirrored among the objects. */
export interface LogCopies {
  readonly reader: Session
  readonly backend: Backend
  readonly storeId: string
  readonly logId: string
}

/** A log that is what was written. */
export interface VerifiedLog {
  readonly events: number
  /** Chain hash of the last event, hexadecimal. */
  readonly head: string
  /** The mirror has the same events up to this one, without a gap. */
  readonly mirrored: number
}

/**
 * Recomputes the hash chain of the log and compares each event with its mirrored copy. A chain says only from where on it is wrong; the second copy
 * tells which event it was, and what it said.
 * @throws LogCorruptError naming the first event that is not what was written
 */
export async function verifyLog(log: LogCopies): Promise<VerifiedLog> {
  const chain = await followChain(log.reader)
  let mirror = await compareWithMirror(log)
  // A segment that was merged into another while the mirror was read looks like a gap, once.
  if (mirror.isGap) mirror = await compareWithMirror(log)
  const { problem } = chain
  if (mirror.problem !== undefined && (problem === undefined || mirror.at <= chain.events + 1)) throw mirror.problem
  if (problem !== undefined) throw problem
  return { events: chain.events, head: chain.head, mirrored: mirror.at - 1 }
}

interface FollowedChain {
  /** How many events follow from each other. */
  readonly events: number
  readonly head: string
  readonly problem: LogCorruptError | undefined
}

async function followChain(reader: Session): Promise<FollowedChain> {
  const chain = new ChainVerifier()
  const result = (problem?: LogCorruptError): FollowedChain => ({ events: chain.seq, head: Buffer.from(chain.hash).toString('hex'), problem })
  try {
    for (;;) {
      const page = await listEvents(reader, chain.seq, PAGE)
      for (const event of page) chain.add(event)
      if (page.length < PAGE) return result()
    }
  } catch (error) {
    if (error instanceof LogCorruptError) return result(error)
    throw error
  }
}

interface ComparedMirror {
  /** The first event that is not in both copies, or not the same in both. */
  readonly at: number
  readonly problem: LogCorruptError | undefined
  /** The problem is that no segment has that event. */
  readonly isGap?: boolean
}

async function compareWithMirror(log: LogCopies): Promise<ComparedMirror> {
  let at = 1
  for await (const segment of listSegments(log.backend, `${log.storeId}/log/${log.logId}/`)) {
    const events = await eventsOf(log, segment)
    if (events === undefined) continue
    if (events instanceof LogCorruptError) return { at: segment.first, problem: events }
    if (segment.first > at) return gap(at, segment)
    const problem = await firstDifference(log.reader, events)
    if (problem !== undefined) return problem
    at = Math.max(at, segment.last + 1)
  }
  return { at, problem: undefined }
}

function gap(at: number, next: SegmentPlace): ComparedMirror {
  const problem = new LogCorruptError(`the mirror lacks events ${at} to ${next.first - 1}: a segment in front of ${next.key} was removed`)
  return { at, problem, isGap: true }
}

/** @returns undefined when the segment is gone */
async function eventsOf(
  { backend, storeId, logId }: LogCopies,
  segment: SegmentPlace,
): Promise<readonly LoggedEvent[] | LogCorruptError | undefined> {
  const what = `the mirrored copy of events ${segment.first} to ${segment.last} (object ${segment.key})`
  try {
    const { header, events } = parseSegment(await readWhole(backend, segment.key))
    const isOurs = header.storeId === storeId && header.logId === logId && header.first === segment.first && header.last === segment.last
    return isOurs ? events : new LogCorruptError(`${what} says that it is another one`)
  } catch (error) {
    if (error instanceof ObjectMissingError) return undefined
    if (!(error instanceof StoreError) || error.retryable) throw error
    return new LogCorruptError(`${what} is damaged: ${error.message}`, { cause: error })
  }
}

async function firstDifference(reader: Session, mirrored: readonly LoggedEvent[]): Promise<ComparedMirror | undefined> {
  const first = mirrored[0]?.seq ?? 1
  const own = new Map((await listEvents(reader, first - 1, mirrored.length)).map((event) => [event.seq, event]))
  for (const event of mirrored) {
    const found = own.get(event.seq)
    const differing = found === undefined ? ['everything'] : differingFields(found, event)
    if (differing.length > 0) return { at: event.seq, problem: difference(event, found, differing) }
  }
  return undefined
}

function difference(event: LoggedEvent, found: LoggedEvent | undefined, differing: readonly string[]): LogCorruptError {
  const { seq, id, type, resource } = event
  const what = `event ${seq} (${id}, ${type} of ${resource})`
  const detail = { detail: { seq, id, type, resource, found: found?.id, differing } }
  if (found === undefined)
    return new LogCorruptError(
      `${what} is missing in the registry, while the mirror has it: it was removed, or the registry is an older copy`,
      detail,
    )
  if (found.id !== id)
    return new LogCorruptError(`${what} stands in the mirror, but in the registry event ${found.id} (${found.type}) has its place`, detail)
  return new LogCorruptError(`${what} was changed: registry and mirror differ in its ${differing.join(', ')}`, detail)
}

function differingFields(left: LoggedEvent, right: LoggedEvent): readonly string[] {
  const names = ['id', 'type', 'time', 'tenant', 'resource', 'actor', 'data', 'salt', 'hash'] as const
  return names.filter((name) => Buffer.compare(bytesOf(left[name]), bytesOf(right[name])) !== 0)
}

function bytesOf(value: LoggedEvent[keyof LoggedEvent]): Uint8Array {
  return value instanceof Uint8Array ? value : encodeCanonical(value)
}
