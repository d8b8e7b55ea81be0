import type { JsonObject } from '../../core/canonical-json.ts'
import { type Digest, parseDigest, rawSha256 } from '../../core/digest.ts'
import { LogCorruptError } from '../../core/errors.ts'
import type { Hold, HoldSelector } from '../../core/hold.ts'
import type { PackageId, RepositoryName } from '../../core/name.ts'
import { parseDuration } from '../../core/duration.ts'
import type { RetentionClass, RetentionMode } from '../../core/retention.ts'
import type { RetentionChange } from '../../core/retention-state.ts'
import { type Authority, beginPurging, finishPurging, insertDisposal, noteCertificate } from '../../registry/disposals.ts'
import { insertDocument, removeDocument } from '../../registry/documents.ts'
import { insertStandingHold, releaseStandingHold, settleHold } from '../../registry/holds.ts'
import { findPackage } from '../../registry/packages.ts'
import { approvePlan, completePlan, expirePlan, insertPlan } from '../../registry/plans.ts'
import { saveRetentionClass } from '../../registry/retention-classes.ts'
import type { Session } from '../../registry/statement.ts'
import { policyFacts, type SetPolicy } from '../policy-facts.ts'
import { changeRetention } from '../retention-change.ts'

/**
 * The events of retention, holds and deletion, and what each means for the views. Live changes and a rebuild from the log go through
 * {@link applyRetentionEvent}; no clock is read here.
 */

/** What every event about a package says. `at`: trusted time, RFC 3339. */
interface OfPackage {
  readonly packageId: PackageId
  readonly repository: RepositoryName
  readonly at: string
}
interface OfParts extends OfPackage {
  readonly sets: readonly string[]
}

/** An event with its data. */
export type RetentionEvent =
  | { readonly type: 'package.retention-extended'; readonly data: OfParts & { readonly expiresAt: string; readonly reason: string } }
  | {
      readonly type: 'package.retention-shortened'
      readonly data: OfParts & { readonly expiresAt: string; readonly reason: string; readonly bypass: true }
    }
  | { readonly type: 'package.retention-mode-set'; readonly data: OfPackage & { readonly mode: RetentionMode; readonly reason: string } }
  | {
      readonly type: 'package.retention-rescheduled'
      readonly data: OfPackage & { readonly policy: readonly SetPolicy[]; readonly class?: string; readonly holdId?: string; readonly reason: string }
    }
  | { readonly type: 'package.eligible'; readonly data: OfParts }
  | { readonly type: 'package.approved'; readonly data: OfParts & { readonly plan: Digest } }
  | {
      readonly type: 'package.deleted'
      readonly data: OfParts & { readonly deletionId: string; readonly authority: Authority; readonly plan?: Digest; readonly reason?: string }
    }
  | { readonly type: 'package.undeleted'; readonly data: OfParts & { readonly reason?: string } }
  | { readonly type: 'package.purging'; readonly data: OfParts & { readonly deletionId: string } }
  | { readonly type: 'package.purged'; readonly data: OfParts & { readonly deletionId: string; readonly digests: number } }
  | {
      readonly type: 'package.certified'
      readonly data: OfPackage & {
        readonly deletionId: string
        readonly certificate: Digest
        readonly destroyed: number
        readonly referenced: number
      }
    }
  | { readonly type: 'retention.class-set'; readonly data: ClassSet }
  | { readonly type: 'hold.placed'; readonly data: HoldPlaced }
  | { readonly type: 'hold.released'; readonly data: HoldChanged & { readonly reason: string; readonly settled: boolean } }
  | { readonly type: 'hold.settled'; readonly data: HoldChanged }
  | { readonly type: 'plan.created'; readonly data: PlanCreated }
  | { readonly type: 'plan.approved'; readonly data: PlanChanged & { readonly reason?: string } }
  | { readonly type: 'plan.completed'; readonly data: PlanChanged & { readonly approved: number } }
  | { readonly type: 'plan.expired'; readonly data: PlanChanged }

interface ClassSet {
  readonly name: string
  readonly duration: string | null
  readonly minimum: string | null
  readonly mode: RetentionClass['mode']
  readonly disposition: RetentionClass['disposition']
  readonly at: string
}
interface HoldChanged {
  readonly holdId: string
  readonly repository?: RepositoryName
  readonly at: string
}
interface HoldPlaced extends HoldChanged {
  readonly kind: Hold['kind']
  readonly matter: string
  readonly authority: string
  readonly reason: string
  readonly packageId?: PackageId
  readonly selector?: HoldSelector
}
interface PlanChanged {
  readonly plan: Digest
  readonly repository?: RepositoryName
  readonly at: string
}
interface PlanCreated extends PlanChanged {
  readonly items: number
  readonly packages: number
  readonly size: number
  readonly expiresAt: string
}

/** Reads an event of the log. @returns undefined for one of another kind */
export function retentionEvent(type: string, data: JsonObject): RetentionEvent | undefined {
  const written: unknown = { type, data }
  // Sound: the chain hash proved that these are the data we wrote, and the type says their shape.
  return types.has(type) ? (written as RetentionEvent) : undefined
}

const types: ReadonlySet<string> = new Set<RetentionEvent['type']>([
  'package.retention-extended',
  'package.retention-shortened',
  'package.retention-mode-set',
  'package.retention-rescheduled',
  'package.eligible',
  'package.approved',
  'package.deleted',
  'package.undeleted',
  'package.purging',
  'package.purged',
  'package.certified',
  'retention.class-set',
  'hold.placed',
  'hold.released',
  'hold.settled',
  'plan.created',
  'plan.approved',
  'plan.completed',
  'plan.expired',
])

/** What an event changes in the views. */
export async function applyRetentionEvent(session: Session, event: RetentionEvent, actor: string): Promise<void> {
  switch (event.type) {
    case 'retention.class-set':
      return setClass(session, event.data)
    case 'hold.placed':
      return placeHold(session, event.data, actor)
    case 'hold.released': {
      const { holdId: uuid, reason, settled } = event.data
      return releaseStandingHold(session, { uuid, at: Date.parse(event.data.at), by: actor, reason, settled })
    }
    case 'hold.settled':
      return settleHold(session, event.data.holdId)
    case 'plan.created':
    case 'plan.approved':
    case 'plan.completed':
    case 'plan.expired':
      return changePlan(session, event, actor)
    default:
      return changePackage(session, event, actor)
  }
}

type PackageEvent = Extract<RetentionEvent, { readonly type: `package.${string}` }>
type PlanEvent = Extract<RetentionEvent, { readonly type: `plan.${string}` }>

async function changePackage(session: Session, event: PackageEvent, actor: string): Promise<void> {
  const { packageId, at } = event.data
  const row = await findPackage(session, packageId)
  if (row === undefined) throw new LogCorruptError(`an event names package ${packageId}, which no event finalized`)
  if (event.type === 'package.deleted') await deletePackage(session, row.id, event.data, actor)
  if (event.type === 'package.purging') await beginPurging(session, event.data.deletionId, event.data.sets, Date.parse(at))
  if (event.type === 'package.purged') await finishPurging(session, event.data.deletionId, Date.parse(at), event.data.digests)
  if (event.type === 'package.certified') return certify(session, event.data)
  await changeRetention(session, row.id, changeOf(event))
}

function changeOf(event: Exclude<PackageEvent, { readonly type: 'package.certified' }>): RetentionChange {
  const at = Date.parse(event.data.at)
  switch (event.type) {
    case 'package.retention-extended':
      return { kind: 'extended', at, sets: event.data.sets, expiresAt: Date.parse(event.data.expiresAt) }
    case 'package.retention-shortened':
      return { kind: 'shortened', at, sets: event.data.sets, expiresAt: Date.parse(event.data.expiresAt) }
    case 'package.retention-mode-set':
      return { kind: 'mode-set', at, mode: event.data.mode }
    case 'package.retention-rescheduled':
      return { kind: 'rescheduled', at, parts: policyFacts(event.data.policy) }
    case 'package.eligible':
      return { kind: 'found-eligible', at, sets: event.data.sets }
    case 'package.approved':
      return { kind: 'approved', at, sets: event.data.sets }
    case 'package.deleted':
      return { kind: 'deleted', at, sets: event.data.sets }
    case 'package.undeleted':
      return { kind: 'undeleted', at, sets: event.data.sets }
    case 'package.purging':
      return { kind: 'purging', at, sets: event.data.sets }
    case 'package.purged':
      return { kind: 'purged', at, sets: event.data.sets }
  }
}

function deletePackage(
  session: Session,
  packageId: number,
  { deletionId: uuid, sets, authority, plan, reason, at }: Extract<RetentionEvent, { readonly type: 'package.deleted' }>['data'],
  actor: string,
): Promise<void> {
  return insertDisposal(session, { uuid, packageId, sets, authority, plan: raw(plan), by: actor, reason, at: Date.parse(at) })
}

async function certify(
  session: Session,
  { deletionId, certificate, at }: Extract<RetentionEvent, { readonly type: 'package.certified' }>['data'],
): Promise<void> {
  const digest = rawSha256(parseDigest(certificate))
  await noteCertificate(session, deletionId, Date.parse(at), digest)
  await insertDocument(session, { kind: 'certificate', name: deletionId, digest, createdAt: Date.parse(at) })
}

async function setClass(session: Session, { name, duration, minimum, mode, disposition, at }: ClassSet): Promise<void> {
  const length = (text: string | null): RetentionClass['duration'] => (text === null ? undefined : parseDuration(text))
  await saveRetentionClass(session, { name, duration: length(duration), minimum: length(minimum), mode, disposition }, Date.parse(at))
}

async function placeHold(session: Session, data: HoldPlaced, actor: string): Promise<void> {
  const { holdId: id, kind, matter, authority, reason, packageId, selector = {}, at } = data
  const target = packageId === undefined ? { selector } : { packageId }
  await insertStandingHold(session, { id, kind, matter, authority, reason, target, placedAt: Date.parse(at), placedBy: actor })
}

async function changePlan(session: Session, event: PlanEvent, actor: string): Promise<void> {
  const digest = rawSha256(parseDigest(event.data.plan))
  const at = Date.parse(event.data.at)
  switch (event.type) {
    case 'plan.created': {
      const { items, packages, size, expiresAt, repository = null } = event.data
      await insertPlan(session, { digest, repository, items, packages, size, created_at: at, created_by: actor, expires_at: Date.parse(expiresAt) })
      await insertDocument(session, { kind: 'plan', name: event.data.plan, digest, createdAt: at })
      return
    }
    case 'plan.approved':
      return approvePlan(session, { digest, at, by: actor, reason: event.data.reason })
    case 'plan.completed':
      return completePlan(session, digest, at, event.data.approved)
    case 'plan.expired':
      await expirePlan(session, digest)
      return removeDocument(session, 'plan', event.data.plan)
  }
}

function raw(digest: Digest | undefined): Uint8Array | undefined {
  return digest === undefined ? undefined : rawSha256(digest)
}
