import { addDuration, type Duration, parseDuration, wholeDays } from './duration.ts'
import { InputInvalidError } from './errors.ts'

/** What happens when a package's time is over. */
export type Disposition = 'automatic' | 'review' | 'keep'

/** How strictly a package's retention binds; one way, none to compliance. */
export type RetentionMode = 'none' | 'governance' | 'compliance'

/** A retention class. `duration` undefined: kept without end, with the disposition `keep`. */
export interface RetentionClass {
  readonly name: string
  readonly duration: Duration | undefined
  /** Nothing is shortened below this, counted like the duration. */
  readonly minimum: Duration | undefined
  readonly mode: Exclude<RetentionMode, 'none'>
  readonly disposition: Disposition
}

/** The classes every store begins with. */
export const defaultRetentionClasses: readonly RetentionClass[] = [
  defaultClass('transient', 7, 'automatic'),
  defaultClass('raw-evidence', 30, 'review'),
  defaultClass('summary-evidence', 365, 'review'),
  defaultClass('release-evidence', 2_555, 'review'),
  defaultClass('permanent-record', undefined, 'keep'),
]

/** What is asked for when a class is made or changed; lengths are whole days or ISO 8601 durations. */
export interface RetentionClassInput {
  readonly name: string
  readonly duration?: number | string
  readonly minimum?: number | string
  readonly mode?: RetentionMode
  readonly disposition: Disposition
}

/** How a part of a package ends: as its class says, or (`request`: without any class) when somebody who may asks for it. */
export type Ending = Disposition | 'request'

/** The facts of one file set (or of a whole package) as they were when it was sealed. Without a class there is no mode and no expiry. Times are UTC milliseconds. */
export interface PolicyFacts {
  readonly retentionClass: string | undefined
  readonly duration: Duration | undefined
  /** The duration where it is a number of days. */
  readonly durationDays: number | undefined
  readonly mode: RetentionMode
  readonly ending: Ending
  /** When the clock started. */
  readonly cutoffAt: number
  /** May not be shortened to before this; undefined: no such bound. */
  readonly minimumAt: number | undefined
  /** undefined: never. */
  readonly expiresAt: number | undefined
}

/** What decides beside the class names: the repository's own policy. */
export interface PolicyContext {
  readonly classes: readonly RetentionClass[]
  readonly defaultClass?: string | undefined
  readonly minimumClass?: string | undefined
  /** When the clock starts, UTC milliseconds. */
  readonly cutoff: number
}

const NAME_PATTERN = /^[a-z0-9][a-z0-9._-]{0,63}$/

/**
 * Resolves what holds for bytes that are under several classes at once: the longest wins, the repository's minimum is a floor.
 * @param names the classes asked for; none: the repository's default
 * @throws InputInvalidError for an unknown class
 */
export function resolvePolicy(names: readonly string[], context: PolicyContext): PolicyFacts {
  const { classes, cutoff } = context
  const asked = (names.length > 0 ? names : context.defaultClass === undefined ? [] : [context.defaultClass]).map((name) => findClass(name, classes))
  const floor = context.minimumClass === undefined ? undefined : findClass(context.minimumClass, classes)
  const [first, ...others] = floor === undefined ? asked : [...asked, floor]
  if (first === undefined) return noPolicy(cutoff)
  const winner = others.reduce((longest, next) => (expiry(next, cutoff) > expiry(longest, cutoff) ? next : longest), first)
  const minimums = [...asked, ...(floor === undefined ? [] : [floor])].flatMap(({ minimum }) =>
    minimum === undefined ? [] : [addDuration(cutoff, minimum)],
  )
  if (floor?.duration !== undefined) minimums.push(addDuration(cutoff, floor.duration))
  return {
    retentionClass: winner.name,
    duration: winner.duration,
    durationDays: winner.duration === undefined ? undefined : wholeDays(winner.duration),
    mode: strictestMode([winner.mode, floor?.mode ?? 'none']),
    ending: winner.disposition,
    cutoffAt: cutoff,
    minimumAt: minimums.length === 0 ? undefined : Math.max(...minimums),
    expiresAt: winner.duration === undefined ? undefined : addDuration(cutoff, winner.duration),
  }
}

/** @throws InputInvalidError naming the classes there are */
export function findClass(name: string, classes: readonly RetentionClass[]): RetentionClass {
  const found = classes.find((candidate) => candidate.name === name)
  if (found !== undefined) return found
  throw new InputInvalidError(`unknown retention class '${name}'; known are ${classes.map((candidate) => candidate.name).join(', ')}`)
}

/**
 * Reads a class as an operator writes it. Without a duration it keeps for ever, and nothing else does.
 * @throws InputInvalidError
 */
export function parseRetentionClass(input: RetentionClassInput): RetentionClass {
  const { name, disposition, mode = 'governance' } = input
  if (!NAME_PATTERN.test(name)) {
    throw new InputInvalidError(
      `not a name of a retention class: ${JSON.stringify(name.slice(0, 100))} (lower-case letters, digits, ".", "_", "-"; at most 64)`,
    )
  }
  if (mode === 'none') throw new InputInvalidError(`class '${name}' needs the mode governance or compliance: what has a class is kept`)
  if ((input.duration === undefined) !== (disposition === 'keep')) {
    throw new InputInvalidError(`class '${name}' needs either a duration, or the disposition keep: what has no end is kept`)
  }
  const duration = input.duration === undefined ? undefined : parseDuration(input.duration)
  const minimum = input.minimum === undefined ? undefined : parseDuration(input.minimum)
  if (minimum !== undefined && duration === undefined)
    throw new InputInvalidError(`class '${name}' keeps for ever and cannot be shortened; it needs no minimum`)
  if (minimum !== undefined && duration !== undefined && addDuration(0, minimum) > addDuration(0, duration)) {
    throw new InputInvalidError(`the minimum of class '${name}' (${minimum}) is longer than its duration (${duration})`)
  }
  return { name, duration, minimum, mode, disposition }
}

/** Whether packages of one class, sealed at the same time, are kept shorter than those of another. Months count from the beginning of a year. */
export function isShorter(one: RetentionClass, other: RetentionClass): boolean {
  return expiry(one, 0) < expiry(other, 0)
}

/** The mode that binds most. */
export function strictestMode(modes: readonly RetentionMode[]): RetentionMode {
  return modes.reduce((strictest, mode) => (modeRank[mode] > modeRank[strictest] ? mode : strictest), 'none')
}

/** Whether a mode binds more than another. */
export function isStricter(mode: RetentionMode, other: RetentionMode): boolean {
  return modeRank[mode] > modeRank[other]
}

/** The ending that lets go least easily. */
export function strictestEnding(one: Ending, other: Ending): Ending {
  return endingRank[one] >= endingRank[other] ? one : other
}

const modeRank: Readonly<Record<RetentionMode, number>> = { none: 0, governance: 1, compliance: 2 }
const endingRank: Readonly<Record<Ending, number>> = { automatic: 0, request: 1, review: 2, keep: 3 }

function expiry({ duration }: RetentionClass, cutoff: number): number {
  return duration === undefined ? Number.POSITIVE_INFINITY : addDuration(cutoff, duration)
}

function noPolicy(cutoff: number): PolicyFacts {
  return {
    retentionClass: undefined,
    duration: undefined,
    durationDays: undefined,
    mode: 'none',
    ending: 'request',
    cutoffAt: cutoff,
    minimumAt: undefined,
    expiresAt: undefined,
  }
}

function defaultClass(name: string, days: number | undefined, disposition: Disposition): RetentionClass {
  return { name, duration: days === undefined ? undefined : parseDuration(days), minimum: undefined, mode: 'governance', disposition }
}
