import { applyChange, expiryOf, type PackageStage, type RetentionChange, type RetentionState, stageOf } from '../core/retention-state.ts'
import { removeOpenDisposals } from '../registry/disposals.ts'
import { buryPackage, loadRetention, savePackageStage, savePart } from '../registry/package-parts.ts'
import type { Session } from '../registry/statement.ts'

const statusOf: Readonly<Record<PackageStage, 'finalized' | 'deleted' | 'purging' | 'purged'>> = {
  finalized: 'finalized',
  retained: 'finalized',
  eligible: 'finalized',
  approved: 'finalized',
  'soft-deleted': 'deleted',
  purging: 'purging',
  purged: 'purged',
}

/** Carries a change of retention into the views; what it means is said by core/retention-state.ts alone. @returns the state after it */
export async function changeRetention(session: Session, packageId: number, change: RetentionChange): Promise<RetentionState> {
  const before = await loadRetention(session, packageId)
  const after = applyChange(before, change)
  for (const part of after.parts) if (!before.parts.some((old) => old === part)) await savePart(session, packageId, part)
  const status = statusOf[stageOf(after)]
  await savePackageStage(session, packageId, { status, mode: after.mode, expiresAt: expiryOf(after) })
  // What its document said dies with it, which from now on may be any time.
  if (status === 'purging' && statusOf[stageOf(before)] !== 'purging') await buryPackage(session, packageId)
  const wasDeleted = before.parts.some(({ stage }) => stage === 'deleted')
  if (wasDeleted && !after.parts.some(({ stage }) => stage === 'deleted' || stage === 'purging')) await removeOpenDisposals(session, packageId)
  return after
}
