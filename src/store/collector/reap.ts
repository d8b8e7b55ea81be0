import { endExpiredDraft, listExpiredDrafts } from '../../registry/drafts.ts'
import { letGo, nextHoldingLease } from '../../registry/holders.ts'
import { pruneIdempotency } from '../../registry/idempotency.ts'
import { deleteExpiredLease, leaseExists, listExpiredNamedLeases } from '../../registry/leases.ts'
import { condemnUnfinished } from '../../registry/condemned-objects.ts'
import { IDEMPOTENCY_MS } from '../idempotency.ts'
import { freezeDeadWriters } from '../reaper.ts'
import { removeExpiredUploads } from '../uploads.ts'
import type { CollectionReport } from './collection-report.ts'
import type { CollectionWork } from './collection-work.ts'

const ROWS_PER_COMMIT = 500
const AT_ONCE = 100

/** Ends what nobody touched for too long, and what writers left that are gone. Each kind of thing is found by an index on what is due. */
export async function reap(work: CollectionWork): Promise<CollectionReport['reaped']> {
  const { context, settings } = work
  const reaped = { writers: 0, packages: 0, uploads: 0, answers: 0 }
  if (!(await work.mayGoOn())) return reaped
  reaped.writers = await freezeDeadWriters(context.registry)
  await reapLeases(work)
  for (const draft of await listExpiredDrafts(context.registry.reader, settings.draftMs, AT_ONCE)) {
    if (!(await work.mayGoOn())) return reaped
    if (await work.write('expire', (session) => endExpiredDraft(session, draft.id, settings.draftMs))) reaped.packages += 1
  }
  // What has ended, here or in a process that is gone, is cleared away by whoever looks first.
  await context.clearance.addLeftOvers()
  await context.clearance.idle()
  reaped.uploads = await removeExpiredUploads(context, AT_ONCE)
  await context.uploadWork.clearance.idle()
  reaped.answers = await work.write('answers', (session) => pruneIdempotency(session, IDEMPOTENCY_MS, ROWS_PER_COMMIT))
  while ((await work.mayGoOn()) && (await work.write('unfinished', (session) => condemnUnfinished(session, AT_ONCE))) === AT_ONCE);
  work.progress('reap', reaped.writers + reaped.packages + reaped.uploads)
  return reaped
}

/** A lease goes first, which is what others look at; then, in batches, what it held. Left-overs only keep bytes. */
async function reapLeases(work: CollectionWork): Promise<void> {
  const { reader } = work.context.registry
  for (const id of await listExpiredNamedLeases(reader, AT_ONCE)) await work.write('lease', (session) => deleteExpiredLease(session, id))
  for (let lease = await nextHoldingLease(reader, 0); lease !== undefined; lease = await nextHoldingLease(reader, lease)) {
    const id = lease
    const dropSome = (): Promise<number> =>
      work.write('lease-holders', async (session) => ((await leaseExists(session, id)) ? 0 : letGo(session, 'lease', id, ROWS_PER_COMMIT)))
    while (!(await leaseExists(reader, id)) && (await dropSome()) === ROWS_PER_COMMIT);
  }
}
