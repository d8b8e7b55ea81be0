import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import { ObjectMissingError } from '../core/errors.ts'
import { parseObjectKey } from '../ports/backend.ts'
import type { Backend, ByteRange, ObjectKey } from '../ports/backend.ts'

/** What a case of the backend suite works with: an empty backend that is closed after it. */
export interface BackendCase {
  readonly backend: Backend
  readonly t: TestContext
}

/** Declares a case as a test of its own. */
export type CheckBackend = (behaviour: string, body: (found: BackendCase) => Promise<void>) => void

/** A key that was never used. */
export function newKey(): ObjectKey {
  return parseObjectKey(`store/session/${randomUUID()}`)
}

/** An object or a part of it, whole in memory. */
export async function read(backend: Backend, key: ObjectKey, range?: ByteRange): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of backend.get(key, range)) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** The keys of a listing. */
export async function keysOf(backend: Backend, prefix = '', after?: ObjectKey): Promise<readonly string[]> {
  const keys: string[] = []
  for await (const info of backend.list(prefix, after)) keys.push(info.key)
  return keys
}

/** The key names nothing and neither does any other. */
export async function assertNothing(backend: Backend, key: ObjectKey): Promise<void> {
  assert.equal(await backend.head(key), undefined)
  await assert.rejects(read(backend, key), ObjectMissingError)
  assert.deepEqual(await keysOf(backend), [])
}

/** For comparing large contents with a short message. */
export function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
