import { deleteExpiredLease, listExpiredLeases } from '../registry/leases.ts'
import { freezeObjects } from '../registry/objects.ts'
import type { Registry } from '../registry/registry.ts'

/** Writers that one call takes for dead at most. */
const LIMIT = 100

/**
 * Takes writers whose lease ran out for dead: their leases go first, so that every later commit of theirs meets its fence, and their packs are
 * frozen in the same transaction. Their bytes stay as they are.
 * @returns how many writers
 */
export async function freezeDeadWriters(registry: Registry): Promise<number> {
  const expired = await listExpiredLeases(registry.reader, LIMIT)
  for (const { id } of expired) {
    await registry.write('freeze', async (session) => {
      // Renewed meanwhile: alive.
      if (!(await deleteExpiredLease(session, id))) return
      await freezeObjects(session, id)
    })
  }
  return expired.length
}
