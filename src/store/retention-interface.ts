import type { Digest } from '../core/digest.ts'
import type { HoldInput, HoldKind, HoldSelector } from '../core/hold.ts'
import type { PackageId, RepositoryName } from '../core/name.ts'
import type { Disposition, Ending, RetentionClassInput, RetentionMode } from '../core/retention.ts'
import type { ExplanationStep } from '../core/retention-explanation.ts'
import type { PackageStage, PartStage } from '../core/retention-state.ts'
import type { Page, PageRequest } from './interface.ts'

/** Retention, holds and deletion, as users see them. Times are RFC 3339 UTC; a class, file set or package that is not there is NotFoundError. */

/** One file set of a package (`''`: the unnamed one, or the whole package), as far as retention goes. */
export interface PartRetention {
  readonly set: string
  readonly stage: PartStage
  /** Since when it is there. */
  readonly since: string
  readonly class?: string
  /** ISO 8601, such as `P30D` or `P1Y`. */
  readonly duration?: string
  readonly disposition: Ending
  /** When the clock started. */
  readonly cutoffAt: string
  /** Nobody can shorten it to before this. */
  readonly minimumAt?: string
  /** Absent: without end, or without retention. */
  readonly expiresAt?: string
}

/** A package's retention. */
export interface RetentionInfo {
  readonly packageId: PackageId
  readonly repository: RepositoryName
  readonly stage: PackageStage
  readonly mode: RetentionMode
  /** The latest end of its parts; absent: some part has none. */
  readonly expiresAt?: string
  readonly parts: readonly PartRetention[]
  /** Ids of the holds that stand on it. */
  readonly holds: readonly string[]
}

/** Why a package is kept, or is not. */
export interface RetentionExplanation {
  readonly packageId: PackageId
  readonly stage: PackageStage
  /** The trusted time for which this holds. */
  readonly at: string
  readonly steps: readonly ExplanationStep[]
}

/** A later end: for all file sets, or for some. */
export interface ExtendRetention {
  readonly expiresAt: string
  readonly reason: string
  readonly sets?: readonly string[]
}

/** An earlier end. `bypass` must be true: it bypasses governance. */
export interface ShortenRetention extends ExtendRetention {
  readonly bypass: boolean
}

/** A class as operators see it. Without duration: kept for ever. */
export interface RetentionClassInfo {
  readonly name: string
  readonly duration?: string
  readonly minimum?: string
  readonly mode: RetentionMode
  readonly disposition: Disposition
}

/** A list of what may be deleted, named by the digest of its document. */
export interface DeletionPlan {
  readonly digest: Digest
  readonly state: 'open' | 'approved' | 'completed' | 'expired'
  readonly repository?: RepositoryName
  readonly createdAt: string
  readonly createdBy: string
  /** Until when it can be approved. */
  readonly expiresAt: string
  readonly items: number
  /** Bytes of the files, as packages count them. */
  readonly size: number
  /** Whether there is more that may be deleted: make another plan when this one is done. */
  readonly more?: boolean
  readonly approvedAt?: string
  readonly approvedBy?: string
  readonly reason?: string
  readonly completedAt?: string
  /** Items that could still go when the plan was carried out; what had changed or was held was left out. */
  readonly approvedItems?: number
}

/** Parts of one package that a plan wants to delete. */
export interface PlanItem {
  readonly packageId: PackageId
  readonly repository: RepositoryName
  readonly manifestDigest: Digest
  readonly sets: readonly string[]
  readonly classes: readonly string[]
  /** The latest end of these parts. */
  readonly expiresAt: string
  readonly files: number
  readonly size: number
}

/** A deletion of a package, or of parts of it, and what became of the bytes. */
export interface Certificate {
  readonly deletionId: string
  readonly packageId: PackageId
  readonly repository: RepositoryName
  readonly manifestDigest: Digest
  readonly sets: readonly string[]
  /** `deleted`: it can be taken back; `purging`: it cannot; `released`: nothing of the package holds its bytes; `certified`: the certificate is written. */
  readonly state: 'deleted' | 'purging' | 'released' | 'certified'
  readonly authority: 'request' | 'automatic' | 'plan'
  readonly plan?: Digest
  readonly deletedBy: string
  readonly reason?: string
  readonly deletedAt: string
  readonly purgingAt?: string
  readonly releasedAt?: string
  readonly certifiedAt?: string
  /** Digests that were let go of. */
  readonly digests?: number
  /** The document, when it is written. */
  readonly certificate?: Digest
}

/** Whether the store's clock can be trusted. */
export interface ClockInfo {
  readonly state: 'trusted' | 'suspect'
  /** What retention goes by, and what this machine's clock says. */
  readonly trusted: string
  readonly wall: string
  /** Why it is suspect. */
  readonly doubt?: string
}

/** What retention can do. */
export interface Retention {
  /** Also of what is deleted or destroyed. */
  show(ref: string): Promise<RetentionInfo>
  /** Which rule keeps or releases it, step by step. */
  explain(ref: string): Promise<RetentionExplanation>
  /** @throws StateConflictError unless it ends strictly later than now */
  extend(ref: string, request: ExtendRetention): Promise<RetentionInfo>
  /** @throws RetainedError below the minimum or in compliance mode; ForbiddenError without bypass */
  shorten(ref: string, request: ShortenRetention): Promise<RetentionInfo>
  /** One way. */
  setMode(ref: string, request: { readonly mode: RetentionMode; readonly reason: string }): Promise<RetentionInfo>
  classes(): Promise<readonly RetentionClassInfo[]>
  /** Makes or changes a class; what was sealed before keeps what it was promised. */
  setClass(input: RetentionClassInput): Promise<RetentionClassInfo>
  /** Applies what a class says now to packages that are under it, forward only. @returns how many changed */
  reschedule(name: string, request: { readonly reason: string }): Promise<{ readonly packages: number }>
  /** Lists what may be deleted once somebody approves it. Changes nothing else. @throws NotFoundError when there is nothing */
  createPlan(request?: { readonly repository?: string }): Promise<DeletionPlan>
  /** Newest first. */
  plans(page?: PageRequest): Promise<Page<DeletionPlan>>
  plan(digest: string): Promise<DeletionPlan>
  planItems(digest: string, page?: PageRequest): Promise<Page<PlanItem>>
  /** Approves a plan by its digest and deletes what of it may still go. Repeatable. */
  approve(digest: string, request?: { readonly reason?: string }): Promise<DeletionPlan>
  /** @throws RetainedError, HeldError, ApprovalRequiredError with the rule */
  delete(ref: string, request?: { readonly reason?: string }): Promise<RetentionInfo>
  /** Until the grace ends. */
  undelete(ref: string, request?: { readonly reason?: string }): Promise<RetentionInfo>
  /** What was deleted of a package, the newest deletion first. @throws NotFoundError when nothing was */
  certificates(ref: string): Promise<readonly Certificate[]>
  /** The document of a certificate: JSON Lines, the first tells of the deletion, each other one of a digest. */
  certificateDocument(deletionId: string): AsyncIterable<Uint8Array>
  clock(): Promise<ClockInfo>
  /** Says that this machine's clock is right. */
  acceptClock(request: { readonly reason: string }): Promise<ClockInfo>
}

/** A hold as operators see it. */
export interface HoldInfo {
  readonly id: string
  readonly kind: HoldKind
  readonly matter: string
  readonly authority: string
  readonly reason: string
  readonly packageId?: PackageId
  readonly selector?: HoldSelector
  /** `released`: what it held may go on its way; until all of it may, an event hold is `settling`. */
  readonly state: 'standing' | 'settling' | 'released'
  readonly placedAt: string
  readonly placedBy: string
  readonly releasedAt?: string
  readonly releasedBy?: string
  readonly releaseReason?: string
}

/** What is not to be deleted, whatever its retention says. */
export interface Holds {
  /** @throws HeldError when it is too late: its destruction has begun */
  place(request: HoldInput): Promise<HoldInfo>
  get(id: string): Promise<HoldInfo>
  /** In the order in which they were placed; those that stand, unless told otherwise. */
  list(options?: PageRequest & { readonly released?: boolean }): Promise<Page<HoldInfo>>
  /** @throws ForbiddenError for anonymous, and for who placed it where duties are separated */
  release(id: string, request: { readonly reason: string }): Promise<HoldInfo>
}
