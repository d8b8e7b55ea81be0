import { StateConflictError } from '../core/errors.ts'
import { parsePackageId } from '../core/name.ts'
import { uuidv7 } from '../core/uuid.ts'
import { type DraftRow, isDraftOpen, markDraftEnded, touchDraft } from '../registry/drafts.ts'
import { createStaging, moveEntries, touchStaging } from '../registry/staging.ts'
import type { Session } from '../registry/statement.ts'
import { type ArchiveTarget, takeArchive } from './archive-intake.ts'
import type { ArchiveLimits } from './archive-source.ts'
import type { StoreContext } from './context.ts'
import { Intake } from './intake.ts'
import type { ArchiveReport, PutArchiveOptions } from './interface.ts'

/** Entries that one transaction moves; a small archive appears at once. */
const ENTRIES_PER_COMMIT = 2_000
/** How often an archive that is still arriving says so. */
const TOUCH_MS = 15 * 60_000

/**
 * Stores an archive in an open package. Its entries are gathered under a staging draft, which nobody sees, and moved when all of them are accepted;
 * of an archive that is refused nothing stays. The move is made in short transactions: a crash between them leaves a part in the open package,
 * of which nobody was told, and the rest in a staging draft, which is given up a day later.
 * @throws TreeRefusedError, InputInvalidError, LimitExceededError; StateConflictError when the package takes no more content
 */
export async function putArchive(
  context: StoreContext,
  target: DraftRow,
  source: AsyncIterable<Uint8Array>,
  options: PutArchiveOptions & { readonly limits?: Partial<ArchiveLimits> } = {},
): Promise<ArchiveReport> {
  const { registry } = context
  const staging = await registry.write('stage', async (session) => {
    await assertOpen(session, target)
    return createStaging(session, target, parsePackageId(uuidv7(context.clock.now())))
  })
  const touching = setInterval(() => void touch(context, staging, target), TOUCH_MS).unref()
  try {
    const report = await takeArchive(stagingTarget(context, staging), source, { ...options, spoolFolder: context.spoolFolder })
    while (!(await registry.write('move', (session) => moveSome(session, staging, target))));
    return report
  } catch (error) {
    // What stays behind when even this fails is given up a day later; the error that is told is the one that led here.
    await registry.write('unstage', (session) => markDraftEnded(session, staging.id)).catch(() => undefined)
    throw error
  } finally {
    clearInterval(touching)
    context.clearance.add(staging)
  }
}

/** @returns whether all is moved; the staging draft has ended then */
async function moveSome(session: Session, staging: DraftRow, target: DraftRow): Promise<boolean> {
  await assertOpen(session, target)
  await assertOpen(session, staging)
  const isDone = (await moveEntries(session, staging.id, target.id, ENTRIES_PER_COMMIT)) < ENTRIES_PER_COMMIT
  if (isDone) await markDraftEnded(session, staging.id)
  return isDone
}

async function assertOpen(session: Session, draft: DraftRow): Promise<void> {
  if (!(await isDraftOpen(session, draft.id)))
    throw new StateConflictError(`package ${draft.uuid} takes no more content: it is sealed, being sealed, or was given up`)
}

function stagingTarget(context: StoreContext, staging: DraftRow): ArchiveTarget {
  const intake = new Intake(context, staging)
  return {
    put: async (path, source, { signal, ...facts } = {}) => {
      for await (const batch of intake.putMany([{ kind: 'file', path, source, ...facts }], signal)) {
        for (const outcome of batch) {
          if ('error' in outcome) throw outcome.error
          if (outcome.digest !== undefined) return { digest: outcome.digest, size: outcome.size }
        }
      }
      throw new TypeError('storing a file had no outcome')
    },
    putMany: (items, { signal } = {}) => intake.putMany(items, signal),
    attach: (files) => intake.attach(files),
  }
}

/** Meets no deadline: a later touch, or the next commit, does as well. */
async function touch({ registry }: StoreContext, staging: DraftRow, target: DraftRow): Promise<void> {
  const touched = registry.write('touch', async (session) => {
    await touchStaging(session, staging.id)
    await touchDraft(session, target.id)
  })
  await touched.catch(() => undefined)
}
