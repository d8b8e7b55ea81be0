import type { Backend, ObjectKey } from '../ports/backend.ts'

/** Reads an object that is known to be small. @throws ObjectMissingError, BackendFailedError */
export async function readWhole(backend: Backend, key: ObjectKey, limit?: number): Promise<Uint8Array> {
  return Buffer.concat(await Array.fromAsync(backend.get(key, limit === undefined ? undefined : { start: 0, end: limit })))
}
