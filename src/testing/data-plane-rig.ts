import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { lstatSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { uuidv7 } from '../core/uuid.ts'
import type { StoreError } from '../core/errors.ts'
import { parseObjectKey } from '../ports/backend.ts'
import type { Backend, ObjectKey } from '../ports/backend.ts'
import type {
  Allocation,
  ChunkLocation,
  DataPlane,
  DataPlaneHost,
  Ingested,
  IngestItem,
  ObjectKind,
  Placement,
  Resolve,
} from '../ports/data-plane.ts'

/** How the suite gets data planes to try. */
export interface DataPlaneHarness {
  /** A new, empty backend for one test; what it needs to clean up goes to `t.after`. */
  readonly backend: (t: TestContext) => Promise<Backend>
  /** A data plane over it. Several are opened over one backend, one after the other and at the same time. */
  readonly open: (parts: DataPlaneParts) => Promise<DataPlane>
}

/** What a data plane is opened with. */
export interface DataPlaneParts {
  readonly backend: Backend
  readonly host: DataPlaneHost
  readonly storeId: string
}

/** What a case of the suite works with. Everything is closed after it. */
export interface DataPlaneCase {
  readonly t: TestContext
  readonly backend: Backend
  readonly storeId: string
  readonly host: TestHost
  readonly plane: DataPlane
  /** Another data plane over the same backend, or over a wrapped one. */
  readonly open: (backend?: Backend, host?: DataPlaneHost) => Promise<DataPlane>
}

/** Declares a case as a test of its own. */
export type CheckDataPlane = (behaviour: string, body: (found: DataPlaneCase) => Promise<void>) => void

/** A store that gives out keys and remembers what it is told. */
export class TestHost implements DataPlaneHost {
  readonly storeId: string
  readonly kinds: Map<number, ObjectKind> = new Map()
  readonly sealedPacks: Map<number, { readonly size: number; readonly entries: number }> = new Map()
  readonly droppedObjects: Set<number> = new Set()
  readonly failures: StoreError[] = []
  readonly #keys: ObjectKey[] = []

  constructor(storeId: string = randomUUID()) {
    this.storeId = storeId
  }

  async allocate(kind: ObjectKind): Promise<Allocation> {
    const objectId = this.#keys.push(parseObjectKey(`${this.storeId}/writer/${uuidv7()}`))
    this.kinds.set(objectId, kind)
    return { objectId, key: this.keyOf(objectId) }
  }

  async sealed(objectId: number, facts: { readonly size: number; readonly entries: number }): Promise<void> {
    assert.ok(!this.sealedPacks.has(objectId), 'a pack is sealed once')
    this.sealedPacks.set(objectId, facts)
  }

  async dropped(objectId: number): Promise<void> {
    assert.equal(this.kinds.get(objectId), 'whole')
    this.droppedObjects.add(objectId)
  }

  failed(error: StoreError): void {
    this.failures.push(error)
  }

  keyOf(objectId: number): ObjectKey {
    const key = this.#keys[objectId - 1]
    assert.ok(key !== undefined)
    return key
  }

  /** What a registry would answer for a blob that was placed. */
  locate(stored: StoredBlob): ChunkLocation {
    const { placement, digest, size } = stored
    const { objectId, checksums, ...place } = placement
    const location = { ...place, digest, size, key: this.keyOf(objectId) }
    return checksums === undefined
      ? location
      : { ...location, checksums: async (segment) => checksums.subarray(segment * 4096, (segment + 1) * 4096) }
  }
}

/** An outcome with a place. */
export interface StoredBlob {
  readonly index: number
  readonly digest: Uint8Array
  readonly size: number
  readonly placement: Placement
}

/** Answers that nothing exists yet. */
export const nothingHeld: Resolve = async (blobs) => blobs.map(() => false)

/** Ingests and returns the outcomes in the order of the items; each must be there exactly once. */
export async function ingest(
  plane: DataPlane,
  items: AsyncIterable<IngestItem> | Iterable<IngestItem>,
  resolve: Resolve = nothingHeld,
): Promise<readonly Ingested[]> {
  const outcomes: Ingested[] = []
  for await (const batch of plane.ingestMany(items, { resolve })) outcomes.push(...batch)
  outcomes.sort((a, b) => a.index - b.index)
  outcomes.forEach((outcome, index) => assert.equal(outcome.index, index, 'every item has one outcome'))
  return outcomes
}

/** Ingests what must succeed and be new. */
export async function store(plane: DataPlane, items: Iterable<IngestItem>): Promise<readonly StoredBlob[]> {
  const outcomes = await ingest(plane, items)
  return outcomes.map(stored)
}

/** The outcome, which must be a placed blob. */
export function stored(outcome: Ingested | undefined): StoredBlob {
  assert.ok(outcome !== undefined)
  if ('error' in outcome) throw outcome.error
  const { placement, ...blob } = outcome
  assert.ok(placement !== undefined, 'the blob was placed')
  return { ...blob, placement }
}

/** The error of an outcome, which must have one. */
export function failure(outcome: Ingested | undefined): StoreError {
  assert.ok(outcome !== undefined && 'error' in outcome, 'the item failed')
  return outcome.error
}

/** Everything that is read of a blob. */
export async function readAll(
  plane: DataPlane,
  chunks: readonly ChunkLocation[],
  range: { readonly start?: number; readonly end?: number } = {},
): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of plane.read(chunks, range)) {
    assert.ok(piece.length <= 2 * 1024 * 1024, 'pieces are at most 2 MiB')
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

/** Bytes as an item. */
export function bytesItem(bytes: Uint8Array, more: Partial<IngestItem> = {}): IngestItem {
  return { source: { kind: 'bytes', bytes }, ...more }
}

/** Bytes as a stream that comes in pieces and uses its memory again. */
export function streamItem(bytes: Uint8Array, pieceLength: number = 300_007, more: Partial<IngestItem> = {}): IngestItem {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    const memory = new Uint8Array(pieceLength)
    for (let offset = 0; offset < bytes.length; offset += pieceLength) {
      const piece = bytes.subarray(offset, offset + pieceLength)
      memory.set(piece)
      yield memory.subarray(0, piece.length)
      memory.fill(0)
    }
  }
  return { source: { kind: 'stream', stream: pieces() }, ...more }
}

/** A file as it is now. */
export function fileItem(path: string | Buffer, more: Partial<IngestItem> = {}): IngestItem {
  const { ino, size, mtimeNs, ctimeNs } = lstatSync(path, { bigint: true })
  return { source: { kind: 'file', path, fingerprint: { ino, size, mtimeNs, ctimeNs } }, ...more }
}

/** The 32 bytes of a digest. */
export function sha256Of(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

/** Changes the stored bytes of an object behind the data plane's back. */
export async function tamper(backend: Backend, key: ObjectKey, change: (bytes: Buffer) => Uint8Array | undefined): Promise<void> {
  const pieces: Uint8Array[] = []
  for await (const piece of backend.get(key)) pieces.push(piece)
  const changed = change(Buffer.concat(pieces))
  await backend.delete(key)
  if (changed !== undefined) await backend.put(key, [changed])
}
