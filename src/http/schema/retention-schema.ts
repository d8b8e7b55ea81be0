import { Type, type TUnsafe } from 'typebox'
import type { RetentionClassInput } from '../../core/retention.ts'
import type { ExplanationStep } from '../../core/retention-explanation.ts'
import type { ExpiredFileSet } from '../../store/interface.ts'
import type {
  Certificate,
  ClockInfo,
  DeletionPlan,
  ExtendRetention,
  PartRetention,
  PlanItem,
  RetentionClassInfo,
  RetentionExplanation,
  RetentionInfo,
  ShortenRetention,
} from '../../store/retention-interface.ts'
import { closed, count, oneOf, text, time } from './closed.ts'
import { digest, packageId, repositoryName } from './name-schema.ts'

const setName = text('Set key: the names of the file sets, joined by commas; empty for files in none.', 4_096)
const reason = text('Why.', 2_000)
const actor = text('Who.', 512)
const duration = text('ISO 8601, such as P30D, P1Y or PT12H.', 64)
const mode = oneOf(['none', 'governance', 'compliance'], 'How strictly it binds; one way.')
const disposition = oneOf(['automatic', 'review', 'keep'], 'What happens at the end.')
const packageStage = oneOf(
  ['finalized', 'retained', 'eligible', 'approved', 'soft-deleted', 'purging', 'purged'],
  'How far the package is: as far as the part of it that is least far.',
)

/** A file set of a package that expired. */
export const expiredFileSet: TUnsafe<ExpiredFileSet> = closed<ExpiredFileSet>('ExpiredFileSet')({
  fileSets: Type.Array(text('File set.', 255)),
  count: count('Files that it had.'),
  size: count('Their bytes.'),
  deletedAt: time('Since when they cannot be read.'),
})

const partRetention = closed<PartRetention>('PartRetention')({
  set: setName,
  stage: oneOf(['kept', 'eligible', 'approved', 'deleted', 'purging', 'purged'], 'How far it is.'),
  since: time('Since when.'),
  class: Type.Optional(text('Retention class.', 64)),
  duration: Type.Optional(duration),
  disposition: oneOf(['automatic', 'review', 'keep', 'request'], 'What happens at the end; request: without a class, when somebody asks.'),
  cutoffAt: time('When its clock started.'),
  minimumAt: Type.Optional(time('Not to be shortened to before this.')),
  expiresAt: Type.Optional(time('Until when it is kept; absent: without end, or without retention.')),
})

/** A package's retention. */
export const retentionInfo: TUnsafe<RetentionInfo> = closed<RetentionInfo>('RetentionInfo')({
  packageId,
  repository: repositoryName,
  stage: packageStage,
  mode,
  expiresAt: Type.Optional(time('The latest end of its parts; absent: some part has none.')),
  parts: Type.Array(partRetention),
  holds: Type.Array(text('Hold that stands on it.', 36)),
})

const explanationStep = closed<ExplanationStep>('ExplanationStep')({
  rule: oneOf(
    ['class', 'no-class', 'expiry', 'for-ever', 'minimum', 'mode', 'hold', 'confirmation', 'approval', 'disposition', 'deleted', 'destroyed'],
    'The rule.',
  ),
  set: Type.Optional(setName),
  effect: oneOf(['keeps', 'releases', 'notes'], 'What it does.'),
  text: text('In words; where a time follows, the sentence ends with it.', 8_192),
  time: Type.Optional(time('Until or since when.')),
})

/** Which rule keeps or releases a package. */
export const retentionExplanation: TUnsafe<RetentionExplanation> = closed<RetentionExplanation>('RetentionExplanation')({
  packageId,
  stage: packageStage,
  at: time('The trusted time for which this holds.'),
  steps: Type.Array(explanationStep),
})

const expiresAt = text('The new end: RFC 3339, or a date.', 64)
const sets = Type.Optional(Type.Array(setName, { maxItems: 1_000, description: 'Only these file sets; absent: all.' }))

/** Body of `POST /packages/{id}/retention/extensions`. */
export const extendRetention: TUnsafe<ExtendRetention> = closed<ExtendRetention>('ExtendRetention')({ expiresAt, reason, sets })

/** Body of `POST /packages/{id}/retention/shorten`. */
export const shortenRetention: TUnsafe<ShortenRetention> = closed<ShortenRetention>('ShortenRetention')({
  expiresAt,
  reason,
  sets,
  bypass: Type.Boolean({ description: 'Must be true: it bypasses governance.' }),
})

/** Body of `POST /packages/{id}/retention/mode`. */
export interface ModeRequest {
  readonly mode: RetentionInfo['mode']
  readonly reason: string
}

/** Body of `POST /packages/{id}/retention/mode`. */
export const modeRequest: TUnsafe<ModeRequest> = closed<ModeRequest>('ModeRequest')({ mode, reason })

/** A body that says why, or nothing. */
export interface ReasonRequest {
  readonly reason?: string
}

/** A body that says why, or nothing. */
export const reasonRequest: TUnsafe<ReasonRequest> = closed<ReasonRequest>('ReasonRequest')({ reason: Type.Optional(reason) })

/** A body that says why. */
export interface WithReason {
  readonly reason: string
}

/** A body that says why. */
export const withReason: TUnsafe<WithReason> = closed<WithReason>('WithReason')({ reason })

/** A retention class. */
export const retentionClass: TUnsafe<RetentionClassInfo> = closed<RetentionClassInfo>('RetentionClass')({
  name: text('Name.', 64),
  duration: Type.Optional(duration),
  minimum: Type.Optional(duration),
  mode,
  disposition,
})

/** All classes. */
export interface RetentionClasses {
  readonly items: readonly RetentionClassInfo[]
}

/** All classes. */
export const retentionClasses: TUnsafe<RetentionClasses> = closed<RetentionClasses>('RetentionClasses')({ items: Type.Array(retentionClass) })

const length = Type.Union([Type.Integer({ minimum: 1, maximum: 400_000, description: 'Days.' }), duration])

/** Body of `PUT /retention/classes/{name}`. */
export type ClassRequest = Omit<RetentionClassInput, 'name'>

/** Body of `PUT /retention/classes/{name}`. */
export const classRequest: TUnsafe<ClassRequest> = closed<ClassRequest>('ClassRequest')({
  duration: Type.Optional(length),
  minimum: Type.Optional(length),
  mode: Type.Optional(mode),
  disposition,
})

/** Parameters of `/retention/classes/{name}…`. */
export const classParameters: TUnsafe<{ readonly name: string }> = closed<{ readonly name: string }>()({ name: text('Class.', 64) })

/** Answer of a reschedule. */
export interface Rescheduled {
  readonly packages: number
}

/** Answer of a reschedule. */
export const rescheduled: TUnsafe<Rescheduled> = closed<Rescheduled>('Rescheduled')({ packages: count('Packages that are kept longer now.') })

/** Body of `POST /retention/plans`. */
export interface PlanRequest {
  readonly repository?: string
}

/** Body of `POST /retention/plans`. */
export const planRequest: TUnsafe<PlanRequest> = closed<PlanRequest>('PlanRequest')({ repository: Type.Optional(repositoryName) })

/** A deletion plan. */
export const deletionPlan: TUnsafe<DeletionPlan> = closed<DeletionPlan>('DeletionPlan')({
  digest,
  state: oneOf(['open', 'approved', 'completed', 'expired'], 'How far it is.'),
  repository: Type.Optional(repositoryName),
  createdAt: time('When it was made.'),
  createdBy: actor,
  expiresAt: time('Until when it can be approved.'),
  items: count('Packages that it names.'),
  size: count('Bytes of the files that it names.'),
  more: Type.Optional(Type.Boolean({ description: 'There is more that may be deleted: make another plan afterwards.' })),
  approvedAt: Type.Optional(time('When it was approved.')),
  approvedBy: Type.Optional(actor),
  reason: Type.Optional(reason),
  completedAt: Type.Optional(time('When all of it that could go was deleted.')),
  approvedItems: Type.Optional(count('Items that went.')),
})

/** An item of a plan. */
export const planItem: TUnsafe<PlanItem> = closed<PlanItem>('PlanItem')({
  packageId,
  repository: repositoryName,
  manifestDigest: digest,
  sets: Type.Array(setName),
  classes: Type.Array(text('Class.', 64)),
  expiresAt: time('The latest end of these parts.'),
  files: count('Files.'),
  size: count('Their bytes.'),
})

/** Parameters of `/retention/plans/{digest}…`. */
export const planParameters: TUnsafe<{ readonly digest: string }> = closed<{ readonly digest: string }>()({ digest })

/** A deletion and what became of it. */
const certificate: TUnsafe<Certificate> = closed<Certificate>('Certificate')({
  deletionId: text('Id of the deletion.', 36),
  packageId,
  repository: repositoryName,
  manifestDigest: digest,
  sets: Type.Array(setName),
  state: oneOf(['deleted', 'purging', 'released', 'certified'], 'How far it is.'),
  authority: oneOf(['request', 'automatic', 'plan'], 'On whose word.'),
  plan: Type.Optional(digest),
  deletedBy: actor,
  reason: Type.Optional(reason),
  deletedAt: time('When it was deleted.'),
  purgingAt: Type.Optional(time('From when on it could not be taken back.')),
  releasedAt: Type.Optional(time('From when on the package held none of its bytes.')),
  certifiedAt: Type.Optional(time('When the certificate was written.')),
  digests: Type.Optional(count('Digests that were let go of.')),
  certificate: Type.Optional(digest),
})

/** All deletions of a package. */
export interface Certificates {
  readonly items: readonly Certificate[]
}

/** All deletions of a package. */
export const certificates: TUnsafe<Certificates> = closed<Certificates>('Certificates')({ items: Type.Array(certificate) })

/** Parameters of `/certificates/{deletionId}`. */
export const certificateParameters: TUnsafe<{ readonly deletionId: string }> = closed<{ readonly deletionId: string }>()({
  deletionId: text('Id of the deletion.', 36),
})

/** Whether the clock can be trusted. */
export const clockInfo: TUnsafe<ClockInfo> = closed<ClockInfo>('ClockInfo')({
  state: oneOf(['trusted', 'suspect'], 'While it is suspect nothing is deleted.'),
  trusted: time('What retention goes by.'),
  wall: time("What the server's clock says."),
  doubt: Type.Optional(text('Why it is suspect.')),
})
