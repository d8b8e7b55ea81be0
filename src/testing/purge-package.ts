import { letGo } from '../registry/holders.ts'
import type { Registry } from '../registry/registry.ts'

const ROWS = 1_000

/** Takes a sealed package away at once, without rules, events or grace: what a collector finds afterwards is the same as after a deletion. */
export async function purgePackage(registry: Registry, id: string): Promise<void> {
  const row = await registry.write('purge', async (session) => {
    const [found] = await session.query<{ id: number }>({ sql: 'update packages set status = 3 where uuid = ? returning id', parameters: [id] })
    if (found !== undefined) await session.query({ sql: 'delete from tags where package_id = ? returning name', parameters: [found.id] })
    session.changes += 1
    return found
  })
  if (row === undefined) throw new TypeError(`there is no package ${id}`)
  while ((await registry.write('purge', (session) => letGo(session, 'package', row.id, ROWS))) === ROWS);
}
