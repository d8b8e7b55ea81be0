import { StoreError } from '../../core/errors.ts'
import { type ObjectInfo, parseObjectKey } from '../../ports/backend.ts'
import { correctDeadBytes, listPackWear } from '../../registry/compaction.ts'
import { getSetting, setSetting } from '../../registry/settings.ts'
import { forgetStray, isNamedObject, listStrays, sightStray } from '../../registry/strays.ts'
import type { AuditReport } from './collection-report.ts'
import type { CollectionWork } from './collection-work.ts'

const PAGE = 500
/** When more than this many objects, and more than half of all, have no row, it is the registry that is wrong, and nothing is removed. */
const MANY_STRAYS = 20

/**
 * Lists the backend under this store's prefix and removes what no row names: objects whose put ended after their row was given up. An intent precedes
 * its bytes (I6), so that a key without a row never gets one; all the same it must have been seen by two audits at least a grace apart. Then counts the
 * dead bytes of packs anew. Occasional: it is not the way garbage is found.
 */
export async function audit(work: CollectionWork): Promise<AuditReport | undefined> {
  const { registry, storeId } = work.context
  if (!(await isDue(work)) || !(await work.mayGoOn())) return undefined
  const strays: ObjectInfo[] = []
  let objects = 0
  for await (const object of work.context.backend.list(`${storeId}/`)) {
    if (!isContent(object.key, storeId)) continue
    objects += 1
    if (!(await isNamedObject(registry.reader, object.key))) strays.push(object)
    if (objects % PAGE === 0) work.progress('audit', PAGE)
  }
  if (strays.length > MANY_STRAYS && strays.length * 2 > objects) {
    work.stopped = `${strays.length} of ${objects} objects are not known to the registry; it may be the wrong one, and nothing is removed. See: artifact-store doctor`
    return undefined
  }
  const removed = { objects: 0, size: 0 }
  for (const stray of strays) {
    if (!(await work.mayGoOn())) break
    if (!(await removeIfOld(work, stray))) continue
    removed.objects += 1
    removed.size += stray.size
  }
  await forgetGone(work, new Set(strays.map(({ key }) => key)))
  const corrected = await countDead(work)
  await work.write('audited', async (session) => setSetting(session, 'audited-at', String(work.context.clock.now())))
  return { objects, strays: strays.length - removed.objects, removed, corrected }
}

async function isDue({ context, settings }: CollectionWork): Promise<boolean> {
  const last = Number((await getSetting(context.registry.reader, 'audited-at')) ?? 0)
  return context.clock.now() - last >= settings.auditEveryMs
}

async function removeIfOld(work: CollectionWork, { key }: ObjectInfo): Promise<boolean> {
  const { backend } = work.context
  const isOld = await work.write('stray', async (session) => !(await isNamedObject(session, key)) && sightStray(session, key, work.settings.graceMs))
  if (!isOld) return false
  try {
    await backend.delete(key)
    await work.write('stray-gone', (session) => forgetStray(session, key))
    return true
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    work.problem(`object ${key}, which no row names, could not be deleted`, error)
    return false
  }
}

/** What was seen once and is gone must not count as seen when it comes back. */
async function forgetGone(work: CollectionWork, seen: ReadonlySet<string>): Promise<void> {
  for (let after = ''; ;) {
    const page = await listStrays(work.context.registry.reader, after, PAGE)
    for (const key of page) if (!seen.has(parseObjectKey(key))) await work.write('stray-gone', (session) => forgetStray(session, key))
    const last = page.at(-1)
    if (last === undefined) return
    after = last
  }
}

/** Reconciles: hints are counted anew, nothing else is changed (I9). */
async function countDead(work: CollectionWork): Promise<number> {
  let corrected = 0
  for (let after = 0; ;) {
    const page = await listPackWear(work.context.registry.reader, after, PAGE)
    for (const { id, hint, counted } of page) {
      if (hint === counted) continue
      await work.write('reconcile', (session) => correctDeadBytes(session, id, hint, counted))
      corrected += 1
    }
    const last = page.at(-1)
    if (last === undefined) return corrected
    after = last.id
  }
}

/** The marker and the mirrored log have no rows. */
function isContent(key: string, storeId: string): boolean {
  return key !== `${storeId}/marker` && !key.startsWith(`${storeId}/log/`)
}
