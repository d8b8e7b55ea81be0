import type { Hold } from './hold.ts'
import { isRetained, type PartState, type RetentionState, stageOf } from './retention-state.ts'

/** One rule and what it does to a package or a part of it. */
export interface ExplanationStep {
  readonly rule:
    | 'class'
    | 'no-class'
    | 'expiry'
    | 'for-ever'
    | 'minimum'
    | 'mode'
    | 'hold'
    | 'confirmation'
    | 'approval'
    | 'disposition'
    | 'deleted'
    | 'destroyed'
  /** The part it is about; absent: all of the package. */
  readonly set?: string
  readonly effect: 'keeps' | 'releases' | 'notes'
  readonly text: string
  /** Until when it keeps, or since when it releases; RFC 3339. */
  readonly time?: string
}

/** Which rule keeps or releases a package, step by step: each part, then what holds across them, then what follows. */
export function explainRetention(state: RetentionState, holds: readonly Hold[], now: number): readonly ExplanationStep[] {
  return [...state.parts.flatMap((part) => explainPart(part, now)), ...explainMode(state), ...holds.map(explainHold), conclusion(state, holds, now)]
}

function explainPart(part: PartState, now: number): readonly ExplanationStep[] {
  const { set, stage, stageAt } = part
  const step = (rule: ExplanationStep['rule'], effect: ExplanationStep['effect'], text: string, time?: number): ExplanationStep => ({
    rule,
    set,
    effect,
    text,
    ...(time === undefined ? {} : { time: timeOf(time) }),
  })
  if (stage === 'purged') return [step('destroyed', 'notes', 'was let go', stageAt)]
  const steps = [classStep(part, step), endStep(part, now, step)]
  if (part.minimumAt !== undefined && part.minimumAt > now) steps.push(step('minimum', 'keeps', 'nobody may shorten it to before', part.minimumAt))
  if (stage === 'purging') return [...steps, step('destroyed', 'releases', 'is being let go since', stageAt)]
  if (stage === 'deleted') return [...steps, step('deleted', 'releases', 'was deleted; can be taken back until its grace ends', stageAt)]
  if (isRetained(part, now) || part.expiresAt === undefined) return steps
  return [...steps, ...afterEnd(part, step)]
}

type Step = (rule: ExplanationStep['rule'], effect: ExplanationStep['effect'], text: string, time?: number) => ExplanationStep

function classStep({ retentionClass, duration, cutoffAt }: PartState, step: Step): ExplanationStep {
  if (retentionClass === undefined) return step('no-class', 'notes', 'has no retention class')
  return step('class', 'notes', `class ${retentionClass}: ${duration === undefined ? 'without end' : `${duration}, counted`} from`, cutoffAt)
}

function endStep(part: PartState, now: number, step: Step): ExplanationStep {
  if (part.ending === 'keep') return step('for-ever', 'keeps', 'is kept for ever')
  if (part.expiresAt === undefined) return step('disposition', 'releases', 'may be deleted when somebody asks for it')
  return isRetained(part, now)
    ? step('expiry', 'keeps', 'is kept until', part.expiresAt)
    : step('expiry', 'releases', 'its time is over since', part.expiresAt)
}

function afterEnd({ stage, stageAt, ending }: PartState, step: Step): readonly ExplanationStep[] {
  if (stage === 'kept') return [step('confirmation', 'keeps', 'two sweeps, a grace period apart, have not both seen it yet')]
  const seen = step('confirmation', 'releases', 'that its time is over was seen twice', stage === 'eligible' ? stageAt : undefined)
  if (stage === 'approved') return [seen, step('approval', 'releases', 'its deletion was approved', stageAt)]
  if (ending === 'review') return [seen, step('approval', 'keeps', 'its class wants the deletion approved')]
  if (ending === 'request') return [seen, step('disposition', 'releases', 'may be deleted when somebody asks for it')]
  return [seen, step('disposition', 'releases', 'its class deletes it without asking')]
}

function explainMode({ mode }: RetentionState): readonly ExplanationStep[] {
  if (mode === 'none') return []
  const text = mode === 'compliance' ? 'compliance: nobody can shorten it' : 'governance: only an explicit bypass, with a reason, can shorten it'
  return [{ rule: 'mode', effect: 'notes', text }]
}

function explainHold({ id, kind, matter, placedAt, placedBy }: Hold): ExplanationStep {
  return { rule: 'hold', effect: 'keeps', text: `${kind} hold ${id} of ${placedBy} (${matter}), since`, time: timeOf(placedAt) }
}

function conclusion(state: RetentionState, holds: readonly Hold[], now: number): ExplanationStep {
  const stage = stageOf(state)
  if (stage === 'purged' || stage === 'purging') return { rule: 'destroyed', effect: 'releases', text: `so it is ${stage}` }
  if (holds.length > 0) return { rule: 'hold', effect: 'keeps', text: `so it is ${stage}, and nothing of it is deleted while it is held` }
  const keeping = state.parts.some((part) => part.stage !== 'purged' && isRetained(part, now))
  if (keeping) return { rule: 'expiry', effect: 'keeps', text: `so it is ${stage}` }
  return {
    rule: 'disposition',
    effect: stage === 'soft-deleted' || stage === 'approved' || stage === 'finalized' ? 'releases' : 'notes',
    text: `so it is ${stage}`,
  }
}

function timeOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}
