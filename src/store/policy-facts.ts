import { parseDuration } from '../core/duration.ts'
import { formatTime } from '../core/event.ts'
import type { Ending, PolicyFacts, RetentionMode } from '../core/retention.ts'
import type { PartFacts } from '../core/retention-state.ts'

/** Policy facts of one file set (the unnamed one is `''`) as they stand in events. Times are RFC 3339. */
export interface SetPolicy {
  readonly fileSets: string
  readonly class: string | null
  /** ISO 8601; null: without end. */
  readonly duration: string | null
  /** The same in days, where it is a number of days. */
  readonly durationDays: number | null
  readonly mode: string
  /** What happens at the end; `request` without a class. */
  readonly disposition: string
  /** When the clock started. */
  readonly cutoffAt: string
  /** Not to be shortened to before this. */
  readonly minimumAt: string | null
  readonly expiresAt: string | null
}

/** How policy facts stand in events. */
export function setPolicy(fileSets: string, facts: PolicyFacts): SetPolicy {
  return {
    fileSets,
    class: facts.retentionClass ?? null,
    duration: facts.duration ?? null,
    durationDays: facts.durationDays ?? null,
    mode: facts.mode,
    disposition: facts.ending,
    cutoffAt: formatTime(facts.cutoffAt),
    minimumAt: timeOrNull(facts.minimumAt),
    expiresAt: timeOrNull(facts.expiresAt),
  }
}

/** Reads what {@link setPolicy} wrote. */
export function policyFacts(policy: readonly SetPolicy[]): readonly PartFacts[] {
  return policy.map((facts) => ({
    set: facts.fileSets,
    retentionClass: facts.class ?? undefined,
    duration: facts.duration === null ? undefined : parseDuration(facts.duration),
    durationDays: facts.durationDays ?? undefined,
    // Sound: only modes and endings are written into events.
    mode: facts.mode as RetentionMode,
    ending: facts.disposition as Ending,
    cutoffAt: Date.parse(facts.cutoffAt),
    minimumAt: facts.minimumAt === null ? undefined : Date.parse(facts.minimumAt),
    expiresAt: facts.expiresAt === null ? undefined : Date.parse(facts.expiresAt),
  }))
}

function timeOrNull(milliseconds: number | undefined): string | null {
  return milliseconds === undefined ? null : formatTime(milliseconds)
}
