import { userInfo } from 'node:os'
import { openFileSystemBackend } from '../adapters/backend-fs/backend-fs.ts'
import { fullAccess } from '../core/access.ts'
import { StoreError, StoreMissingError } from '../core/errors.ts'
import { createInprocDataPlane } from '../data-plane/inproc.ts'
import { observeBackend } from '../decorators/observe-backend.ts'
import type { Backend } from '../ports/backend.ts'
import { type SteadyClock, systemClock } from '../ports/clock.ts'
import { openRegistry } from '../registry/open.ts'
import type { Registry, RegistryOptions } from '../registry/registry.ts'
import { getSetting } from '../registry/settings.ts'
import { openSqlite } from '../registry/sqlite.ts'
import type { StoreContext } from './context.ts'
import { DraftClearance } from './draft-clearance.ts'
import { EventHub } from './event-hub.ts'
import { checkMarker } from './identity.ts'
import { ManifestCache } from './manifest-cache.ts'
import { LogMirror } from './mirror.ts'
import { SchemaThread } from './schema-thread.ts'
import { clearSpool } from './spool-file.ts'
import { exists, type StoreFiles, storeFiles } from './store-files.ts'
import { TrustedClock } from './trusted-clock.ts'
import { UploadWork } from './upload-work.ts'
import { WriterSession } from './writer-session.ts'

/** How to open a store in this process. */
export interface StoreOptions {
  /** Who acts, as events name them; default `os:<user>`. */
  readonly actor?: string
  readonly clock?: SteadyClock
  /** Told of each step of the write order, before and after it; may throw or never return (fault injection, tracing). */
  readonly observe?: (step: string) => void
  /** Instead of the file system below the store's directory. */
  readonly backend?: Backend
}

/**
 * Opens the parts of the store in a directory, and checks that they belong together. One whose registry was restored or copied can be read but not
 * written ({@link StoreContext.readOnly}).
 * @throws StoreMissingError; StoreMismatchError when its objects are not there; VersionUnsupportedError
 */
export async function openContext(directory: string, options: StoreOptions = {}): Promise<StoreContext> {
  const files = storeFiles(directory)
  if (!(await exists(files.registry))) {
    throw new StoreMissingError(`there is no store in ${directory}; 'artifact-store init' makes one`, { detail: { directory } })
  }
  const backend = options.backend ?? (await openFileSystemBackend(files.objects))
  const registry = await openRegistry(await openSqlite(files.registry), registryOptions(options))
  try {
    return await assembleContext(registry, backend, files, options)
  } catch (error) {
    await registry.close()
    throw error
  }
}

/** Puts the parts of a store together. */
export async function assembleContext(registry: Registry, plainBackend: Backend, files: StoreFiles, options: StoreOptions): Promise<StoreContext> {
  const storeId = await getSetting(registry.reader, 'store-id')
  const logId = await getSetting(registry.reader, 'log-id')
  if (storeId === undefined || logId === undefined) {
    throw new StoreMissingError('the registry is empty: making the store broke off. Remove its directory and begin again')
  }
  await checkMarker(plainBackend, storeId)
  const backend = options.observe === undefined ? plainBackend : observeBackend(plainBackend, options.observe)
  const writer = new WriterSession(storeId, registry)
  const dataPlane = createInprocDataPlane({ backend, host: writer, storeId })
  writer.onEnding(dataPlane)
  const mirror = new LogMirror(backend, registry, { storeId, logId, owner: writer.owner })
  await refuseForeignHistory(mirror, registry)
  registry.onEvents(() => mirror.notice())
  // Catches up with what a process that crashed had committed but not mirrored.
  mirror.notice()
  const eventHub = new EventHub(registry.reader, logId)
  registry.onEvents(() => eventHub.notice())
  const clearance = new DraftClearance(registry)
  const uploadWork = new UploadWork(registry)
  if (registry.readOnly === undefined) {
    await Promise.all([clearance.addLeftOvers(), uploadWork.clearance.addLeftOvers(), clearSpool(files.spool)])
  }
  const clock = new TrustedClock(options.clock ?? systemClock)
  await clock.begin(registry.reader)
  registry.keepTimeBy(clock)
  return {
    storeId,
    logId,
    actor: actorOf(options),
    access: fullAccess(actorOf(options)),
    registry,
    backend,
    dataPlane,
    writer,
    mirror,
    eventHub,
    clearance,
    spoolFolder: files.spool,
    manifests: new ManifestCache(),
    uploadWork,
    schemaThread: new SchemaThread(),
    clock,
    readOnly: () => registry.readOnly,
  }
}

async function refuseForeignHistory(mirror: LogMirror, registry: Registry): Promise<void> {
  try {
    await mirror.checkAncestry()
  } catch (error) {
    if (!(error instanceof StoreError) || error.retryable) throw error
    registry.refuseWrites(error)
  }
}

/**
 * Ends what is open, as far as it can be written, and releases all parts whatever happens.
 * @throws what could not be written, on a full disk for example; nothing acknowledged is lost by that
 */
export async function closeContext(context: StoreContext): Promise<void> {
  const { dataPlane, mirror, eventHub, clearance, uploadWork, schemaThread, registry, backend } = context
  eventHub.close()
  try {
    await schemaThread.close()
    if (registry.readOnly !== undefined) await dataPlane.abandon()
    // The pack's end with the lease, and the mirror, are independent: their commits can share a flush.
    const endings = [endWriting(context)]
    if (registry.readOnly === undefined) endings.push(mirror.close(), clearance.idle(), uploadWork.clearance.idle())
    for (const ending of await Promise.allSettled(endings)) if (ending.status === 'rejected') throw ending.reason
  } finally {
    await registry.close()
    await backend.close()
  }
}

async function endWriting({ dataPlane, writer, registry }: StoreContext): Promise<void> {
  try {
    await dataPlane.close()
  } finally {
    if (registry.readOnly === undefined) await writer.close()
  }
}

/** Who acts. */
export function actorOf(options: StoreOptions): string {
  return options.actor ?? `os:${userName()}`
}

/** What of a store's options its registry needs. */
export function registryOptions(options: StoreOptions): RegistryOptions {
  return { clock: options.clock ?? systemClock, observe: options.observe }
}

/** In a container a user id need not have a name. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'unknown')
  }
}
