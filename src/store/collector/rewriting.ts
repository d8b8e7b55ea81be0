import { DamagedError, LeaseLostError, ObjectMissingError, StoreError } from '../../core/errors.ts'
import { parseDigest, rawSha256 } from '../../core/digest.ts'
import type { MovedEntry, PackedEntry } from '../../ports/data-plane.ts'
import {
  type FreePack,
  isFreePack,
  isObjectKnown,
  isRecipeNeeded,
  leavePack,
  listOverduePacks,
  listSmallPacks,
  listWornPacks,
  moveChunk,
  type NamedPlace,
} from '../../registry/compaction.ts'
import { acquireNamedLease, releaseLease } from '../../registry/leases.ts'
import { quarantineChunk } from '../../registry/quarantine.ts'
import type { CollectionWork } from './collection-work.ts'
import { namedPlaces, quarantineUnread } from './settlement.ts'

const PAGE = 100
const ROWS_PER_COMMIT = 500
/** How long the claim to rewrite a pack lasts; only so that two do not do it for nothing. */
const CLAIM_MS = 300_000
/** Small packs are merged when there are so many, or when they fill this together: each byte is copied a few times at the most. */
const SMALL_PACKS = 8
const SMALL_BYTES = 32 * 1024 * 1024

interface Rewritten {
  packs: number
  entries: number
  moved: number
}

/** Rewrites packs of which much is dead, small ones, and those in which something has to go by now. */
export async function rewritePacks(work: CollectionWork): Promise<Rewritten> {
  const total: Rewritten = { packs: 0, entries: 0, moved: 0 }
  const seen = new Set<number>()
  const rewrite = async (packs: readonly FreePack[]): Promise<void> => {
    for (const pack of packs) {
      if (seen.has(pack.id) || !(await work.mayGoOn())) continue
      seen.add(pack.id)
      await rewriteOne(work, pack, total)
      work.progress('rewrite', 1)
    }
  }
  const { reader } = work.context.registry
  await rewrite(await listOverduePacks(reader, PAGE))
  for (let after = 0; ;) {
    const page = await listWornPacks(reader, after, PAGE)
    await rewrite(page)
    const last = page.at(-1)
    if (last === undefined || work.stopped !== undefined) break
    after = last.id
  }
  const small = await listSmallPacks(reader, PAGE)
  const together = small.reduce((sum, { size }) => sum + size, 0)
  if (small.length >= SMALL_PACKS || (small.length > 1 && together >= SMALL_BYTES)) await rewrite(small)
  return total
}

async function rewriteOne(work: CollectionWork, pack: FreePack, total: Rewritten): Promise<void> {
  const { writer, registry } = work.context
  const claim = await work.write('claim', async (session) =>
    (await isFreePack(session, pack.id)) ? acquireNamedLease(session, writer.owner, `rewrite ${pack.id}`, CLAIM_MS) : undefined,
  )
  if (claim === undefined) return
  let isLeft = false
  try {
    await moveAll(work, pack, total)
    isLeft = await work.write('leave', async (session) => {
      await releaseLease(session, claim, writer.owner)
      return leavePack(session, pack.id)
    })
    if (isLeft) total.packs += 1
  } catch (error) {
    await handleFailure(work, pack, error)
  } finally {
    if (!isLeft) await registry.write('collect-unclaim', (session) => releaseLease(session, claim, writer.owner))
  }
}

async function moveAll(work: CollectionWork, pack: FreePack, total: Rewritten): Promise<void> {
  const { dataPlane, writer } = work.context
  const contents = await dataPlane.contents(pack.key)
  const named = await namedPlaces(work, pack)
  if ((await quarantineUnread(work, pack, contents, named)) > 0) return
  const wanted = await neededEntries(work, contents.entries, named)
  const options = work.signal === undefined ? {} : { signal: work.signal }
  let began = performance.now()
  for await (const batch of dataPlane.compact(pack.key, wanted, options)) {
    await work.pace.worked({ ms: performance.now() - began, bytes: bytesOf(batch) * 2 })
    const chunks = batch.filter(({ entry }) => entry.kind === 'chunk' || entry.kind === 'manifest')
    for (let start = 0; start < chunks.length; start += ROWS_PER_COMMIT) {
      const page = chunks.slice(start, start + ROWS_PER_COMMIT)
      await work.write('move', async (session) => {
        for (const objectId of new Set(page.map(({ placement }) => placement.objectId))) await writer.assertOwns(session, objectId)
        for (const { entry, placement } of page) await moveChunk(session, pack.id, { digest: entry.digest, from: entry.offset, placement })
      })
    }
    total.entries += batch.length
    total.moved += bytesOf(batch)
    began = performance.now()
  }
}

/** Everything that is not condemned; of records, those of what is still there. */
async function neededEntries(
  { context }: CollectionWork,
  entries: readonly PackedEntry[],
  named: ReadonlyMap<number, NamedPlace>,
): Promise<readonly PackedEntry[]> {
  const { reader } = context.registry
  const needed: PackedEntry[] = []
  for (const entry of entries) {
    const { kind, object, digest, offset } = entry
    if (kind === 'placement') {
      if (object !== undefined && (await isObjectKnown(reader, object))) needed.push(entry)
    } else if (kind === 'recipe') {
      if (await isRecipeNeeded(reader, digest)) needed.push(entry)
    } else if (named.get(offset)?.live === true) needed.push(entry)
  }
  return needed
}

/** Damage keeps a pack as it is; all else is tried again. @throws what ends the run */
async function handleFailure(work: CollectionWork, { key }: FreePack, error: unknown): Promise<void> {
  if (!(error instanceof StoreError) || (error.retryable && !(error instanceof LeaseLostError))) throw error
  const { digest } = error.detail
  if (error instanceof DamagedError && typeof digest === 'string') {
    const place = { digest: rawSha256(parseDigest(digest)), key, reason: error.message }
    await work.write('damaged', (session) => quarantineChunk(session, place))
  }
  const what = error instanceof ObjectMissingError ? 'is gone, although it is needed' : 'was not rewritten'
  work.problem(`pack ${key} ${what}`, error)
}

function bytesOf(batch: readonly MovedEntry[]): number {
  return batch.reduce((sum, { entry }) => sum + entry.storedLength, 0)
}
