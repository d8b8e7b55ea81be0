import { InputInvalidError } from './errors.ts'

/** What happens when a package's time is over. */
export type Disposition = 'automatic' | 'review' | 'keep'

/** A retention class. `durationDays` undefined: kept without end. */
export interface RetentionClass {
  readonly name: string
  readonly durationDays: number | undefined
  readonly disposition: Disposition
}

/** The classes every store begins with. */
export const defaultRetentionClasses: readonly RetentionClass[] = [
  { name: 'transient', durationDays: 7, disposition: 'automatic' },
  { name: 'raw-evidence', durationDays: 30, disposition: 'review' },
  { name: 'summary-evidence', durationDays: 365, disposition: 'review' },
  { name: 'release-evidence', durationDays: 2_555, disposition: 'review' },
  { name: 'permanent-record', durationDays: undefined, disposition: 'keep' },
]

/** How strictly a package's retention binds; one way, none to compliance. */
export type RetentionMode = 'none' | 'governance' | 'compliance'

/** The facts of one file set (or of a whole package) as they were when it was sealed. Without a class there is no mode and no expiry. */
export interface PolicyFacts {
  readonly retentionClass: string | undefined
  readonly durationDays: number | undefined
  readonly mode: RetentionMode
  /** UTC milliseconds; undefined: never. */
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

const DAY_MS = 86_400_000

/**
 * Resolves what holds for bytes that are under several classes at once: the longest wins, the repository's minimum is a floor.
 * @param names the classes asked for; none: the repository's default
 * @throws InputInvalidError for an unknown class
 */
export function resolvePolicy(names: readonly string[], context: PolicyContext): PolicyFacts {
  const asked = names.length > 0 ? names : context.defaultClass === undefined ? [] : [context.defaultClass]
  const candidates = [...asked, ...(context.minimumClass === undefined ? [] : [context.minimumClass])].map((name) => findClass(name, context.classes))
  const [first, ...others] = candidates
  if (first === undefined) return { retentionClass: undefined, durationDays: undefined, mode: 'none', expiresAt: undefined }
  const winner = others.reduce((longest, next) => (duration(next) > duration(longest) ? next : longest), first)
  const expiresAt = winner.durationDays === undefined ? undefined : context.cutoff + winner.durationDays * DAY_MS
  return { retentionClass: winner.name, durationDays: winner.durationDays, mode: 'governance', expiresAt }
}

/** @throws InputInvalidError naming the classes there are */
export function findClass(name: string, classes: readonly RetentionClass[]): RetentionClass {
  const found = classes.find((candidate) => candidate.name === name)
  if (found !== undefined) return found
  throw new InputInvalidError(`unknown retention class '${name}'; known are ${classes.map((candidate) => candidate.name).join(', ')}`)
}

function duration(candidate: RetentionClass): number {
  return candidate.durationDays ?? Number.POSITIVE_INFINITY
}
