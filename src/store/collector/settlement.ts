import { ObjectMissingError, StoreError } from '../../core/errors.ts'
import type { PackContents, PackedEntry } from '../../ports/data-plane.ts'
import {
  type FreePack,
  leavePack,
  listNamedPlaces,
  listQuarantinedPlaces,
  listUnsettledPacks,
  type NamedPlace,
  settlePack,
} from '../../registry/compaction.ts'
import { eraseDateOf, insertCondemnedCopy } from '../../registry/condemned.ts'
import { quarantineChunk } from '../../registry/quarantine.ts'
import type { Session } from '../../registry/statement.ts'
import { chunkCodec } from '../../registry/tables.ts'
import type { CollectionWork } from './collection-work.ts'

const PAGE = 100
const ROWS_PER_COMMIT = 500

/**
 * Looks, once, through packs whose writers have let go of them: entries that were written and never named (by a crash, a package that was given up)
 * get a row as dead ones. From then on the registry knows all that lies in a pack, so that bytes which are said to be gone are gone.
 */
export async function settlePacks(work: CollectionWork): Promise<number> {
  let settled = 0
  for (let after = 0; ;) {
    const page = await listUnsettledPacks(work.context.registry.reader, after, PAGE)
    for (const pack of page) {
      if (!(await work.mayGoOn())) return settled
      try {
        if (await settle(work, pack)) settled += 1
      } catch (error) {
        if (!(error instanceof StoreError) || error.retryable) throw error
        work.problem(`pack ${pack.key} cannot be looked through`, error)
      }
      work.progress('settle', 1)
    }
    const last = page.at(-1)
    if (last === undefined) return settled
    after = last.id
  }
}

async function settle(work: CollectionWork, pack: FreePack): Promise<boolean> {
  const contents = await contentsOf(work, pack)
  const named = await namedPlaces(work, pack)
  await quarantineUnread(work, pack, contents, named)
  const spared = new Set(await listQuarantinedPlaces(work.context.registry.reader, pack.id))
  const unnamed = contents.entries.filter(
    ({ kind, offset }) => (kind === 'chunk' || kind === 'manifest') && !named.has(offset) && !spared.has(offset),
  )
  for (let start = 0; start < unnamed.length; start += ROWS_PER_COMMIT) {
    await work.write('unnamed', (session) => nameDead(session, pack, unnamed.slice(start, start + ROWS_PER_COMMIT)))
  }
  const facts = { size: contents.size, entries: contents.isComplete ? contents.entries.length : 0 }
  return work.write('settled', async (session) => {
    const isSettled = await settlePack(session, pack.id, facts)
    // Nothing was ever written: not even the object need be there.
    if (isSettled && contents.entries.length === 0) await leavePack(session, pack.id)
    return isSettled
  })
}

/** An object that is not there holds nothing; if rows say otherwise, that is for `doctor` to tell. */
async function contentsOf({ context }: CollectionWork, { key }: FreePack): Promise<PackContents> {
  try {
    return await context.dataPlane.contents(key)
  } catch (error) {
    if (error instanceof ObjectMissingError) return { size: 0, isComplete: false, entries: [], damage: [] }
    throw error
  }
}

/** The places in a pack that have a row, by their offsets. */
export async function namedPlaces({ context }: CollectionWork, { id }: FreePack): Promise<Map<number, NamedPlace>> {
  const places = new Map<number, NamedPlace>()
  for (let after = -1; ;) {
    const page = await listNamedPlaces(context.registry.reader, id, after, ROWS_PER_COMMIT)
    for (const place of page) if (place.live || !places.has(place.offset)) places.set(place.offset, place)
    const last = page.at(-1)
    if (last === undefined || page.length < ROWS_PER_COMMIT) return places
    after = last.offset
  }
}

/** What lives in a pack but is not among its entries cannot be moved, and is damaged: its place is kept. */
export async function quarantineUnread(
  work: CollectionWork,
  { key }: FreePack,
  contents: PackContents,
  named: ReadonlyMap<number, NamedPlace>,
): Promise<number> {
  const readable = new Set(contents.entries.map(({ offset }) => offset))
  const lost = [...named.values()].filter(({ offset, live }) => live && !readable.has(offset))
  for (const { digest } of lost) {
    await work.write('damaged', (session) => quarantineChunk(session, { digest, key, reason: 'there is no entry where these bytes should be' }))
  }
  return lost.length
}

async function nameDead(session: Session, { id }: FreePack, entries: readonly PackedEntry[]): Promise<void> {
  for (const { digest, size, offset, storedLength: stored, codec } of entries) {
    const within = await eraseDateOf(session, digest)
    await insertCondemnedCopy(session, { digest, size, object: id, offset, stored, codec: chunkCodec[codec] }, within)
  }
}
