import { isStricter, type PolicyFacts, type RetentionMode, strictestEnding, strictestMode } from './retention.ts'

/**
 * What becomes of a package in time: a pure function of its events and of the trusted present. The unit is the *part*, all files of one file set (a
 * package without sets is one part, named `''`); the package is as far as the part of it that is least far.
 */

/** How far a part is. `kept`: nothing was begun. From `purging` on there is no way back but storing it again. */
export type PartStage = 'kept' | 'eligible' | 'approved' | 'deleted' | 'purging' | 'purged'

/** A part of a package. Times are UTC milliseconds. */
export interface PartState extends Omit<PolicyFacts, 'mode' | 'durationDays'> {
  readonly set: string
  readonly stage: PartStage
  /** When it came to this stage. */
  readonly stageAt: number
}

/** A package as far as retention goes. Has at least one part. */
export interface RetentionState {
  readonly mode: RetentionMode
  readonly parts: readonly PartState[]
}

/** Facts of one part, as an event has them. */
export interface PartFacts extends PolicyFacts {
  readonly set: string
}

/** What an event changes. Those with `sets` name the parts they change, those with `parts` say what these are from now on. */
export type RetentionChange =
  | { readonly kind: 'sealed' | 'taken-in' | 'rescheduled'; readonly at: number; readonly parts: readonly PartFacts[] }
  | { readonly kind: 'extended' | 'shortened'; readonly at: number; readonly sets: readonly string[]; readonly expiresAt: number }
  | { readonly kind: 'mode-set'; readonly at: number; readonly mode: RetentionMode }
  | {
      readonly kind: 'found-eligible' | 'approved' | 'deleted' | 'undeleted' | 'purging' | 'purged'
      readonly at: number
      readonly sets: readonly string[]
    }

/** How far a whole package is. `finalized`: nothing keeps it but that nobody asked for its deletion. */
export type PackageStage = 'finalized' | 'retained' | 'eligible' | 'approved' | 'soft-deleted' | 'purging' | 'purged'

/** What a package is before its first event. */
const nothing: RetentionState = { mode: 'none', parts: [] }

const stageRank: Readonly<Record<PartStage, number>> = { kept: 0, eligible: 1, approved: 2, deleted: 3, purging: 4, purged: 5 }

/** Where a part must be for a change to move it on; anywhere else the change says nothing about it. */
const moves: Readonly<Record<string, { readonly from: readonly PartStage[]; readonly to: PartStage }>> = {
  'found-eligible': { from: ['kept'], to: 'eligible' },
  approved: { from: ['eligible'], to: 'approved' },
  deleted: { from: ['kept', 'eligible', 'approved'], to: 'deleted' },
  undeleted: { from: ['deleted'], to: 'kept' },
  purging: { from: ['deleted'], to: 'purging' },
  purged: { from: ['purging'], to: 'purged' },
}

/** The state that follows from events in their order. */
export function retentionOf(changes: Iterable<RetentionChange>): RetentionState {
  let state = nothing
  for (const change of changes) state = applyChange(state, change)
  return state
}

/** The state after one more event. */
export function applyChange(state: RetentionState, change: RetentionChange): RetentionState {
  switch (change.kind) {
    case 'sealed':
      return { mode: strictestMode(change.parts.map(({ mode }) => mode)), parts: change.parts.map((facts) => newPart(facts, change.at)) }
    case 'taken-in':
      return {
        mode: strictestMode([state.mode, ...change.parts.map(({ mode }) => mode)]),
        parts: state.parts.map((part) => takenIn(part, factsOf(change.parts, part.set), change.at)),
      }
    case 'rescheduled':
      return {
        mode: strictestMode([state.mode, ...change.parts.map(({ mode }) => mode)]),
        parts: state.parts.map((part) => rescheduled(part, factsOf(change.parts, part.set), change.at)),
      }
    case 'extended':
      return {
        mode: strictestMode([state.mode, 'governance']),
        parts: state.parts.map((part) => (change.sets.includes(part.set) ? extended(part, change.expiresAt, change.at) : part)),
      }
    case 'shortened':
      return { ...state, parts: state.parts.map((part) => (change.sets.includes(part.set) ? shortened(part, change.expiresAt) : part)) }
    case 'mode-set':
      return isStricter(change.mode, state.mode) ? { ...state, mode: change.mode } : state
    case 'found-eligible':
    case 'approved':
    case 'deleted':
    case 'undeleted':
    case 'purging':
    case 'purged':
      return { ...state, parts: state.parts.map((part) => (change.sets.includes(part.set) ? moved(part, change.kind, change.at) : part)) }
  }
}

/** When a part ends: a time, never (`Infinity`), or `-Infinity` where nothing keeps it. */
export function endOf({ expiresAt, ending }: Pick<PartState, 'expiresAt' | 'ending'>): number {
  if (expiresAt !== undefined) return expiresAt
  return ending === 'request' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
}

/** Whether its retention still keeps a part. */
export function isRetained(part: Pick<PartState, 'expiresAt' | 'ending'>, now: number): boolean {
  return endOf(part) > now
}

/** Parts of which something is there. */
export function remainingParts({ parts }: RetentionState): readonly PartState[] {
  return parts.filter(({ stage }) => stage !== 'purged')
}

/** How far the package is as a whole. */
export function stageOf(state: RetentionState): PackageStage {
  const remaining = remainingParts(state)
  const least = remaining.reduce<PartStage>((slowest, { stage }) => (stageRank[stage] < stageRank[slowest] ? stage : slowest), 'purged')
  if (least === 'deleted') return 'soft-deleted'
  if (least !== 'kept') return least
  return remaining.some(({ ending, expiresAt }) => ending !== 'request' || expiresAt !== undefined) ? 'retained' : 'finalized'
}

/** When the whole package ends; undefined: never, or nothing keeps part of it. The parts that are gone count only if all are. */
export function expiryOf(state: RetentionState): number | undefined {
  const remaining = remainingParts(state)
  const ends = (remaining.length > 0 ? remaining : state.parts).map(({ expiresAt }) => expiresAt ?? Number.POSITIVE_INFINITY)
  const latest = Math.max(...ends)
  return Number.isFinite(latest) ? latest : undefined
}

function newPart({ mode: _mode, durationDays: _days, ...facts }: PartFacts, at: number): PartState {
  return { ...facts, stage: 'kept', stageAt: at }
}

function factsOf(parts: readonly PartFacts[], set: string): PartFacts | undefined {
  return parts.find((facts) => facts.set === set)
}

/** Storing it again is a promise of its own: what is there keeps the longer of both and the stricter end; what has gone begins anew. */
function takenIn(part: PartState, facts: PartFacts | undefined, at: number): PartState {
  if (facts === undefined) return part
  const fresh = newPart(facts, at)
  return part.stage === 'purging' || part.stage === 'purged' ? fresh : { ...longer(part, fresh), stage: 'kept', stageAt: at }
}

/** Only ever forward. What is retained again is taken back from wherever it was on its way to. */
function rescheduled(part: PartState, facts: PartFacts | undefined, at: number): PartState {
  if (facts === undefined || part.stage === 'purging' || part.stage === 'purged') return part
  const next = longer(part, newPart(facts, at))
  return isRetained(next, at) && part.stage !== 'kept'
    ? { ...next, stage: 'kept', stageAt: at }
    : { ...next, stage: part.stage, stageAt: part.stageAt }
}

function longer(one: PartState, other: PartState): PartState {
  const minimums = [one, other].flatMap(({ minimumAt }) => (minimumAt === undefined ? [] : [minimumAt]))
  return {
    ...(endOf(other) > endOf(one) ? other : one),
    ending: strictestEnding(one.ending, other.ending),
    minimumAt: minimums.length === 0 ? undefined : Math.max(...minimums),
  }
}

function extended(part: PartState, expiresAt: number, at: number): PartState {
  if (expiresAt <= endOf(part)) return part
  const ending = part.ending === 'request' && part.expiresAt === undefined ? 'review' : part.ending
  return { ...part, expiresAt, ending, ...(part.stage === 'kept' ? {} : { stage: 'kept', stageAt: at }) }
}

function shortened(part: PartState, expiresAt: number): PartState {
  return expiresAt < endOf(part) ? { ...part, expiresAt } : part
}

function moved(part: PartState, kind: string, at: number): PartState {
  const move = moves[kind]
  if (move?.from.includes(part.stage) !== true) return part
  // What somebody took back is not deleted again of itself.
  const ending = kind === 'undeleted' ? strictestEnding(part.ending, 'request') : part.ending
  return { ...part, ending, stage: move.to, stageAt: at }
}
