import { createFileSystemBackend } from '../adapters/backend-fs/backend-fs.ts'
import { AlreadyExistsError } from '../core/errors.ts'
import { formatTime } from '../core/event.ts'
import { uuidv4, uuidv7 } from '../core/uuid.ts'
import { systemClock } from '../ports/clock.ts'
import { createSchema, openRegistry } from '../registry/open.ts'
import { setSetting } from '../registry/settings.ts'
import { openSqlite } from '../registry/sqlite.ts'
import { EmbeddedStore } from './embedded-store.ts'
import { writeMarker } from './identity.ts'
import { actorOf, assembleContext, openContext, registryOptions, type StoreOptions } from './open-context.ts'
import { exists, storeFiles } from './store-files.ts'

export type { StoreOptions }

/**
 * Makes a new store in an empty or new directory, and opens it.
 * @throws AlreadyExistsError when there is a store already
 */
export async function createStore(directory: string, options: StoreOptions = {}): Promise<EmbeddedStore> {
  const files = storeFiles(directory)
  if (await exists(files.registry)) throw new AlreadyExistsError(`there is a store in ${directory} already`)
  // Makes the directory durable, too.
  const backend = await createFileSystemBackend(files.objects)
  const database = await openSqlite(files.registry)
  await createSchema(database)
  const registry = await openRegistry(database, registryOptions(options))
  const clock = options.clock ?? systemClock
  const storeId = uuidv4()
  const createdAt = formatTime(clock.now())
  await writeMarker(options.backend ?? backend, storeId, createdAt)
  await registry.write('create', async (session) => {
    await setSetting(session, 'store-id', storeId)
    await setSetting(session, 'log-id', uuidv7(clock.now()))
    await setSetting(session, 'created-at', createdAt)
    await setSetting(session, 'mirrored-seq', '0')
    session.emit({ id: uuidv7(clock.now()), type: 'store.created', tenant: 'default', resource: 'store', actor: actorOf(options), data: { storeId } })
  })
  return new EmbeddedStore(await assembleContext(registry, options.backend ?? backend, files, options))
}

/**
 * Opens the store in a directory.
 * @throws StoreMissingError; StoreMismatchError when its objects are not there; VersionUnsupportedError
 */
export async function openStore(directory: string, options: StoreOptions = {}): Promise<EmbeddedStore> {
  return new EmbeddedStore(await openContext(directory, options))
}
