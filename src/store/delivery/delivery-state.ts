import { formatTime } from '../../core/event.ts'
import { type DeadLetterRow, listDeadLetters, listDeliveries } from '../../registry/deliveries.ts'
import { getLogHead } from '../../registry/events.ts'
import type { Session } from '../../registry/statement.ts'

/** How far a target outside has been told. */
export interface TargetState {
  readonly target: string
  /** The last event it was told of, or that did not concern it. */
  readonly seq: number
  /** The last event there is. What comes after `seq` and does not concern the target is noted with the next one that does. */
  readonly head: number
  /** Attempts in a row that came to nothing, and what the last one met. */
  readonly failures: number
  readonly reason?: string
  readonly failedAt?: string
  /** What it refused for good, at most 1,000, oldest first. */
  readonly refused: readonly RefusedEvent[]
}

/** An event that a target would not take, and why. */
export interface RefusedEvent {
  readonly seq: number
  readonly eventId: string
  readonly reason: string
  readonly refusedAt: string
}

/** Refused events that are listed of one target at most. */
const LISTED = 1_000
/** Targets there are at most, as names stay. */
const TARGETS = 1_000

/** All targets that were ever told something, by name. */
export async function deliveryStates(session: Session): Promise<readonly TargetState[]> {
  const head = await getLogHead(session)
  const states: TargetState[] = []
  for (const { target, seq, failures, reason, failedAt } of await listDeliveries(session, '', TARGETS)) {
    states.push({
      target,
      seq,
      head: head.seq,
      failures,
      ...(reason === undefined ? {} : { reason }),
      ...(failedAt === undefined ? {} : { failedAt: formatTime(failedAt) }),
      refused: (await listDeadLetters(session, target, 0, LISTED)).map(refusedEvent),
    })
  }
  return states
}

/** Whether somebody outside cannot be told, or refused something; in numbers alone, as anybody may ask. */
export async function deliveryHealth(session: Session): Promise<{ readonly status: 'pass' | 'warn'; readonly observed: string }> {
  const states = await deliveryStates(session)
  const away = states.filter(({ failures }) => failures > 0).length
  const refused = states.reduce((sum, state) => sum + state.refused.length, 0)
  return { status: away > 0 ? 'warn' : 'pass', observed: `${away} of ${states.length} targets away, ${refused} events refused` }
}

function refusedEvent({ seq, eventId, reason, refusedAt }: DeadLetterRow): RefusedEvent {
  return { seq, eventId, reason, refusedAt: formatTime(refusedAt) }
}
