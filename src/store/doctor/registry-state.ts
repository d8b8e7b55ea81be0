import { setImmediate as nextTurn } from 'node:timers/promises'
import { sha256Digest } from '../../core/digest.ts'
import { formatTime } from '../../core/event.ts'
import { sumWaitingObjects } from '../../registry/condemned-objects.ts'
import { countDrafts, countReviews, countUploads, listDamaged, listQuarantine } from '../../registry/inspection.ts'
import {
  contradictingChunks,
  contradictingCounters,
  contradictingEntries,
  contradictingHolders,
  contradictingRecipes,
  contradictingUploads,
  readLastIds,
  unheldPackages,
} from '../../registry/references.ts'
import { readSqliteFacts, type SqliteReader } from '../../registry/sqlite-reader.ts'
import type { Session } from '../../registry/statement.ts'
import { counted, type Finding, Sightings } from './finding.ts'

/** Ids that one statement covers: some milliseconds of work. */
const RANGE = 20_000
const PAGE = 1_000
/** An open package that nobody touched for this long has expired. */
const DRAFT_MS = 7 * 86_400_000
/** How long a place that was found damaged, and has been healed, is worth a warning. */
const RECENT_MS = 30 * 86_400_000

/** How the registry is kept: what durability rests on, and whether the file is sound. */
export async function examineSettings(file: string, database: SqliteReader): Promise<Finding> {
  const { isLogged, problems } = await readSqliteFacts(file, database.reader)
  const check = 'settings'
  const engine = `SQLite ${process.versions['sqlite'] ?? '?'}`
  if (problems.length > 0) {
    const advice = 'The registry is damaged. Keep a copy of it, then rebuild it from the objects: artifact-store recover.'
    return { check, status: 'fail', observed: `${engine}; the structure of the registry is damaged`, advice, examples: problems }
  }
  if (!isLogged) {
    const advice = 'Another program changed that. The next command that opens the store sets it right; find out what that program was.'
    return { check, status: 'warn', observed: `${engine}; the registry is not kept with a write-ahead log`, advice }
  }
  const settings = 'write-ahead log, every commit flushed (synchronous full is set, and checked, whenever the store is opened)'
  return { check, status: 'ok', observed: `${engine}, ${settings}; the registry is sound` }
}

/** Whether rows that refer to each other agree. */
export async function examineReferences(session: Session): Promise<Finding> {
  const last = await readLastIds(session)
  const lost = new Map<string, number>()
  const spare = new Map<string, number>()
  const add = (to: Map<string, number>, what: string, count: number): void => void (count > 0 && to.set(what, (to.get(what) ?? 0) + count))
  let [chunks, holders, packages] = [0, 0, 0]
  for await (const [after, to] of ranges(last.chunks)) {
    const found = await contradictingChunks(session, after, to)
    chunks += found.rows
    add(lost, 'chunks in objects that have no row', found.inNoObject)
    add(lost, 'chunks in objects that are to be deleted', found.inCondemnedObject)
    add(lost, 'chunks that lie nowhere', found.nowhere)
    add(spare, 'chunks that nothing refers to and nothing will review', found.forgotten)
    const composed = await contradictingRecipes(session, after, to)
    add(lost, 'parts of composed blobs that have no row or are to be deleted', composed.gone)
    add(lost, 'parts of composed blobs that are composed themselves', composed.composed)
    add(lost, 'parts of composed blobs that nothing holds', composed.unheld)
    const held = await contradictingHolders(session, after, to)
    holders += held.rows
    add(lost, 'references to chunks that have no row', held.ofNothing)
    add(lost, 'references to chunks that are to be deleted', held.ofCondemned)
    add(spare, 'references of owners that are gone', held.byNobody)
  }
  for await (const [after, to] of ranges(last.packages)) {
    const found = await unheldPackages(session, after, to)
    packages += found.rows
    add(lost, 'packages that do not hold their own manifest', found.unheld)
  }
  const entries = await contradictingEntries(session)
  add(lost, 'files of open packages that nothing holds', entries.unheld)
  add(spare, 'entries of open packages that are gone', entries.ofNoDraft)
  const uploads = await contradictingUploads(session)
  add(lost, 'parts of uploads that nothing holds', uploads.unheld)
  add(spare, 'parts of uploads that are gone', uploads.ofNoUpload)
  const check = 'references'
  if (lost.size > 0) {
    const advice =
      'Rows of the registry contradict each other, so bytes may be lost or be lost later. Keep a copy of the store, see which packages are affected with: artifact-store verify --all, and rebuild the registry from the objects: artifact-store recover.'
    return { check, status: 'fail', observed: told(lost), advice }
  }
  if (spare.size > 0) {
    return {
      check,
      status: 'warn',
      observed: told(spare),
      advice: 'They keep bytes that could go, and harm nothing else. Please report it: it should not happen.',
    }
  }
  return {
    check,
    status: 'ok',
    observed: `${counted(packages, 'package')}, ${counted(chunks, 'chunk')} and ${counted(holders, 'reference')} between them agree`,
  }
}

/** Whether the counters of objects can be true. They are hints; nothing is decided by them alone. */
export async function examineCounters(session: Session): Promise<Finding> {
  const wrong = new Sightings()
  const { objects } = await readLastIds(session)
  for await (const [after, to] of ranges(objects)) for (const key of await contradictingCounters(session, after, to)) wrong.add(key)
  const check = 'counters'
  if (wrong.count === 0) return { check, status: 'ok', observed: 'sizes, entries and dead bytes of all objects fit what lies in them' }
  const observed = `sizes, entries or dead bytes of ${counted(wrong.count, 'object')} do not fit what lies in them`
  return {
    check,
    status: 'warn',
    observed,
    advice: 'Nothing is lost: these numbers only say which packs are worth rewriting.',
    examples: wrong.examples,
  }
}

/** Packages that are being filled, or were and are not cleared away. */
export async function examineDrafts(session: Session, now: number): Promise<Finding> {
  const { open, sealing, ended, oldest } = await countDrafts(session)
  const check = 'drafts'
  const observed = [
    counted(open + sealing, 'open package'),
    ...(sealing > 0 ? [`${sealing} of them being sealed, or in a sealing that broke off`] : []),
    ...(ended > 0 ? [`${counted(ended, 'package')} that ended with rows left to clear`] : []),
    ...(oldest === undefined ? [] : [`the longest idle one was touched at ${formatTime(oldest)}`]),
  ].join(', ')
  if (oldest !== undefined && now - oldest > DRAFT_MS) {
    const advice =
      'Open packages keep what was pushed into them. Push the same run again to finish one; otherwise they are given up 7 days after the last touch.'
    return { check, status: 'warn', observed, advice }
  }
  return { check, status: 'ok', observed }
}

/** Uploads that come in pieces, and are not finished or not cleared away. */
export async function examineUploads(session: Session): Promise<Finding> {
  const { open, complete, expired, ended } = await countUploads(session)
  const observed = [
    `${counted(open, 'upload')} under way`,
    ...(complete > 0 ? [`${complete} complete`] : []),
    ...(expired > 0 ? [`${expired} that expired and ${expired === 1 ? 'waits' : 'wait'} for being given up`] : []),
    ...(ended > 0 ? [`${counted(ended, 'upload')} that ended with rows left to clear`] : []),
  ].join(', ')
  return { check: 'uploads', status: 'ok', observed }
}

/** How much waits for collection. */
export async function examineReviews(session: Session): Promise<Finding> {
  const { count, oldest } = await countReviews(session)
  const { objects, size } = await sumWaitingObjects(session)
  const since = oldest === undefined ? '' : ` since ${formatTime(oldest)}`
  const leaving =
    objects === 0 ? '' : `; ${counted(objects, 'object')} (${size} bytes) wait${objects === 1 ? 's' : ''} for the last readers, then to be deleted`
  return {
    check: 'reviews',
    status: 'ok',
    observed: `${counted(count, 'chunk')} that lost a reference wait${count === 1 ? 's' : ''} for review${since}${leaving}`,
  }
}

/** Bytes that reads found to be other than what was stored, and the places that are kept because of it. */
export async function examineDamage(session: Session, now: number): Promise<Finding> {
  const damaged = new Sightings()
  for await (const { digest, size, key } of paged((after) => listDamaged(session, after, PAGE))) {
    damaged.add(`${sha256Digest(digest)} (${size} bytes) in ${key ?? 'no object'}`)
  }
  const healed = new Sightings()
  let newest = 0
  for await (const { digest, key, offset, reason, found_at: foundAt, live } of paged((after) => listQuarantine(session, after, PAGE))) {
    if (live === null) continue
    healed.add(`${key} from byte ${offset}: ${reason} (found ${formatTime(foundAt)}, healed; ${sha256Digest(digest)})`)
    newest = Math.max(newest, foundAt)
  }
  const check = 'damage'
  const kept =
    healed.count === 0 ? '' : `; ${counted(healed.count, 'damaged place')} that ${healed.count === 1 ? 'was' : 'were'} healed, kept in quarantine`
  if (damaged.count > 0) {
    const advice =
      'See which files they are with: artifact-store verify --all. Push the same files again: that heals every package that has them. Then check the disk.'
    return {
      check,
      status: 'fail',
      observed: `${counted(damaged.count, 'chunk')} known to be damaged${kept}`,
      advice,
      examples: [...damaged.examples, ...healed.examples],
    }
  }
  if (healed.count > 0 && now - newest < RECENT_MS) {
    const advice =
      'All of it has been healed. Something changed bytes on this disk: check the disk and its cables, and run artifact-store verify --all more often.'
    return { check, status: 'warn', observed: `nothing known to be damaged now${kept}`, advice, examples: healed.examples }
  }
  return { check, status: 'ok', observed: `nothing known to be damaged${kept}` }
}

async function* ranges(last: number): AsyncGenerator<readonly [after: number, to: number], void, undefined> {
  for (let after = 0; after < last; after += RANGE) {
    yield [after, after + RANGE]
    // A statement keeps the thread; between two of them others get their turn.
    await nextTurn()
  }
}

async function* paged<T extends { readonly id: number }>(page: (after: number) => Promise<readonly T[]>): AsyncGenerator<T, void, undefined> {
  for (let after = 0; ;) {
    const rows = await page(after)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined) return
    after = last.id
  }
}

function told(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([what, count]) => `${count} ${what}`).join(', ')
}
