import type { JsonObject, JsonValue } from './canonical-json.ts'
import { InputInvalidError } from './errors.ts'
import { findClass, resolvePolicy, type RetentionClass } from './retention.ts'

/** What holds for all packages of a repository. What is absent is off, or not set. */
export interface RepositoryPolicy {
  /** Class of packages that name none. */
  readonly defaultClass?: string
  /** Nothing is kept shorter than this class says. */
  readonly minimumClass?: string
  /** Anybody may read, also without saying who they are. */
  readonly publicRead?: boolean
  /** A tag that is set cannot be moved or removed. */
  readonly immutableTags?: boolean
  /** Whoever approves a deletion or releases a hold must be another than who asked for it. */
  readonly separationOfDuties?: boolean
}

const classMembers = ['defaultClass', 'minimumClass'] as const
const switchMembers = ['publicRead', 'immutableTags', 'separationOfDuties'] as const

/**
 * Checks a policy and brings it into its one form: what is off is left out.
 * @throws InputInvalidError for an unknown member, a class that is not there, or a default that is kept shorter than the minimum
 */
export function checkRepositoryPolicy(policy: JsonObject, classes: readonly RetentionClass[]): RepositoryPolicy {
  const known: readonly string[] = [...classMembers, ...switchMembers]
  const unknown = Object.keys(policy).find((member) => !known.includes(member))
  if (unknown !== undefined) {
    throw new InputInvalidError(`a repository's policy has no '${unknown.slice(0, 100)}'; it may have ${known.join(', ')}`)
  }
  const checked: RepositoryPolicy = {
    ...Object.fromEntries(classMembers.flatMap((member) => present(member, readClass(policy[member], member, classes)))),
    ...Object.fromEntries(switchMembers.flatMap((member) => present(member, readSwitch(policy[member], member)))),
  }
  if (checked.defaultClass !== undefined && checked.minimumClass !== undefined) assertNotShorter(checked.defaultClass, checked.minimumClass, classes)
  return checked
}

/** Reads a policy that {@link checkRepositoryPolicy} checked when it was written. */
export function parseRepositoryPolicy(text: string): RepositoryPolicy {
  // Sound: only checked policies are written.
  return JSON.parse(text) as RepositoryPolicy
}

function present<T>(member: string, value: T | undefined): [string, T][] {
  return value === undefined ? [] : [[member, value]]
}

function readClass(value: JsonValue | undefined, member: string, classes: readonly RetentionClass[]): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw new InputInvalidError(`${member} must be the name of a retention class`)
  return findClass(value, classes).name
}

function readSwitch(value: JsonValue | undefined, member: string): true | undefined {
  if (value === undefined || value === false) return undefined
  if (value === true) return true
  throw new InputInvalidError(`${member} must be true or false`)
}

function assertNotShorter(name: string, minimum: string, classes: readonly RetentionClass[]): void {
  // What is kept is the longer of the two; of equally long ones the first.
  if (resolvePolicy([name], { classes, minimumClass: minimum, cutoff: 0 }).retentionClass === name) return
  throw new InputInvalidError(`packages that name no class would be kept as ${name}, which is shorter than the minimum, ${minimum}`)
}
