import { LogCorruptError, StoreError } from '../core/errors.ts'
import { ChainVerifier, type LoggedEvent, parseSegment } from '../core/event.ts'
import type { Backend } from '../ports/backend.ts'
import { readWhole } from './read-whole.ts'
import { listSegments, type SegmentPlace } from './segment-place.ts'

/** What the mirror of a log still tells. */
export interface MirroredLog {
  readonly logId: string
  /** Events 1 to this one follow from each other without a gap. */
  readonly completeTo: number
  readonly head: Uint8Array
  /** Why it does not go further although there is more, if so. */
  readonly broken: string | undefined
}

/**
 * Reads the mirrored log of a store from the beginning as far as its chain holds, giving each event to `visit`. Of several logs the newest counts:
 * each holds all events from the first on.
 * @returns undefined when nothing was ever mirrored
 */
export async function readMirroredLog(
  backend: Backend,
  storeId: string,
  visit: (events: readonly LoggedEvent[]) => Promise<void>,
): Promise<MirroredLog | undefined> {
  const segments = await newestLog(backend, storeId)
  const logId = segments[0]?.logId
  if (logId === undefined) return undefined
  const chain = new ChainVerifier()
  let broken: string | undefined
  for (const segment of segments) {
    // Merged and unmerged copies of the same events may stand side by side.
    if (segment.last <= chain.seq) continue
    const events = await eventsOf(backend, storeId, segment)
    if (events instanceof StoreError) {
      broken = events.message
      continue
    }
    const next = events.filter((event) => event.seq > chain.seq)
    try {
      for (const event of next) chain.add(event)
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      broken = error.message
      continue
    }
    broken = undefined
    await visit(next)
  }
  return { logId, completeTo: chain.seq, head: chain.hash, broken }
}

async function newestLog(backend: Backend, storeId: string): Promise<readonly SegmentPlace[]> {
  let newest: SegmentPlace[] = []
  for await (const segment of listSegments(backend, `${storeId}/log/`)) {
    const [first] = newest
    // Log ids are UUIDv7: later ones sort later. The listing is in order of keys, so that segments come in order of their first events.
    if (first === undefined || segment.logId > first.logId) newest = [segment]
    else newest.push(segment)
  }
  return newest
}

/** A segment that is damaged may have an undamaged twin: its failure is a value. */
async function eventsOf(backend: Backend, storeId: string, segment: SegmentPlace): Promise<readonly LoggedEvent[] | StoreError> {
  try {
    const { header, events } = parseSegment(await readWhole(backend, segment.key))
    const isOurs = header.storeId === storeId && header.logId === segment.logId && header.first === segment.first && header.last === segment.last
    return isOurs ? events : new LogCorruptError(`segment ${segment.key} says that it is another one`)
  } catch (error) {
    if (error instanceof StoreError && !error.retryable) return error
    throw error
  }
}
