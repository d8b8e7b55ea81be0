import { encodeCanonical, parseJson } from '../core/canonical-json.ts'
import { ObjectMissingError, StoreError, StoreMismatchError, StoreMissingError, VersionUnsupportedError } from '../core/errors.ts'
import { readObject, readSize, readString } from '../core/json-shape.ts'
import { type Backend, type ObjectKey, parseObjectKey } from '../ports/backend.ts'
import { SCHEMA_VERSION } from '../registry/migrations.ts'
import { getSetting } from '../registry/settings.ts'
import type { Session } from '../registry/statement.ts'
import { readWhole } from './read-whole.ts'

/** Version of what is laid out in a backend: keys, packs, log segments. */
const LAYOUT_VERSION = 1
const MARKER_FORMAT = 'artifact-store.marker.v1'
/** A marker is a short document. */
const LARGEST_MARKER = 4_096

/** What a registry says of its store. `createdAt`: RFC 3339. */
export interface StoreIdentity {
  readonly storeId: string
  readonly logId: string
  readonly createdAt: string
}

/**
 * Reads whose registry this is, without changing anything.
 * @throws VersionUnsupportedError when a newer release wrote it; StoreMissingError when nothing is in it; DamagedError
 */
export async function readIdentity(session: Session): Promise<StoreIdentity> {
  const read = async (name: Parameters<typeof getSetting>[1]): Promise<string> => {
    const value = await getSetting(session, name).catch((cause: unknown) => {
      throw cause instanceof StoreError ? cause : emptyRegistry(cause)
    })
    if (value === undefined) throw emptyRegistry()
    return value
  }
  const version = Number(await read('schema-version'))
  if (version > SCHEMA_VERSION) {
    throw new VersionUnsupportedError(
      `the registry has schema version ${version}; this release knows up to ${SCHEMA_VERSION}. Use the release that wrote it, or a newer one`,
      {
        detail: { found: version, known: SCHEMA_VERSION },
      },
    )
  }
  return { storeId: await read('store-id'), logId: await read('log-id'), createdAt: await read('created-at') }
}

function emptyRegistry(cause?: unknown): StoreMissingError {
  return new StoreMissingError('the registry is empty: making the store broke off, or this is another database', { cause })
}

/** The object that says whose backend this is. */
function markerKey(storeId: string): ObjectKey {
  return parseObjectKey(`${storeId}/marker`)
}

/** Marks a backend as this store's, once, before anything else is written. */
export async function writeMarker(backend: Backend, storeId: string, createdAt: string): Promise<void> {
  await backend.put(markerKey(storeId), [encodeCanonical({ format: MARKER_FORMAT, layout: LAYOUT_VERSION, storeId, createdAt })])
}

/**
 * Checks that the backend is the one this registry belongs to.
 * @throws StoreMismatchError when the marker is not there; VersionUnsupportedError when a newer release laid it out
 */
export async function checkMarker(backend: Backend, storeId: string): Promise<void> {
  const marker = await readMarker(backend, storeId)
  if (marker === undefined) {
    throw new StoreMismatchError(
      `the object store does not know store ${storeId}: its folder was emptied, replaced, or belongs to another store. Nothing was changed; put the right one back`,
      { detail: { storeId } },
    )
  }
  if (marker.format !== MARKER_FORMAT || marker.layout !== LAYOUT_VERSION) {
    throw new VersionUnsupportedError(
      `the object store has layout ${marker.format} ${marker.layout}; this release knows ${MARKER_FORMAT} ${LAYOUT_VERSION}`,
    )
  }
  if (marker.storeId !== storeId) throw new StoreMismatchError(`the object store's marker names store ${marker.storeId}, the registry ${storeId}`)
}

interface Marker {
  readonly format: string
  readonly layout: number
  readonly storeId: string
}

async function readMarker(backend: Backend, storeId: string): Promise<Marker | undefined> {
  try {
    const fields = readObject(parseJson(await readWhole(backend, markerKey(storeId), LARGEST_MARKER)), 'marker')
    return {
      format: readString(fields['format'], 'format'),
      layout: readSize(fields['layout'], 'layout'),
      storeId: readString(fields['storeId'], 'storeId'),
    }
  } catch (error) {
    if (error instanceof ObjectMissingError) return undefined
    throw error
  }
}
