import { NotFoundError } from '../../core/errors.ts'
import { formatTime } from '../../core/event.ts'
import type { HeldFacts, Hold } from '../../core/hold.ts'
import { expiryOf, type PartState, stageOf } from '../../core/retention-state.ts'
import { holdsOn, type StoredHold } from '../../registry/holds.ts'
import { loadRetention, type StoredRetention } from '../../registry/package-parts.ts'
import { getPackage, type PackageRow } from '../../registry/packages.ts'
import type { Session } from '../../registry/statement.ts'
import type { PartRetention, RetentionInfo } from '../retention-interface.ts'

/** A package as far as retention goes: its row, its state and the holds that stand on it, all of one moment. */
export interface RetentionSubject {
  readonly row: PackageRow
  readonly state: StoredRetention
  readonly holds: readonly StoredHold[]
}

/**
 * Reads it, within a transaction where something is decided.
 * @param selectors the standing holds that select their packages, when many packages are looked at
 */
export async function loadSubject(session: Session, packageId: number, selectors?: readonly StoredHold[]): Promise<RetentionSubject> {
  const row = await getPackage(session, packageId)
  if (row === undefined) throw new NotFoundError('the package has gone meanwhile')
  return { row, state: await loadRetention(session, packageId), holds: await holdsOn(session, heldFacts(row), selectors) }
}

/** What holds look at. */
export function heldFacts(row: PackageRow): HeldFacts {
  return {
    packageId: row.uuid,
    repository: row.repository,
    producer: row.producer ?? undefined,
    subject: row.subject ?? undefined,
    runId: row.run_id ?? undefined,
  }
}

/** The holds themselves, as rules take them. */
export function standing({ holds }: Pick<RetentionSubject, 'holds'>): readonly Hold[] {
  return holds.map(({ hold }) => hold)
}

/** How users see it. */
export function retentionInfo({ row, state, holds }: RetentionSubject): RetentionInfo {
  const expiresAt = expiryOf(state)
  return {
    packageId: row.uuid,
    repository: row.repository,
    stage: stageOf(state),
    mode: state.mode,
    ...(expiresAt === undefined ? {} : { expiresAt: formatTime(expiresAt) }),
    parts: state.parts.map(partInfo),
    holds: holds.map(({ hold }) => hold.id),
  }
}

function partInfo(part: PartState): PartRetention {
  const { set, stage, stageAt, retentionClass, duration, ending, cutoffAt, minimumAt, expiresAt } = part
  return {
    set,
    stage,
    since: formatTime(stageAt),
    ...(retentionClass === undefined ? {} : { class: retentionClass }),
    ...(duration === undefined ? {} : { duration }),
    disposition: ending,
    cutoffAt: formatTime(cutoffAt),
    ...(minimumAt === undefined ? {} : { minimumAt: formatTime(minimumAt) }),
    ...(expiresAt === undefined ? {} : { expiresAt: formatTime(expiresAt) }),
  }
}
