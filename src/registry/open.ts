import type { Database } from './dialect.ts'
import { migrate, SCHEMA_VERSION } from './migrations.ts'
import { Registry, type RegistryOptions } from './registry.ts'
import { getSetting, setSetting } from './settings.ts'
import { Session } from './statement.ts'

/** Creates the tables in an empty database. */
export async function createSchema(database: Database): Promise<void> {
  const connection = await database.begin()
  if (connection === undefined) throw new TypeError('a new database is in use already')
  await migrate(database.dialect, connection, 0)
  await setSetting(new Session(database.dialect, connection), 'schema-version', String(SCHEMA_VERSION))
  await database.commit()
}

/**
 * Opens a registry whose tables exist, and brings them to this release's schema.
 * @throws VersionUnsupportedError when a newer release wrote it
 */
export async function openRegistry(database: Database, options: RegistryOptions = {}): Promise<Registry> {
  const registry = new Registry(database, options)
  const found = Number(await getSetting(registry.reader, 'schema-version'))
  // The release's own migrations run here once there is a second version.
  if (found !== SCHEMA_VERSION) await migrate(database.dialect, database.reader, found)
  return registry
}
