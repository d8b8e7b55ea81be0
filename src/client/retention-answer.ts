import { type HoldKind, holdKinds, type HoldSelector } from '../core/hold.ts'
import { parseRepositoryName } from '../core/name.ts'
import type { ExplanationStep } from '../core/retention-explanation.ts'
import type {
  Certificate,
  ClockInfo,
  DeletionPlan,
  HoldInfo,
  PartRetention,
  PlanItem,
  RetentionClassInfo,
  RetentionExplanation,
  RetentionInfo,
} from '../store/retention-interface.ts'
import { Members, type Read, readBoolean, readBrand, readCount, readDigest, readList, readText, readWord } from './answer.ts'
import { readPackageId } from './package-answer.ts'

const readRepositoryName = readBrand(parseRepositoryName)
const readMode = readWord('none', 'governance', 'compliance')
const readTexts = readList(readText)
const readPackageStage = readWord('finalized', 'retained', 'eligible', 'approved', 'soft-deleted', 'purging', 'purged')

const readPart: Read<PartRetention> = (value, where) => {
  const members = new Members(value, where)
  return {
    set: members.one('set', readText),
    stage: members.one('stage', readWord('kept', 'eligible', 'approved', 'deleted', 'purging', 'purged')),
    since: members.one('since', readText),
    ...members.maybe('class', readText),
    ...members.maybe('duration', readText),
    disposition: members.one('disposition', readWord('automatic', 'review', 'keep', 'request')),
    cutoffAt: members.one('cutoffAt', readText),
    ...members.maybe('minimumAt', readText),
    ...members.maybe('expiresAt', readText),
  }
}

/** Reads a package's retention. */
export const readRetention: Read<RetentionInfo> = (value, where) => {
  const members = new Members(value, where)
  return {
    packageId: members.one('packageId', readPackageId),
    repository: members.one('repository', readRepositoryName),
    stage: members.one('stage', readPackageStage),
    mode: members.one('mode', readMode),
    ...members.maybe('expiresAt', readText),
    parts: members.one('parts', readList(readPart)),
    holds: members.one('holds', readTexts),
  }
}

const readStep: Read<ExplanationStep> = (value, where) => {
  const members = new Members(value, where)
  return {
    rule: members.one(
      'rule',
      readWord(
        'class',
        'no-class',
        'expiry',
        'for-ever',
        'minimum',
        'mode',
        'hold',
        'confirmation',
        'approval',
        'disposition',
        'deleted',
        'destroyed',
      ),
    ),
    ...members.maybe('set', readText),
    effect: members.one('effect', readWord('keeps', 'releases', 'notes')),
    text: members.one('text', readText),
    ...members.maybe('time', readText),
  }
}

/** Reads which rule keeps a package. */
export const readExplanation: Read<RetentionExplanation> = (value, where) => {
  const members = new Members(value, where)
  return {
    packageId: members.one('packageId', readPackageId),
    stage: members.one('stage', readPackageStage),
    at: members.one('at', readText),
    steps: members.one('steps', readList(readStep)),
  }
}

/** Reads a retention class. */
export const readClass: Read<RetentionClassInfo> = (value, where) => {
  const members = new Members(value, where)
  return {
    name: members.one('name', readText),
    ...members.maybe('duration', readText),
    ...members.maybe('minimum', readText),
    mode: members.one('mode', readMode),
    disposition: members.one('disposition', readWord('automatic', 'review', 'keep')),
  }
}

/** Reads a deletion plan. */
export const readPlan: Read<DeletionPlan> = (value, where) => {
  const members = new Members(value, where)
  return {
    digest: members.one('digest', readDigest),
    state: members.one('state', readWord('open', 'approved', 'completed', 'expired')),
    ...members.maybe('repository', readRepositoryName),
    createdAt: members.one('createdAt', readText),
    createdBy: members.one('createdBy', readText),
    expiresAt: members.one('expiresAt', readText),
    items: members.one('items', readCount),
    size: members.one('size', readCount),
    ...members.maybe('more', readBoolean),
    ...members.maybe('approvedAt', readText),
    ...members.maybe('approvedBy', readText),
    ...members.maybe('reason', readText),
    ...members.maybe('completedAt', readText),
    ...members.maybe('approvedItems', readCount),
  }
}

/** Reads an item of a plan. */
export const readPlanItem: Read<PlanItem> = (value, where) => {
  const members = new Members(value, where)
  return {
    packageId: members.one('packageId', readPackageId),
    repository: members.one('repository', readRepositoryName),
    manifestDigest: members.one('manifestDigest', readDigest),
    sets: members.one('sets', readTexts),
    classes: members.one('classes', readTexts),
    expiresAt: members.one('expiresAt', readText),
    files: members.one('files', readCount),
    size: members.one('size', readCount),
  }
}

/** Reads what became of a deletion. */
export const readCertificate: Read<Certificate> = (value, where) => {
  const members = new Members(value, where)
  return {
    deletionId: members.one('deletionId', readText),
    packageId: members.one('packageId', readPackageId),
    repository: members.one('repository', readRepositoryName),
    manifestDigest: members.one('manifestDigest', readDigest),
    sets: members.one('sets', readTexts),
    state: members.one('state', readWord('deleted', 'purging', 'released', 'certified')),
    authority: members.one('authority', readWord('request', 'automatic', 'plan')),
    ...members.maybe('plan', readDigest),
    deletedBy: members.one('deletedBy', readText),
    ...members.maybe('reason', readText),
    deletedAt: members.one('deletedAt', readText),
    ...members.maybe('purgingAt', readText),
    ...members.maybe('releasedAt', readText),
    ...members.maybe('certifiedAt', readText),
    ...members.maybe('digests', readCount),
    ...members.maybe('certificate', readDigest),
  }
}

/** Reads whether the clock can be trusted. */
export const readClock: Read<ClockInfo> = (value, where) => {
  const members = new Members(value, where)
  return {
    state: members.one('state', readWord('trusted', 'suspect')),
    trusted: members.one('trusted', readText),
    wall: members.one('wall', readText),
    ...members.maybe('doubt', readText),
  }
}

const readHoldKind: Read<HoldKind> = readWord(...holdKinds)

const readSelector: Read<HoldSelector> = (value, where) => {
  const members = new Members(value, where)
  return {
    ...members.maybe('repository', readRepositoryName),
    ...members.maybe('producer', readText),
    ...members.maybe('subject', readText),
    ...members.maybe('runId', readText),
  }
}

/** Reads a hold. */
export const readHold: Read<HoldInfo> = (value, where) => {
  const members = new Members(value, where)
  return {
    id: members.one('id', readText),
    kind: members.one('kind', readHoldKind),
    matter: members.one('matter', readText),
    authority: members.one('authority', readText),
    reason: members.one('reason', readText),
    ...members.maybe('packageId', readPackageId),
    ...members.maybe('selector', readSelector),
    state: members.one('state', readWord('standing', 'settling', 'released')),
    placedAt: members.one('placedAt', readText),
    placedBy: members.one('placedBy', readText),
    ...members.maybe('releasedAt', readText),
    ...members.maybe('releasedBy', readText),
    ...members.maybe('releaseReason', readText),
  }
}
