import { StoreError } from '../../core/errors.ts'
import { type DrainedObject, hasRemains, listDrainedObjects, removeObjectRows } from '../../registry/condemned-objects.ts'
import type { CollectionReport } from './collection-report.ts'
import type { CollectionWork } from './collection-work.ts'

const PAGE = 64
const ROWS_PER_COMMIT = 500

/**
 * Deletes objects that were condemned long enough ago: first the bytes, then, once the backend has confirmed it, the rows (I7). A delete of which
 * nobody knows what became is simply made again, now or in another run: its key belongs to nothing else, ever (I5).
 */
export async function deleteObjects(work: CollectionWork): Promise<CollectionReport['deleted']> {
  const { context, settings } = work
  let [objects, size] = [0, 0]
  let after: Pick<DrainedObject, 'id' | 'condemnedAt'> = { condemnedAt: -1, id: 0 }
  while (await work.mayGoOn()) {
    const page = await listDrainedObjects(context.registry.reader, settings.drainMs, after, PAGE)
    const deleted = await deleteSome(work, page)
    for (const object of deleted) {
      while (!(await work.write('rows', (session) => removeObjectRows(session, object, ROWS_PER_COMMIT))));
      objects += 1
      size += object.size
    }
    work.progress('delete', deleted.length)
    const last = page.at(-1)
    if (last === undefined) break
    after = last
  }
  return { objects, size }
}

async function deleteSome(work: CollectionWork, page: readonly DrainedObject[]): Promise<readonly DrainedObject[]> {
  const { registry, dataPlane } = work.context
  for (const { id, key } of page) {
    if (!(await hasRemains(registry.reader, id))) continue
    work.stopped = `object ${key} is condemned although something in it is in use; this should not happen, please report it`
    return []
  }
  try {
    await dataPlane.delete(page.map(({ key }) => key))
    return page
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    work.problem('objects could not be deleted and are tried again later', error)
    return []
  }
}
