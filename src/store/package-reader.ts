import type { Verb } from '../core/access.ts'
import { type Digest, parseDigest, rawSha256, sha256Digest } from '../core/digest.ts'
import { DamagedError, NotFoundError, ObjectMissingError, StoreError } from '../core/errors.ts'
import { type ParsedManifest, parseManifest } from '../core/manifest.ts'
import { type PackageDocument, parsePackageDocument } from '../core/package-document.ts'
import { parseReference } from '../core/name.ts'
import { type ObjectKey, parseObjectKey } from '../ports/backend.ts'
import type { BlobLocation, ChunkLocation } from '../ports/data-plane.ts'
import { blockChecksums, locateChunk, type ChunkPlace } from '../registry/chunks.ts'
import { findPackage, findPackageByManifest, findTombstone, getPackage, type PackageRow } from '../registry/packages.ts'
import { quarantineChunk, releaseChunk } from '../registry/quarantine.ts'
import { listRecipe } from '../registry/recipes.ts'
import { findRepository } from '../registry/repositories.ts'
import { packageStatus } from '../registry/tables.ts'
import { findTag } from '../registry/tags.ts'
import { authorize } from './authorization.ts'
import type { StoreContext } from './context.ts'
import { assertThere } from './tombstone.ts'

/** A manifest or document is at most this long. */
const LARGEST_DOCUMENT = 4 * 1024 * 1024

/** A chunk where the registry says it lies. */
export interface LocatedChunk extends ChunkLocation {
  /** An earlier read found other bytes there. */
  readonly damaged: boolean
}

/** Finds packages and the bytes they are made of. */
export class PackageReader {
  readonly #context: StoreContext

  constructor(context: StoreContext) {
    this.#context = context
  }

  /**
   * Finds a package that is there and that the caller may do this to.
   * @throws NotFoundError, also for what the caller may not read; PurgedError for what was deleted; ForbiddenError; NameInvalidError
   */
  async resolve(ref: string, verb: Verb = 'read'): Promise<PackageRow> {
    const found = await this.find(ref, verb)
    assertThere(found)
    return found
  }

  /**
   * Finds a package, also one that was deleted; a tag leads only to what is there.
   * @throws NotFoundError, also for what the caller may not read; ForbiddenError; NameInvalidError
   */
  async find(ref: string, verb: Verb = 'read'): Promise<PackageRow> {
    const missing = (): NotFoundError => new NotFoundError(`no package '${ref}'`, { detail: { ref } })
    const found = await this.#find(ref)
    if (found === undefined) throw missing()
    await authorize(this.#context, verb, found.repository, missing)
    return found
  }

  async #find(ref: string): Promise<PackageRow | undefined> {
    const { reader } = this.#context.registry
    const reference = parseReference(ref)
    if (reference.kind === 'id') return findPackage(reader, reference.id)
    const repository = await findRepository(reader, reference.repository)
    if (repository === undefined) return undefined
    if (reference.kind === 'digest') {
      const digest = rawSha256(reference.digest)
      return (await findPackageByManifest(reader, repository.id, digest)) ?? findTombstone(reader, repository.id, digest)
    }
    const tagged = await findTag(reader, repository.id, reference.tag)
    const row = tagged === undefined ? undefined : await getPackage(reader, tagged)
    return row?.status === packageStatus.finalized ? row : undefined
  }

  document(row: PackageRow): Promise<PackageDocument> {
    return this.readDocument(sha256Digest(row.document_digest))
  }

  async readDocument(digest: Digest): Promise<PackageDocument> {
    return parsePackageDocument(await this.readSmall(digest))
  }

  /** The manifest of a package or of a child, parsed. */
  async manifest(digest: Digest): Promise<ParsedManifest> {
    const { manifests } = this.#context
    const known = manifests.get(digest)
    if (known !== undefined) return known
    const bytes = await this.readSmall(digest)
    const manifest = parseManifest(bytes)
    manifests.add(digest, manifest, bytes.length)
    return manifest
  }

  /** Reads a blob whole that is known to be small: a manifest or a document. */
  async readSmall(digest: Digest): Promise<Uint8Array> {
    const location = await this.locate(digest)
    const size = location.reduce((sum, chunk) => sum + chunk.size, 0)
    if (size > LARGEST_DOCUMENT) throw new DamagedError(`${digest} should be a document but has ${size} bytes`)
    const pieces: Uint8Array[] = []
    for await (const piece of this.read(digest, location)) pieces.push(piece)
    return Buffer.concat(pieces)
  }

  /**
   * Streams a blob, or a part of it (`end` exclusive). Goes on elsewhere when what it reads was moved and its pack deleted meanwhile. Damage that is met
   * is noted, so that the same bytes arriving again heal it.
   */
  async *read(
    digest: Digest,
    location: BlobLocation,
    range: { readonly start?: number; readonly end?: number; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let start = range.start ?? 0
    for (let at: BlobLocation | undefined = location; at !== undefined;) {
      try {
        for await (const piece of this.#context.dataPlane.read(at, { ...range, start })) {
          // Before it is handed out: then it is the caller's.
          start += piece.length
          yield piece
        }
        return
      } catch (error) {
        at = await this.#movedSince(error, digest)
        if (at !== undefined) continue
        await this.noteDamage(error, digest)
        throw error
      }
    }
  }

  /** Reads many blobs of one chunk each, as `DataPlane.readMany` does, with what {@link read} does about moves and damage. */
  async *readMany(
    blobs: readonly { readonly digest: Digest; readonly chunk: ChunkLocation }[],
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<
    { readonly index: number; readonly bytes: Uint8Array } | { readonly index: number; readonly error: StoreError },
    void,
    undefined
  > {
    const chunks = blobs.map(({ chunk }) => chunk)
    for await (const outcome of this.#context.dataPlane.readMany(chunks, options)) {
      const { index } = outcome
      const blob = blobs[index]
      if (blob === undefined) throw new TypeError(`the data plane answered for chunk ${index}, which it was not asked for`)
      yield 'bytes' in outcome ? outcome : await this.#readMoved(index, blob.digest, outcome.error, options)
    }
  }

  async #readMoved(
    index: number,
    digest: Digest,
    error: StoreError,
    options: { readonly signal?: AbortSignal },
  ): Promise<{ readonly index: number; readonly bytes: Uint8Array } | { readonly index: number; readonly error: StoreError }> {
    const location = await this.#movedSince(error, digest)
    if (location === undefined) {
      await this.noteDamage(error, digest)
      return { index, error }
    }
    try {
      return { index, bytes: Buffer.concat(await Array.fromAsync(this.read(digest, location, options))) }
    } catch (failure) {
      if (failure instanceof StoreError) return { index, error: failure }
      throw failure
    }
  }

  /**
   * Where the bytes of a blob lie now, if a read met an object that is gone because they were moved out of it. Keys are never used twice, so that a
   * reader who asks again comes to an end.
   */
  async #movedSince(error: unknown, digest: Digest): Promise<readonly LocatedChunk[] | undefined> {
    if (!(error instanceof ObjectMissingError)) return undefined
    const location = await ifReadable(this.locate(digest))
    return location?.some(({ key }) => key === error.detail['key']) === false ? location : undefined
  }

  /** The same for one chunk, wherever it is a part. */
  async movedChunk(problem: StoreError, chunk: LocatedChunk): Promise<LocatedChunk | undefined> {
    return (await this.#movedSince(problem, sha256Digest(chunk.digest)))?.[0]
  }

  /**
   * Takes chunks that turned out damaged out of deduplication and puts their places into quarantine. Never turns a failing read into another failure.
   */
  async noteDamage(error: unknown, digest: Digest): Promise<void> {
    if (!isDamage(error) || this.#context.readOnly() !== undefined) return
    const { digest: named, key } = error.detail
    if (typeof key !== 'string') return
    const damaged = typeof named === 'string' ? parseDigest(named) : digest
    const place = { digest: rawSha256(damaged), key, reason: error.message }
    await this.#context.registry.write('damaged', (session) => quarantineChunk(session, place)).catch(() => undefined)
  }

  /** Takes a chunk back into deduplication that was damaged and is what it should be again. Never makes a read fail. */
  async noteSound({ digest, key }: LocatedChunk): Promise<void> {
    if (this.#context.readOnly() !== undefined) return
    await this.#context.registry.write('sound', (session) => releaseChunk(session, { digest, key })).catch(() => undefined)
  }

  /** Where the bytes of a blob lie. @throws DamagedError when no row says it */
  async locate(digest: Digest): Promise<readonly LocatedChunk[]> {
    const place = await locateChunk(this.#context.registry.reader, rawSha256(digest))
    if (place === undefined) throw new DamagedError(`${digest} is named by a package but the store has no bytes for it`, { detail: { digest } })
    if (place.key !== undefined) return [this.#chunk(rawSha256(digest), place, parseObjectKey(place.key))]
    const recipe = await listRecipe(this.#context.registry.reader, place.id)
    const known = recipe.reduce((sum, part) => sum + part.size, 0)
    if (recipe.length === 0 || known !== place.size) {
      throw new DamagedError(
        `${digest} is lost: of its ${place.size} bytes the store knows where ${known} lie; store the same bytes again to heal it`,
        { detail: { digest } },
      )
    }
    return recipe.map((part) => {
      if (part.key === undefined) throw new DamagedError(`${digest} is composed of a chunk that lies nowhere`, { detail: { digest } })
      return this.#chunk(part.digest, part, parseObjectKey(part.key))
    })
  }

  #chunk(digest: Uint8Array, place: ChunkPlace, key: ObjectKey): LocatedChunk {
    const { size, kind, offset, storedLength, codec, damaged } = place
    const location = { digest, size, key, kind, offset, storedLength, codec, damaged }
    if (kind === 'pack') return location
    return { ...location, checksums: (segment) => blockChecksums(this.#context.registry.reader, place.id, segment) }
  }
}

/** Whether an error says that stored bytes are not what they were. */
export function isDamage(error: unknown): error is StoreError {
  return error instanceof DamagedError || error instanceof ObjectMissingError
}

/** What a read gives, or undefined when what it reads is damaged. */
export async function ifReadable<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isDamage(error)) return undefined
    throw error
  }
}
