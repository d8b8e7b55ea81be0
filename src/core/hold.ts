import { InputInvalidError } from './errors.ts'
import { type PackageId, parsePackageId, parseRepositoryName, parseRunId, type RepositoryName } from './name.ts'

/** Why something is held. An `event` hold starts the clock of what it held when it is released. */
export type HoldKind = 'legal' | 'temporary' | 'event'

/** All kinds. */
export const holdKinds: readonly HoldKind[] = ['legal', 'temporary', 'event']

/** Which packages a hold catches, also those that come later; all members must fit. */
export interface HoldSelector {
  /** This repository and those below it, by whole components. */
  readonly repository?: RepositoryName
  readonly producer?: string
  readonly subject?: string
  readonly runId?: string
}

/** What is held: one package, or all that a selector catches. */
export type HoldTarget = { readonly packageId: PackageId } | { readonly selector: HoldSelector }

/** A hold: while it stands, nothing of what it catches is deleted. Times are UTC milliseconds. */
export interface Hold {
  readonly id: string
  readonly kind: HoldKind
  readonly matter: string
  readonly authority: string
  readonly reason: string
  readonly target: HoldTarget
  readonly placedAt: number
  readonly placedBy: string
}

/** What of a package a hold looks at. */
export interface HeldFacts {
  readonly packageId: PackageId
  readonly repository: RepositoryName
  readonly producer: string | undefined
  readonly subject: string | undefined
  readonly runId: string | undefined
}

/** What a caller says about a hold. */
export interface HoldInput {
  readonly kind: string
  readonly matter: string
  readonly authority: string
  readonly reason: string
  readonly packageId?: string
  readonly selector?: {
    readonly repository?: string
    readonly producer?: string
    readonly subject?: string
    readonly runId?: string
  }
}

/** Longest text of a matter, an authority or a reason, in UTF-16 units. */
const MAX_REASON_LENGTH = 2_000
/** Longest name of a producer or subject in a selector, in UTF-16 units. */
const MAX_SELECTOR_LENGTH = 1_000

/** Whether a hold catches a package. */
export function catches(target: HoldTarget, facts: HeldFacts): boolean {
  if ('packageId' in target) return target.packageId === facts.packageId
  const { repository, producer, subject, runId } = target.selector
  if (repository !== undefined && facts.repository !== repository && !facts.repository.startsWith(`${repository}/`)) return false
  return fits(producer, facts.producer) && fits(subject, facts.subject) && fits(runId, facts.runId)
}

function fits(wanted: string | undefined, found: string | undefined): boolean {
  return wanted === undefined || wanted === found
}

/**
 * Checks what a caller says about a hold.
 * @throws InputInvalidError, NameInvalidError; a selector that says nothing would hold everything by mistake and is refused
 */
export function parseHold(input: HoldInput): Pick<Hold, 'kind' | 'matter' | 'authority' | 'reason' | 'target'> {
  const kind = holdKinds.find((known) => known === input.kind)
  if (kind === undefined)
    throw new InputInvalidError(`not a kind of hold: ${JSON.stringify(input.kind.slice(0, 100))}; known are ${holdKinds.join(', ')}`)
  return {
    kind,
    matter: parseReason(input.matter, 'matter'),
    authority: parseReason(input.authority, 'authority'),
    reason: parseReason(input.reason, 'reason'),
    target: parseTarget(input),
  }
}

/** Reads a text that says why: never empty, since somebody will ask. @throws InputInvalidError */
export function parseReason(text: string, what = 'reason'): string {
  if (text.trim() === '') throw new InputInvalidError(`say the ${what}`)
  if (text.length > MAX_REASON_LENGTH || !text.isWellFormed() || text.includes('\0')) {
    throw new InputInvalidError(`the ${what} is longer than ${MAX_REASON_LENGTH} characters, or not text`)
  }
  return text
}

function parseTarget({ packageId, selector }: HoldInput): HoldTarget {
  if ((packageId === undefined) === (selector === undefined)) throw new InputInvalidError('a hold needs a package or a selector, one of them')
  if (packageId !== undefined) return { packageId: parsePackageId(packageId) }
  const { repository, producer, subject, runId } = selector ?? {}
  const parsed: HoldSelector = {
    ...(repository === undefined ? {} : { repository: parseRepositoryName(repository) }),
    ...(producer === undefined ? {} : { producer: parseMember(producer, 'producer') }),
    ...(subject === undefined ? {} : { subject: parseMember(subject, 'subject') }),
    ...(runId === undefined ? {} : { runId: parseRunId(runId) }),
  }
  if (Object.keys(parsed).length === 0) throw new InputInvalidError('a selector needs a repository, a producer, a subject or a run')
  return { selector: parsed }
}

function parseMember(text: string, what: string): string {
  if (text === '' || text.length > MAX_SELECTOR_LENGTH || text.includes('\0'))
    throw new InputInvalidError(`not a ${what}: ${JSON.stringify(text.slice(0, 100))}`)
  return text
}
