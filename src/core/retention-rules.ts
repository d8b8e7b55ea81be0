import { ANONYMOUS } from './access.ts'
import { addDuration, wholeDays } from './duration.ts'
import { ApprovalRequiredError, ForbiddenError, HeldError, InputInvalidError, RetainedError, StateConflictError } from './errors.ts'
import type { Hold } from './hold.ts'
import { isStricter, type RetentionClass, type RetentionMode } from './retention.ts'
import {
  applyChange,
  endOf,
  isRetained,
  type PartFacts,
  type PartState,
  remainingParts,
  type RetentionChange,
  type RetentionState,
  stageOf,
} from './retention-state.ts'

/** What may be done with a package, decided from its state, the holds that catch it and the trusted present. Each rule answers with the change that it allows, or throws. */

/** A later end, for all parts or for those that are named. Times are UTC milliseconds. */
export interface Extension {
  readonly expiresAt: number
  readonly sets?: readonly string[] | undefined
}

/** An earlier end. `bypass`: the caller says that they know what they are doing. */
export interface Shortening extends Extension {
  readonly bypass: boolean
  readonly actor: string
}

/** @throws ForbiddenError for anonymous, who may not approve, release or shorten anything */
export function assertSomebody(actor: string, what: string): void {
  if (actor === ANONYMOUS) throw new ForbiddenError(`anonymous may not ${what}; say who you are`)
}

/** @throws ForbiddenError when separation of duties wants a second person and this is the first */
export function assertAnother(actor: string, first: string, what: string): void {
  if (actor === first) throw new ForbiddenError(`${actor} may not ${what}: the repository wants it done by another than who asked for it`)
}

/**
 * Strictly later for at least one of the parts, earlier for none. Takes back what was on its way to deletion but not yet deleted.
 * @throws InputInvalidError for a time that is past or a set that is not there; StateConflictError
 */
export function extend(state: RetentionState, { expiresAt, sets }: Extension, now: number): RetentionChange {
  if (expiresAt <= now) throw new InputInvalidError('the new end lies in the past')
  const parts = partsNamed(state, sets)
  if (parts.some(({ stage }) => stage === 'deleted' || stage === 'purging')) {
    throw new StateConflictError('it is deleted; take it back with undelete before extending it')
  }
  const later = parts.filter((part) => endOf(part) < expiresAt)
  if (later.length === 0)
    throw new StateConflictError('an extension must end strictly later than what holds already', { detail: { ends: endsOf(parts) } })
  return { kind: 'extended', at: now, sets: later.map(({ set }) => set), expiresAt }
}

/**
 * Earlier, in governance mode only, and never before the minimum.
 * @throws ForbiddenError, RetainedError, InputInvalidError, StateConflictError
 */
export function shorten(state: RetentionState, { expiresAt, sets, bypass, actor }: Shortening, now: number): RetentionChange {
  assertSomebody(actor, 'shorten retention')
  if (state.mode === 'compliance')
    throw new RetainedError('it is kept in compliance mode, which nobody can shorten', { detail: { mode: state.mode } })
  if (state.mode === 'none') throw new StateConflictError('it has no retention that could be shortened')
  if (!bypass) throw new ForbiddenError('shortening bypasses governance; say so explicitly')
  const earlier = partsNamed(state, sets).filter((part) => endOf(part) > expiresAt)
  if (earlier.length === 0) throw new StateConflictError('it does not end later than that', { detail: { ends: endsOf(partsNamed(state, sets)) } })
  for (const part of earlier) assertShortenable(part, expiresAt, now)
  return { kind: 'shortened', at: now, sets: earlier.map(({ set }) => set), expiresAt }
}

function assertShortenable(part: PartState, expiresAt: number, now: number): void {
  if (part.ending === 'keep') throw new RetainedError(`${nameOf(part)} is kept for ever`, { detail: { set: part.set, class: part.retentionClass } })
  const least = part.minimumAt ?? now
  if (expiresAt >= least) return
  const reason = part.minimumAt === undefined ? 'an end that has passed' : `its minimum, ${timeOf(part.minimumAt)}`
  throw new RetainedError(`${nameOf(part)} may not be shortened to before ${reason}`, { detail: { set: part.set, minimum: timeOf(least) } })
}

/** Only ever stricter. @throws StateConflictError */
export function setMode(state: RetentionState, mode: RetentionMode, now: number): RetentionChange | undefined {
  if (mode === state.mode) return undefined
  if (!isStricter(mode, state.mode)) throw new StateConflictError(`retention modes go one way: it is ${state.mode} and cannot become ${mode}`)
  if (remainingParts(state).every((part) => endOf(part) === Number.NEGATIVE_INFINITY)) {
    throw new StateConflictError('it has no retention that a mode could bind; extend it first')
  }
  return { kind: 'mode-set', at: now, mode }
}

/** What a class says now, for the parts that are under it: forward only. @returns undefined when nothing changes */
export function reschedule(state: RetentionState, to: RetentionClass, now: number): RetentionChange | undefined {
  return forward(state, (part) => (part.retentionClass === to.name ? classFacts(part, to, part.cutoffAt) : undefined), now)
}

/** The clock of a package starts (again): what an event hold does when it is released. @returns undefined when nothing changes */
export function restartClock(state: RetentionState, cutoffAt: number, now: number): RetentionChange | undefined {
  return forward(
    state,
    ({ duration, ...part }) =>
      duration === undefined ? undefined : { ...factsOf(state.mode, { ...part, duration }), cutoffAt, expiresAt: addDuration(cutoffAt, duration) },
    now,
  )
}

function forward(state: RetentionState, factsFor: (part: PartState) => PartFacts | undefined, now: number): RetentionChange | undefined {
  const parts = remainingParts(state).flatMap((part) => {
    const facts = factsFor(part)
    return facts === undefined ? [] : [facts]
  })
  const change: RetentionChange = { kind: 'rescheduled', at: now, parts }
  const next = applyChange(state, change)
  return JSON.stringify(next) === JSON.stringify(state) ? undefined : change
}

function classFacts(part: PartState, { duration, minimum, mode, disposition, name }: RetentionClass, cutoffAt: number): PartFacts {
  return {
    set: part.set,
    retentionClass: name,
    duration,
    durationDays: duration === undefined ? undefined : wholeDays(duration),
    mode,
    ending: disposition,
    cutoffAt,
    minimumAt: minimum === undefined ? undefined : addDuration(cutoffAt, minimum),
    expiresAt: duration === undefined ? undefined : addDuration(cutoffAt, duration),
  }
}

function factsOf(mode: RetentionMode, { stage: _stage, stageAt: _at, ...facts }: PartState): PartFacts {
  return { ...facts, mode, durationDays: facts.duration === undefined ? undefined : wholeDays(facts.duration) }
}

/**
 * Somebody asks for a package to be deleted.
 * @throws HeldError, RetainedError, ApprovalRequiredError with the rule; StateConflictError when it is deleted already
 */
export function requestDeletion(state: RetentionState, holds: readonly Hold[], now: number): RetentionChange {
  const waiting = remainingParts(state).filter(({ stage }) => stage !== 'deleted' && stage !== 'purging')
  if (waiting.length === 0) throw new StateConflictError('it is deleted already')
  assertFree(holds)
  assertOver(waiting, now)
  const unapproved = waiting.find(({ ending, stage }) => ending === 'review' && stage !== 'approved')
  if (unapproved !== undefined) {
    throw new ApprovalRequiredError(
      `the time of ${nameOf(unapproved)} is over, but its class wants the deletion approved: make a plan and have it approved`,
      {
        detail: ruleOf(unapproved),
      },
    )
  }
  return { kind: 'deleted', at: now, sets: waiting.map(({ set }) => set) }
}

/** What a plan's approval means for a package: those of the parts that may still go. */
export function approvable(state: RetentionState, sets: readonly string[], now: number): readonly PartState[] {
  return state.parts.filter((part) => sets.includes(part.set) && part.stage === 'eligible' && !isRetained(part, now))
}

/** Deleted but not destroyed: may come back. @throws StateConflictError when nothing of it is deleted */
export function undelete(state: RetentionState, now: number): RetentionChange {
  const sets = state.parts.filter(({ stage }) => stage === 'deleted').map(({ set }) => set)
  if (sets.length === 0) throw new StateConflictError('nothing of it is deleted, or it is too late to take it back')
  return { kind: 'undeleted', at: now, sets }
}

/** @throws HeldError naming the holds */
function assertFree(holds: readonly Hold[]): void {
  const [first, ...others] = holds
  if (first === undefined) return
  const more = others.length === 0 ? '' : ` and ${others.length} more`
  throw new HeldError(`it is held: ${first.matter} (${first.kind} hold ${first.id}${more})`, { detail: { holds: holds.map(({ id }) => id) } })
}

function assertOver(parts: readonly PartState[], now: number): void {
  const retained = parts.find((part) => isRetained(part, now))
  if (retained !== undefined) {
    const until = retained.expiresAt === undefined ? 'for ever' : `until ${timeOf(retained.expiresAt)}`
    throw new RetainedError(`${nameOf(retained)} is kept ${until}`, { detail: ruleOf(retained) })
  }
  const unconfirmed = parts.find(({ stage, expiresAt }) => stage === 'kept' && expiresAt !== undefined)
  if (unconfirmed === undefined) return
  throw new RetainedError(`the time of ${nameOf(unconfirmed)} is over, but two sweeps a grace period apart have not confirmed it yet`, {
    detail: ruleOf(unconfirmed),
  })
}

function partsNamed(state: RetentionState, sets: readonly string[] | undefined): readonly PartState[] {
  const remaining = remainingParts(state)
  if (sets === undefined) return remaining
  const known = new Map(remaining.map((part) => [part.set, part]))
  return sets.map((set) => {
    const part = known.get(set)
    if (part === undefined)
      throw new InputInvalidError(`it has no file set '${set.slice(0, 100)}'; there are ${[...known.keys()].map((name) => `'${name}'`).join(', ')}`)
    return part
  })
}

function ruleOf({ set, retentionClass, ending, expiresAt, stage }: PartState): Readonly<Record<string, unknown>> {
  return {
    set,
    ...(retentionClass === undefined ? {} : { class: retentionClass }),
    disposition: ending,
    stage,
    ...(expiresAt === undefined ? {} : { expiresAt: timeOf(expiresAt) }),
  }
}

function endsOf(parts: readonly PartState[]): Readonly<Record<string, string>> {
  return Object.fromEntries(parts.map(({ set, expiresAt }) => [set, expiresAt === undefined ? 'none' : timeOf(expiresAt)]))
}

function nameOf({ set }: PartState): string {
  return set === '' ? 'it' : `file set '${set}'`
}

function timeOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}

/** What the next step towards the end of a part is, if its time has come. `sightedAt`: when a sweep first found it over. */
export type DueStep = 'sight' | 'confirm' | 'delete' | 'purge' | 'release'

/** Two looks a grace period apart, then deletion where nobody has to approve it, a grace period, and the end. */
export function dueStep(
  part: PartState,
  sightedAt: number | undefined,
  { now, grace }: { readonly now: number; readonly grace: number },
): DueStep | undefined {
  switch (part.stage) {
    case 'kept': {
      if (part.expiresAt === undefined || isRetained(part, now)) return undefined
      if (sightedAt === undefined) return 'sight'
      return now >= sightedAt + grace ? 'confirm' : undefined
    }
    case 'eligible':
      return part.ending === 'automatic' ? 'delete' : undefined
    case 'approved':
      return 'delete'
    case 'deleted':
      return now >= part.stageAt + grace && !isRetained(part, now) ? 'purge' : undefined
    case 'purging':
      return 'release'
    case 'purged':
      return undefined
  }
}

/** Whether this step may not be done while a hold stands. */
export function isBlockedByHolds(step: DueStep): boolean {
  return step === 'delete' || step === 'purge'
}

/** Whether a package can still be held: not once its destruction has begun. */
export function assertHoldable(state: RetentionState): void {
  const stage = stageOf(state)
  if (stage === 'purging' || stage === 'purged') throw new HeldError('its destruction has begun: it is too late for a hold', { detail: { stage } })
}
