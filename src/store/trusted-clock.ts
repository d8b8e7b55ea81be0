import { ClockSuspectError } from '../core/errors.ts'
import { CLOCK_ACCEPTED, formatTime, type NewEvent } from '../core/event.ts'
import { acceptTime, beginTime, type ClockReading, observeTime, type Suspicion, type TrustedTime, trustedNow } from '../core/trusted-time.ts'
import { uuidv7 } from '../core/uuid.ts'
import type { SteadyClock } from '../ports/clock.ts'
import { getLogHead, lastEventOfResource, type LogHead, type Timekeeper } from '../registry/events.ts'
import type { Registry } from '../registry/registry.ts'
import type { Session } from '../registry/statement.ts'

/** Where events about the clock belong. The last one says whether the store's clock is suspect. */
export const CLOCK_RESOURCE = 'clock'
const CLOCK_SUSPECTED = 'clock.suspected'

/**
 * The time of a store in this process: the wall clock as long as it can be trusted (core/trusted-time.ts), and the one who times events. That it cannot
 * be trusted is written to the log, so that every process of the store stops deleting, and a restart does not change that.
 */
export class TrustedClock implements SteadyClock, Timekeeper {
  readonly #clock: SteadyClock
  #time: TrustedTime
  /** Where the log ended when somebody last looked. */
  #head: Pick<LogHead, 'seq' | 'time'> = { seq: 0, time: 0 }
  /** From which event on an acceptance counts; undefined: the log does not say yet that this process's clock is suspect. */
  #reportedAt: number | undefined

  constructor(clock: SteadyClock) {
    this.#clock = clock
    this.#time = acceptTime(this.reading())
  }

  /** Both clocks as they are. */
  reading(): ClockReading {
    return { wall: this.#clock.now(), monotonic: this.#clock.monotonic() }
  }

  /** Trusted time, UTC milliseconds. */
  now(): number {
    const reading = this.reading()
    this.#time = observeTime(this.#time, reading, this.#head.time)
    return Math.max(trustedNow(this.#time, reading), this.#time.suspicion === undefined ? 0 : this.#head.time)
  }

  monotonic(): number {
    return this.#clock.monotonic()
  }

  /** What is wrong with this process's clock, if so. */
  get suspicion(): Suspicion | undefined {
    return this.#time.suspicion
  }

  /** Begins with what the log says. Called once, when the store is opened. */
  async begin(session: Session): Promise<void> {
    this.#head = await getLogHead(session)
    const last = await lastEventOfResource(session, CLOCK_RESOURCE)
    const suspected = last?.type === CLOCK_SUSPECTED
    this.#time = beginTime(this.reading(), this.#head.time, suspected)
    this.#reportedAt = suspected ? last.seq : undefined
  }

  /** The time of the events of this transaction, and what the log must say before them. */
  async stamp(session: Session, head: LogHead): Promise<{ readonly time: number; readonly before: readonly NewEvent[] }> {
    this.#head = head
    const reading = this.reading()
    const types = session.events.map(({ type }) => type)
    const accepting = types.includes(CLOCK_ACCEPTED)
    if (accepting || (await this.#wasAccepted(session))) this.#accept(reading)
    // Whoever accepts the clock says that the log's time is the wrong one.
    if (!accepting) this.#time = observeTime(this.#time, reading, head.time)
    const time = trustedNow(this.#time, reading)
    const { suspicion } = this.#time
    if (suspicion === undefined || this.#reportedAt !== undefined) return { time, before: [] }
    this.#reportedAt = head.seq
    const known = types.includes(CLOCK_SUSPECTED) || (await lastEventOfResource(session, CLOCK_RESOURCE))?.type === CLOCK_SUSPECTED
    return { time, before: known ? [] : [suspected(suspicion, time)] }
  }

  /** Why nothing may be deleted, in words: because of this process's clock, or another's. undefined: nothing speaks against it. */
  async doubt(session: Session): Promise<string | undefined> {
    if (await this.#wasAccepted(session)) this.#accept(this.reading())
    const last = await lastEventOfResource(session, CLOCK_RESOURCE)
    if (last?.type === CLOCK_SUSPECTED) return `the clock is suspect since event ${last.seq}`
    this.now()
    const { suspicion } = this.#time
    if (suspicion === undefined) return undefined
    const what = suspicion.reason === 'jumped' ? 'jumped to' : 'is behind the event log at'
    return `the clock ${what} ${formatTime(suspicion.wall)}, while ${formatTime(suspicion.trusted)} is trusted`
  }

  /** Writes to the log that this process's clock is suspect, if that is not there. */
  async report(registry: Registry): Promise<void> {
    const { suspicion } = this.#time
    if (suspicion === undefined || this.#reportedAt !== undefined) return
    await registry.write('clock', (session) => {
      session.emit(suspected(suspicion, this.now()))
      return Promise.resolve()
    })
  }

  #accept(reading: ClockReading): void {
    this.#time = acceptTime(reading)
    this.#reportedAt = undefined
    // The log goes on from what the wall clock says, whatever it said before.
    this.#head = { seq: this.#head.seq, time: Math.min(this.#head.time, reading.wall) }
  }

  /** Whether an operator accepted the clock since this process found it suspect. */
  async #wasAccepted(session: Session): Promise<boolean> {
    if (this.#reportedAt === undefined) return false
    const last = await lastEventOfResource(session, CLOCK_RESOURCE)
    return last?.type === CLOCK_ACCEPTED && last.seq > this.#reportedAt
  }
}

/**
 * Stops deletion while the clock is in doubt, here or in any other process of the store.
 * @throws ClockSuspectError
 */
export async function assertClockTrusted(clock: TrustedClock, session: Session): Promise<void> {
  const doubt = await clock.doubt(session)
  if (doubt !== undefined) throw new ClockSuspectError(`${doubt}; nothing is deleted until 'retention clock accept' says that it is right`)
}

function suspected({ reason, wall, trusted }: Suspicion, time: number): NewEvent {
  return {
    id: uuidv7(time),
    type: CLOCK_SUSPECTED,
    tenant: 'default',
    resource: CLOCK_RESOURCE,
    actor: 'system',
    data: { reason, wall: formatTime(wall), trusted: formatTime(trusted) },
  }
}
