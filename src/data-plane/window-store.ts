import { Buffer } from 'node:buffer'
import type { Ingested, Placement, Resolve } from '../ports/data-plane.ts'
import { bytesOf } from './ingest-window.ts'
import type { HashedBlob, HashedWindow } from './ingest-window.ts'
import type { NewEntry } from './pack-builder.ts'
import { CODEC, ENTRY_KIND } from './pack-format.ts'
import type { EntryPlace, PackSink } from './pack-writer.ts'

/** Where bytes were put that the registry may not know of yet, and the packs that must be flushed for them. */
export interface RecentPlacement {
  readonly placement: Placement
  readonly packs: ReadonlySet<number>
}

/**
 * What a call has placed and its consumer has not yet recorded, by digest, so that the same bytes a window later are not stored twice. Bounded by
 * the windows in the works.
 */
export class RecentPlacements {
  readonly #placements = new Map<string, RecentPlacement>()

  get(digest: Uint8Array): RecentPlacement | undefined {
    return this.#placements.get(digestKey(digest))
  }

  set(digest: Uint8Array, recent: RecentPlacement): void {
    this.#placements.set(digestKey(digest), recent)
  }

  /** The registry knows them now. */
  forget(outcomes: readonly Ingested[]): void {
    for (const outcome of outcomes) if ('digest' in outcome) this.#placements.delete(digestKey(outcome.digest))
  }
}

/** A digest as the key of a map. */
function digestKey(digest: Uint8Array): string {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString('latin1')
}

/** Outcomes that count once the packs are flushed. */
export interface Appended {
  readonly outcomes: readonly Ingested[]
  readonly packs: ReadonlySet<number>
}

/** Stores what a window holds and nobody has yet: asks, compresses, appends. Equal bytes are stored once. */
export async function appendWindow(window: HashedWindow, sink: PackSink, resolve: Resolve, recent: RecentPlacements): Promise<Appended> {
  const groups = [...Map.groupBy(window.blobs, (blob) => digestKey(blob.digest)).values()].flatMap(([first, ...others]) =>
    first === undefined ? [] : [{ first, all: [first, ...others] }],
  )
  // Looked up before asking: what the consumer records meanwhile is dropped here, and then the answer may not know it yet.
  const known = groups.map(({ first }) => recent.get(first.digest))
  const held = groups.length === 0 ? [] : await resolve(groups.map(({ first }) => ({ index: first.index, digest: first.digest, size: first.size })))
  const missing = groups.filter((_, position) => held[position] !== true && known[position] === undefined)
  const placed = await appendBlobs(
    window,
    missing.map(({ all }) => all),
    sink,
  )
  const packs = new Set<number>()
  const outcomes = groups.flatMap(({ first, all }, position): readonly Ingested[] => {
    const found = held[position] === true ? undefined : (known[position] ?? placed.get(first))
    for (const pack of found?.packs ?? []) packs.add(pack)
    if (found !== undefined) recent.set(first.digest, found)
    return all.map(({ index, digest, size }) => ({ index, digest, size, placement: found?.placement }))
  })
  return { outcomes: [...outcomes, ...window.refused], packs }
}

async function appendBlobs(
  window: HashedWindow,
  groups: readonly (readonly HashedBlob[])[],
  sink: PackSink,
): Promise<ReadonlyMap<HashedBlob, RecentPlacement>> {
  const blobs = groups.flatMap(([first]) => (first === undefined ? [] : [first]))
  if (blobs.length === 0) return new Map()
  sink.prepare()
  const compressed = await window.compress(blobs)
  const entries = blobs.map((blob, position): NewEntry => {
    // Found again by kind when a registry is recovered, so one manifest among equal bytes decides.
    const isManifest = groups[position]?.some(({ item }) => item.content === 'manifest') === true
    const kind = isManifest ? ENTRY_KIND.manifest : ENTRY_KIND.chunk
    const stored = compressed[position]
    return { kind, codec: stored === undefined ? CODEC.raw : CODEC.zstd, rawLength: blob.size, digest: blob.digest, stored: stored ?? bytesOf(blob) }
  })
  const places = await sink.append(entries)
  return new Map(
    blobs.flatMap((blob, position) => {
      const [entry, place] = [entries[position], places[position]]
      return entry === undefined || place === undefined ? [] : [[blob, { placement: placementOf(entry, place), packs: new Set([place.objectId]) }]]
    }),
  )
}

function placementOf(entry: NewEntry, { objectId, offset }: EntryPlace): Placement {
  return { objectId, kind: 'pack', offset, storedLength: entry.stored.length, codec: entry.codec === CODEC.zstd ? 'zstd' : 'raw' }
}

/** What a flush must cover. */
export function packsOf(places: readonly EntryPlace[]): ReadonlySet<number> {
  return new Set(places.map(({ objectId }) => objectId))
}
