import { DigestStream, sha256Digest } from '../core/digest.ts'
import { StoreMismatchError } from '../core/errors.ts'
import { verifyChunks } from '../data-plane/batch-reader.ts'
import { CODEC, ENTRY_KIND, type PackEntry } from '../data-plane/pack-format.ts'
import { type PackPart, readPack } from '../data-plane/pack-reader.ts'
import { decodePlacement, decodeRecipe, type PlacementRecord } from '../data-plane/pack-records.ts'
import { BlockChecksums } from '../data-plane/whole-object.ts'
import { type Backend, type ObjectInfo, type ObjectKey, parseObjectKey } from '../ports/backend.ts'
import type { ChunkLocation, Placement } from '../ports/data-plane.ts'
import { blockChecksums, findLiveChunk, locateChunk, nameChunk } from '../registry/chunks.ts'
import { quarantineChunk } from '../registry/quarantine.ts'
import { insertFoundObject } from '../registry/recovery.ts'
import type { Registry } from '../registry/registry.ts'
import type { Session } from '../registry/statement.ts'
import { composeBlob, RecipeCollection } from './recipe-recovery.ts'

/** Rows of one transaction. */
const ROWS_PER_COMMIT = 500

/** What a scan of the objects found. */
export interface ObjectScan {
  readonly packs: number
  readonly wholeObjects: number
  readonly chunks: number
  /** Manifests that lie in packs, by digest. */
  readonly manifests: ReadonlySet<string>
  /** Packs without an end: their writer did not close them. */
  readonly unsealed: number
  /** Places that cannot be understood. */
  readonly damage: readonly { readonly key: ObjectKey; readonly reason: string }[]
}

/** A scan, and the objects that packs tell of but that are not there: lost, or collected when nothing needed their bytes any more. */
export type ObjectFindings = ObjectScan & { readonly gone: readonly { readonly key: ObjectKey; readonly digest: Uint8Array }[] }

/** Bytes and where they were found. */
interface FoundCopy {
  readonly digest: Uint8Array
  readonly size: number
  readonly placement: Placement
}

/** Rebuilds the physical tables from the objects of a store. */
export class ObjectRecovery {
  readonly #backend: Backend
  readonly #registry: Registry
  readonly #storeId: string
  readonly #manifests = new Set<string>()
  readonly #damage: { readonly key: ObjectKey; readonly reason: string }[] = []
  readonly #gone: { readonly key: ObjectKey; readonly digest: Uint8Array }[] = []
  /** Objects that are no packs. */
  readonly #unknown: ObjectInfo[] = []
  /** More places of bytes that have one: two writers stored them, or they were stored again because the first copy is damaged. */
  readonly #copies: FoundCopy[] = []
  /** Segments of a placement that has not come to its end, and recipes, which need all chunks first. */
  readonly #placements = new Map<string, Map<number, PlacementRecord>>()
  /** Keys of whole objects that a placement tells of. */
  readonly #placed = new Set<string>()
  /** What does not start as a pack: whole objects, and packs whose first bytes are damaged. */
  readonly #headless: ObjectInfo[] = []
  readonly #recipes = new RecipeCollection()
  #packs = 0
  #wholeObjects = 0
  #chunks = 0
  #unsealed = 0

  constructor(backend: Backend, registry: Registry, storeId: string) {
    this.#backend = backend
    this.#registry = registry
    this.#storeId = storeId
  }

  async run(): Promise<ObjectFindings> {
    for await (const object of this.#backend.list(`${this.#storeId}/`)) {
      const isOther = object.key.startsWith(`${this.#storeId}/log/`) || object.key === `${this.#storeId}/marker`
      if (!isOther) await this.#object(object)
    }
    for (const object of this.#headless) if (!this.#placed.has(object.key)) await this.#headlessObject(object)
    // Once every pack has told of the whole objects it knows.
    for (const object of this.#unknown) if (!this.#placed.has(object.key)) await this.#identify(object)
    for (const copy of this.#copies) await this.#preferSound(copy)
    for (const found of this.#recipes.all()) await composeBlob(this.#registry, found)
    return {
      packs: this.#packs,
      wholeObjects: this.#wholeObjects,
      chunks: this.#chunks,
      manifests: this.#manifests,
      unsealed: this.#unsealed,
      damage: this.#damage,
      gone: this.#gone,
    }
  }

  async #object(object: ObjectInfo): Promise<void> {
    const parts = this.#partsOf(object)
    const first = await firstOf(parts)
    if (first === undefined || isHeadless(first)) {
      await parts.return()
      this.#headless.push(object)
      return
    }
    await this.#pack(object, startingWith(first, parts))
  }

  /** A pack holds entries, whatever became of its first bytes; anything else is the content of some blob whose placement is lost. */
  async #headlessObject(object: ObjectInfo): Promise<void> {
    const parts = this.#partsOf(object)
    for await (const part of parts) {
      if (part.kind !== 'entry') continue
      this.#damage.push({ key: object.key, reason: 'the beginning of the pack is damaged' })
      await this.#pack(object, startingWith(part, parts))
      return
    }
    this.#unknown.push(object)
  }

  /** What an object holds says which blob it is. */
  async #identify({ key, size }: ObjectInfo): Promise<void> {
    const digest = new DigestStream()
    const checksums = new BlockChecksums()
    for await (const piece of this.#backend.get(key)) {
      digest.update(piece)
      checksums.update(piece)
    }
    await this.#nameWhole(digest.raw(), key, size, checksums.finish())
  }

  #partsOf(object: ObjectInfo): AsyncGenerator<PackPart, void, undefined> {
    const wants = ({ kind }: PackEntry): boolean => kind === ENTRY_KIND.placement || kind === ENTRY_KIND.recipe
    return readPack(this.#backend, object.key, { storeId: this.#storeId, wants })
  }

  async #pack({ key, size }: ObjectInfo, parts: AsyncIterable<PackPart>): Promise<void> {
    this.#packs += 1
    const objectId = await this.#registry.write('recover-object', (session) => insertFoundObject(session, { key, kind: 'pack', size, entries: 0 }))
    let entries: PackEntry[] = []
    for await (const part of parts) {
      if (part.kind === 'damage') this.#damage.push({ key, reason: part.reason.message })
      if (part.kind === 'tail') this.#unsealed += 1
      if (part.kind !== 'entry') continue
      const { kind } = part.entry
      if (kind === ENTRY_KIND.chunk || kind === ENTRY_KIND.manifest) entries.push(part.entry)
      else if (part.payload !== undefined) await this.#record(part.entry, part.payload)
      if (entries.length < ROWS_PER_COMMIT) continue
      await this.#name(objectId, entries)
      entries = []
    }
    await this.#name(objectId, entries)
  }

  async #name(objectId: number, entries: readonly PackEntry[]): Promise<void> {
    if (entries.length === 0) return
    await this.#registry.write('recover-chunks', async (session) => {
      for (const { digest, rawLength, offset, storedLength, codec } of entries) {
        const placement = { objectId, kind: 'pack', offset, storedLength, codec: codec === CODEC.zstd ? 'zstd' : 'raw' } as const
        await this.#nameFirst(session, { digest, size: rawLength, placement })
      }
    })
    this.#chunks += entries.length
    for (const { kind, digest } of entries) if (kind === ENTRY_KIND.manifest) this.#manifests.add(sha256Digest(digest))
  }

  async #record(entry: PackEntry, payload: Uint8Array): Promise<void> {
    if (entry.kind === ENTRY_KIND.recipe) {
      this.#recipes.add(this.#packs, entry.digest, decodeRecipe(payload))
      return
    }
    const record = decodePlacement(payload)
    // A pack that was rewritten and the new one say the same, until the old one is deleted.
    if (this.#placed.has(record.key)) return
    const known = this.#placements.get(record.key) ?? new Map<number, PlacementRecord>()
    known.set(record.segment, record)
    this.#placements.set(record.key, known)
    if (known.size < record.segments) return
    this.#placements.delete(record.key)
    await this.#place(entry.digest, record, [...known.values()])
  }

  async #place(digest: Uint8Array, { key, size, content }: PlacementRecord, segments: readonly PlacementRecord[]): Promise<void> {
    this.#placed.add(key)
    const found = await this.#backend.head(key)
    if (found === undefined) {
      this.#gone.push({ key, digest })
      return
    }
    if (found.size !== size) {
      this.#damage.push({ key, reason: `the object has ${found.size} bytes instead of ${size}` })
      return
    }
    const checksums = Buffer.concat(segments.toSorted((left, right) => left.segment - right.segment).map((segment) => segment.checksums))
    await this.#nameWhole(digest, key, size, checksums)
    if (content === 'manifest') this.#manifests.add(sha256Digest(digest))
  }

  async #nameWhole(digest: Uint8Array, key: ObjectKey, size: number, checksums: Uint8Array): Promise<void> {
    await this.#registry.write('recover-whole', async (session) => {
      const objectId = await insertFoundObject(session, { key, kind: 'whole', size, entries: 1 })
      await this.#nameFirst(session, { digest, size, placement: { objectId, kind: 'whole', offset: 0, storedLength: size, codec: 'raw', checksums } })
    })
    this.#wholeObjects += 1
    this.#chunks += 1
  }

  async #nameFirst(session: Session, copy: FoundCopy): Promise<void> {
    if ((await findLiveChunk(session, copy.digest)) === undefined) await nameChunk(session, copy.digest, copy.size, copy.placement)
    else this.#copies.push(copy)
  }

  /** Of several copies the first one counts that is what it should be. */
  async #preferSound({ digest, size, placement }: FoundCopy): Promise<void> {
    const { reader } = this.#registry
    const place = await locateChunk(reader, digest)
    if (place?.key === undefined) return
    const { id, key } = place
    const chunk: ChunkLocation = { ...place, digest, key: parseObjectKey(key), checksums: (segment) => blockChecksums(reader, id, segment) }
    const [verified] = await Array.fromAsync(verifyChunks(this.#backend, [chunk], undefined))
    const reason = verified?.problem?.message
    await this.#registry.write('recover-copy', async (session) => {
      if (reason !== undefined) await quarantineChunk(session, { digest, key, reason })
      await nameChunk(session, digest, size, placement)
    })
  }
}

async function* startingWith(first: PackPart, rest: AsyncIterable<PackPart>): AsyncGenerator<PackPart, void, undefined> {
  yield first
  yield* rest
}

/** @returns undefined when there is none, or when the object says that it is another's pack (some file's content may) */
async function firstOf(parts: AsyncIterator<PackPart, void>): Promise<PackPart | undefined> {
  try {
    const first = await parts.next()
    return first.done === true ? undefined : first.value
  } catch (error) {
    if (error instanceof StoreMismatchError) return undefined
    throw error
  }
}

function isHeadless(first: PackPart): boolean {
  return first.kind === 'damage' && first.start === 0
}
