import { openFileSystemBackend } from '../adapters/backend-fs/backend-fs.ts'
import { StoreError, StoreMissingError } from '../core/errors.ts'
import type { Backend } from '../ports/backend.ts'
import { type Clock, systemClock } from '../ports/clock.ts'
import { openSqliteReader, type SqliteReader } from '../registry/sqlite-reader.ts'
import { Session } from '../registry/statement.ts'
import type { Finding } from './doctor/finding.ts'
import { examineClock, examineLog, readClocks } from './doctor/log-state.ts'
import { examineObjects, examineWriters } from './doctor/object-state.ts'
import { examineFlushes, examinePermissions, examineSpace } from './doctor/place.ts'
import {
  examineCounters,
  examineDamage,
  examineDrafts,
  examineReferences,
  examineReviews,
  examineSettings,
  examineUploads,
} from './doctor/registry-state.ts'
import { checkMarker, readIdentity, type StoreIdentity } from './identity.ts'
import { exists, type StoreFiles, storeFiles } from './store-files.ts'

export type { Finding }

/** How to examine a store. */
export interface ExaminationOptions {
  readonly clock?: Clock
  /** Instead of the file system below the store's directory. */
  readonly backend?: Backend
  /** `false` writes nothing at all, not even the small file that flushes are measured with. */
  readonly measureFlushes?: boolean
}

/**
 * Examines the store in a directory, whatever state it is in, and tells what it finds, check by check. Reads only, beside whoever uses the store, and
 * deletes nothing (I9). What cannot be examined is a finding, not an error; stop asking for findings to end it.
 */
export async function* examine(directory: string, options: ExaminationOptions = {}): AsyncGenerator<Finding, void, undefined> {
  const clock = options.clock ?? systemClock
  const started = readClocks(clock)
  const files = storeFiles(directory)
  yield* examinePlace(directory, files, options)
  const database = openRegistry(files)
  const backend = await openBackend(files, options)
  if (isFinding(database)) {
    yield (await exists(files.registry)) ? database : missingRegistry(directory, !isFinding(backend))
    return
  }
  try {
    yield* examineOpened({ registry: files.registry, database, session: new Session(database.dialect, database.reader), backend, clock, started })
  } finally {
    database.close()
    if (!isFinding(backend)) await backend.close()
  }
}

async function* examinePlace(directory: string, files: StoreFiles, options: ExaminationOptions): AsyncGenerator<Finding, void, undefined> {
  if (!(await exists(directory))) return
  yield* guarded('permissions', () => examinePermissions(directory, files))
  yield* guarded('space', () => examineSpace(files))
  if (options.measureFlushes !== false) yield* guarded('flushes', () => examineFlushes(files))
}

interface Subject {
  /** The file. */
  readonly registry: string
  readonly database: SqliteReader
  readonly session: Session
  readonly backend: Backend | Finding
  readonly clock: Clock
  readonly started: ReturnType<typeof readClocks>
}

async function* examineOpened({ registry, database, session, backend, clock, started }: Subject): AsyncGenerator<Finding, void, undefined> {
  yield* guarded('settings', () => examineSettings(registry, database))
  const identity = await identityOf(session)
  if (isFinding(identity)) {
    yield identity
    return
  }
  const { storeId, logId, createdAt } = identity
  const problem = isFinding(backend) ? backend : await markerProblem(backend, storeId)
  yield problem ?? { check: 'store', status: 'ok', observed: `store ${storeId}, made ${createdAt}; registry and objects belong together` }
  yield* guarded('writers', () => examineWriters(session))
  if (problem === undefined && !isFinding(backend)) {
    yield* guarded('objects', () => examineObjects(session, backend, storeId))
    yield* guarded('log', () => examineLog({ reader: session, backend, storeId, logId }, clock.now()))
  }
  yield* guarded('references', () => examineReferences(session))
  yield* guarded('counters', () => examineCounters(session))
  yield* guarded('damage', () => examineDamage(session, clock.now()))
  yield* guarded('drafts', () => examineDrafts(session, clock.now()))
  yield* guarded('uploads', () => examineUploads(session))
  yield* guarded('reviews', () => examineReviews(session))
  yield* guarded('clock', () => examineClock(session, started, clock))
}

/** A check that cannot be made is told, and the others go on. */
async function* guarded(check: string, run: () => Promise<Finding | readonly Finding[]>): AsyncGenerator<Finding, void, undefined> {
  try {
    const found = await run()
    if (isFinding(found)) yield found
    else yield* found
  } catch (error) {
    yield { check, status: 'fail', observed: `this could not be examined: ${messageOf(error)}`, advice: adviceOf(error) }
  }
}

function openRegistry(files: StoreFiles): SqliteReader | Finding {
  try {
    return openSqliteReader(files.registry)
  } catch (error) {
    return { check: 'store', status: 'fail', observed: `the registry cannot be opened: ${messageOf(error)}`, advice: adviceOf(error) }
  }
}

async function openBackend(files: StoreFiles, options: ExaminationOptions): Promise<Backend | Finding> {
  try {
    return options.backend ?? (await openFileSystemBackend(files.objects))
  } catch (error) {
    const advice = 'If its disk is not mounted, mount it. If the folder was moved, move it back. Do not make an empty one in its place.'
    return { check: 'store', status: 'fail', observed: messageOf(error), advice }
  }
}

function missingRegistry(directory: string, hasObjects: boolean): Finding {
  if (!hasObjects) {
    const advice = 'If its disk is not mounted, mount it. To make a new store: artifact-store init.'
    return { check: 'store', status: 'fail', observed: `there is no store in ${directory}`, advice }
  }
  const advice = 'If you have the registry (registry.db), put it back. Otherwise rebuild it from the objects: artifact-store recover.'
  return { check: 'store', status: 'fail', observed: `the objects of a store are in ${directory}, but its registry is not`, advice }
}

async function identityOf(session: Session): Promise<StoreIdentity | Finding> {
  try {
    return await readIdentity(session)
  } catch (error) {
    const advice =
      error instanceof StoreMissingError
        ? 'If nothing was stored in it yet, remove the folder and begin again: artifact-store init. Otherwise put the right registry in its place.'
        : adviceOf(error)
    return { check: 'store', status: 'fail', observed: messageOf(error), advice }
  }
}

async function markerProblem(backend: Backend, storeId: string): Promise<Finding | undefined> {
  try {
    await checkMarker(backend, storeId)
    return undefined
  } catch (error) {
    return {
      check: 'store',
      status: 'fail',
      observed: messageOf(error),
      advice: 'Put the objects folder that belongs to this registry in its place, or the registry that belongs to these objects.',
    }
  }
}

function isFinding(value: object): value is Finding {
  return 'check' in value && 'status' in value
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function adviceOf(error: unknown): string {
  if (!(error instanceof StoreError)) return 'This is unexpected; please report it.'
  if (error.code === 'version_unsupported') return 'Use the release that wrote it, or a newer one.'
  if (error.code === 'damaged') return 'Keep a copy of the registry, then rebuild it from the objects: artifact-store recover.'
  return error.retryable ? 'Try again; if it stays, check the disk, its permissions and its mount.' : 'See what the other checks say.'
}
