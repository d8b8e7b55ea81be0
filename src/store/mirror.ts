import { StoreError, StoreMismatchError, StoreReadOnlyError } from '../core/errors.ts'
import { encodeSegment, GENESIS_HASH, type LoggedEvent, parseSegment, type SegmentHeader } from '../core/event.ts'
import type { Backend } from '../ports/backend.ts'
import { getLogHead, listEvents } from '../registry/events.ts'
import { acquireNamedLease, releaseLease } from '../registry/leases.ts'
import type { Registry } from '../registry/registry.ts'
import { getSetting, setSetting } from '../registry/settings.ts'
import { readWhole } from './read-whole.ts'
import { listSegments, segmentKey, type SegmentPlace } from './segment-place.ts'

/** Events of one segment at most; with their data at most 64 KiB each, in practice about 1 KiB. */
const SEGMENT_EVENTS = 1_000
/** When this many segments in a row are small, they become one. */
const MERGE_SEGMENTS = 32
/** The mirror follows a commit within this time. */
const DELAY_MS = 500
const LEASE_MS = 30_000

/**
 * Copies the event log into the backend, so that the registry can be rebuilt without its database, and a database that was restored or copied is
 * found out. One process does it at a time, elected by a lease.
 */
export class LogMirror {
  readonly #backend: Backend
  readonly #registry: Registry
  readonly #storeId: string
  readonly #logId: string
  readonly #owner: string
  #timer: NodeJS.Timeout | undefined
  #running: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(backend: Backend, registry: Registry, ids: { readonly storeId: string; readonly logId: string; readonly owner: string }) {
    this.#backend = backend
    this.#registry = registry
    this.#storeId = ids.storeId
    this.#logId = ids.logId
    this.#owner = ids.owner
  }

  /** Events were committed; they are mirrored soon. */
  notice(): void {
    if (this.#closed) return
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.catchUp().then(
        // Another process is at it, and may have looked before these events came, or be dead.
        (isComplete) => (isComplete ? undefined : this.notice()),
        // A failure is met again, and reported, when the store is closed.
        () => undefined,
      )
    }, DELAY_MS).unref()
  }

  /** Mirrors what is not mirrored yet. @returns false when another process was at it */
  catchUp(): Promise<boolean> {
    const run = this.#running.catch(() => undefined).then(() => this.#catchUp())
    this.#running = run
    return run
  }

  /** @throws what the last attempt met */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    // Who is at it may be dead, and nobody may come after us. Segments that are there twice harm nothing.
    if (!(await this.catchUp())) await this.#mirrorAll()
  }

  async #catchUp(): Promise<boolean> {
    const head = await getLogHead(this.#registry.reader)
    if (Number(await getSetting(this.#registry.reader, 'mirrored-seq')) >= head.seq) return true
    const lease = await this.#registry.write('mirror-lease', (session) => acquireNamedLease(session, this.#owner, 'mirror', LEASE_MS))
    if (lease === undefined) return false
    try {
      await this.#mirrorAll()
      await this.#merge()
      return true
    } catch (error) {
      // A flush that fails is final for the whole process, whoever needed it (STORAGE section 3).
      if (error instanceof StoreReadOnlyError) this.#registry.refuseWrites(error)
      throw error
    } finally {
      await this.#registry.write('mirror-release', (session) => releaseLease(session, lease, this.#owner))
    }
  }

  async #mirrorAll(): Promise<void> {
    for (;;) {
      const mirrored = Number(await getSetting(this.#registry.reader, 'mirrored-seq'))
      const events = await listEvents(this.#registry.reader, mirrored, SEGMENT_EVENTS)
      const last = events.at(-1)
      if (last === undefined) return
      const [before] = mirrored === 0 ? [] : await listEvents(this.#registry.reader, mirrored - 1, 1)
      await this.#write(before?.hash ?? GENESIS_HASH, events)
      await this.#registry.write('mirrored', async (session) => {
        if (Number(await getSetting(session, 'mirrored-seq')) < last.seq) await setSetting(session, 'mirrored-seq', String(last.seq))
      })
    }
  }

  async #write(previous: Uint8Array, events: readonly LoggedEvent[]): Promise<void> {
    const first = events[0]?.seq ?? 0
    const last = events.at(-1)?.seq ?? 0
    const header: SegmentHeader = { storeId: this.#storeId, logId: this.#logId, first, last, previous }
    await this.#backend.put(segmentKey(this.#storeId, this.#logId, first, last), [encodeSegment(header, events)])
  }

  /** Turns a run of small segments into one; the small ones go when the large one is durable. */
  async #merge(): Promise<void> {
    const small: SegmentPlace[] = []
    for await (const segment of listSegments(this.#backend, this.#prefix)) {
      if (segment.last - segment.first + 1 < SEGMENT_EVENTS / 2) small.push(segment)
      else small.length = 0
    }
    const first = small[0]
    if (first === undefined || small.length < MERGE_SEGMENTS) return
    const last = Math.max(...small.map((segment) => segment.last))
    const [before] = first.first === 1 ? [] : await listEvents(this.#registry.reader, first.first - 2, 1)
    let previous = before?.hash ?? GENESIS_HASH
    for (let after = first.first - 1; after < last;) {
      const events = await listEvents(this.#registry.reader, after, Math.min(SEGMENT_EVENTS, last - after))
      const end = events.at(-1)
      if (end === undefined) return
      await this.#write(previous, events)
      previous = end.hash
      after = end.seq
    }
    for (const segment of small) await this.#backend.delete(segment.key)
  }

  get #prefix(): string {
    return `${this.#storeId}/log/${this.#logId}/`
  }

  /**
   * The mirror's head must be an ancestor of (or be) the log's head. Otherwise the database is older than the mirror, or went another way. Segments
   * that are gone or cannot be read are mirrored again.
   * @throws StoreMismatchError
   */
  async checkAncestry(): Promise<void> {
    const claimed = Number(await getSetting(this.#registry.reader, 'mirrored-seq'))
    const { seq: head } = await getLogHead(this.#registry.reader)
    const segments = await Array.fromAsync(listSegments(this.#backend, this.#prefix))
    const newestFirst = segments.toSorted((left, right) => right.last - left.last)
    const [newest] = newestFirst
    if (newest !== undefined && newest.last > head) throw mismatch(head, newest.last, 'has')
    const unreadable = new Set<SegmentPlace>()
    for (const segment of newestFirst) {
      const last = await this.#lastEventOf(segment)
      if (last === undefined) {
        unreadable.add(segment)
        continue
      }
      const [own] = await listEvents(this.#registry.reader, last.seq - 1, 1)
      if (own === undefined || Buffer.compare(own.hash, last.hash) !== 0) throw mismatch(head, last.seq, 'has other content at')
      break
    }
    const covered = coverage(segments.filter((segment) => !unreadable.has(segment)))
    if (covered < claimed) await this.#registry.write('mirror-again', (session) => setSetting(session, 'mirrored-seq', String(covered)))
  }

  /** @returns undefined when the segment cannot be read as one */
  async #lastEventOf(segment: SegmentPlace): Promise<LoggedEvent | undefined> {
    try {
      const { events } = parseSegment(await readWhole(this.#backend, segment.key))
      return events.at(-1)
    } catch (error) {
      if (error instanceof StoreError && !error.retryable) return undefined
      throw error
    }
  }
}

/** Up to which event segments, in order of their first events, leave no gap. */
function coverage(segments: readonly SegmentPlace[]): number {
  let covered = 0
  for (const { first, last } of segments) if (first <= covered + 1) covered = Math.max(covered, last)
  return covered
}

function mismatch(head: number, mirrored: number, how: 'has' | 'has other content at'): StoreMismatchError {
  return new StoreMismatchError(
    `the registry is not the one the object store knows: it ends at event ${head}, while the mirrored log ${how} event ${mirrored}. ` +
      `It was restored from a backup or copied. Nothing is written; 'artifact-store recover' rebuilds the registry from the object store`,
    { detail: { registryHead: head, mirroredHead: mirrored } },
  )
}
