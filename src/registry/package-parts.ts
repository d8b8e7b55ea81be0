import { type SqlBool, sql } from 'kysely'
import { parseDuration } from '../core/duration.ts'
import type { Ending, RetentionMode } from '../core/retention.ts'
import type { PartStage, PartState, RetentionState } from '../core/retention-state.ts'
import { type Session, type Statement, statement } from './statement.ts'
import { packageStatus, partStage } from './tables.ts'

/** Retention as the registry keeps it: the parts of each package, and what a sweep has to look at next. */

interface PartValues {
  package: number
  set: string
  stage: number
  stageAt: number
  retentionClass: string | null
  duration: string | null
  ending: string
  cutoffAt: number
  minimumAt: number | null
  expiresAt: number | null
  dueAt: number | null
}

const upsertPart = statement<PartValues>()((p, db) =>
  db
    .insertInto('package_parts')
    .values({
      package_id: p('package'),
      set_key: p('set'),
      stage: p('stage'),
      stage_at: p('stageAt'),
      retention_class: p('retentionClass'),
      duration: p('duration'),
      ending: p('ending'),
      cutoff_at: p('cutoffAt'),
      minimum_at: p('minimumAt'),
      expires_at: p('expiresAt'),
      due_at: p('dueAt'),
      sighted_at: null,
      blocked_by: null,
    })
    .onConflict((conflict) =>
      conflict.columns(['package_id', 'set_key']).doUpdateSet({
        stage: p('stage'),
        stage_at: p('stageAt'),
        retention_class: p('retentionClass'),
        duration: p('duration'),
        ending: p('ending'),
        cutoff_at: p('cutoffAt'),
        minimum_at: p('minimumAt'),
        expires_at: p('expiresAt'),
        due_at: p('dueAt'),
        sighted_at: null,
        blocked_by: null,
      }),
    ),
)
const partsOf = statement<{ package: number }>()((p, db) =>
  db.selectFrom('package_parts').selectAll().where('package_id', '=', p('package')).orderBy('set_key'),
)
const readMode = statement<{ package: number }>()((p, db) => db.selectFrom('packages').select('mode').where('id', '=', p('package')))
const updatePackage = statement<{ package: number; status: number; mode: string; expiresAt: number | null }>()((p, db) =>
  db
    .updateTable('packages')
    .set({ status: p('status'), mode: p('mode'), expires_at: p('expiresAt') })
    .where('id', '=', p('package')),
)
const clearFacts = statement<{ package: number }>()((p, db) =>
  db.updateTable('packages').set({ producer: null, subject: null }).where('id', '=', p('package')),
)
const clearMetadata = statement<{ package: number }>()((p, db) => db.deleteFrom('package_metadata').where('package_id', '=', p('package')))
const clearTags = statement<{ package: number }>()((p, db) => db.deleteFrom('tags').where('package_id', '=', p('package')))

function dueStatement(stage: PartStage): Statement<{ until: number; limit: number }, { package_id: number; set_key: string }> {
  return statement<{ until: number; limit: number }>()((p, db) =>
    db
      .selectFrom('package_parts')
      .select(['package_id', 'set_key'])
      .where('stage', '=', partStage[stage])
      .where('due_at', '<=', p('until'))
      .orderBy('due_at')
      .limit(p('limit')),
  )
}

const due: Readonly<Record<'kept' | 'eligible' | 'approved' | 'deleted' | 'purging', ReturnType<typeof dueStatement>>> = {
  kept: dueStatement('kept'),
  eligible: dueStatement('eligible'),
  approved: dueStatement('approved'),
  deleted: dueStatement('deleted'),
  purging: dueStatement('purging'),
}
const sighted = statement<{ until: number; limit: number }>()((p, db) =>
  db.selectFrom('package_parts').select(['package_id', 'set_key']).where('sighted_at', '<=', p('until')).orderBy('sighted_at').limit(p('limit')),
)
const sight = statement<{ package: number; set: string; at: number }>()((p, db) =>
  db
    .updateTable('package_parts')
    .set({ sighted_at: p('at'), due_at: null })
    .where('package_id', '=', p('package'))
    .where('set_key', '=', p('set')),
)
const unsightAll = statement<object>()((_p, db) =>
  db
    .updateTable('package_parts')
    .set((eb) => ({ sighted_at: null, due_at: eb.ref('expires_at') }))
    .where('sighted_at', 'is not', null),
)
const block = statement<{ package: number; set: string; hold: number }>()((p, db) =>
  db
    .updateTable('package_parts')
    .set({ blocked_by: p('hold'), due_at: null })
    .where('package_id', '=', p('package'))
    .where('set_key', '=', p('set')),
)
const blockedBy = statement<{ hold: number; limit: number }>()((p, db) =>
  db.selectFrom('package_parts').select(['package_id', 'set_key']).where('blocked_by', '=', p('hold')).limit(p('limit')),
)
const unblock = statement<{ package: number; set: string }>()((p, db) =>
  db
    .updateTable('package_parts')
    .set((eb) => ({ blocked_by: null, due_at: eb.ref('stage_at') }))
    .where('package_id', '=', p('package'))
    .where('set_key', '=', p('set')),
)
const ofClass = statement<{ class: string; after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('package_parts')
    .select('package_id')
    .distinct()
    .where('retention_class', '=', p('class'))
    .where('package_id', '>', p('after'))
    .orderBy('package_id')
    .limit(p('limit')),
)
const waiting = statement<{ after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('package_parts')
    .innerJoin('packages', 'packages.id', 'package_parts.package_id')
    .innerJoin('repositories', 'repositories.id', 'packages.repository_id')
    .select(['package_parts.package_id', 'package_parts.set_key', 'repositories.name as repository'])
    // Spelled out as the partial index has it.
    .where(sql<SqlBool>`package_parts.stage = 1 and package_parts.due_at is null`)
    .where('package_parts.package_id', '>', p('after'))
    .orderBy('package_parts.package_id')
    .orderBy('package_parts.set_key')
    .limit(p('limit')),
)

const refreshDue = statement<object>()((_p, db) =>
  db.updateTable('package_parts').set({
    due_at: sql<
      number | null
    >`case when stage = 0 then expires_at when stage = 1 and ending <> 'automatic' then null when stage = 5 then null else stage_at end`,
  }),
)

/** A part by its place. */
export interface PartPlace {
  readonly package_id: number
  readonly set_key: string
}

/** A part as it is, and what sweeps noted about it. `blocked`: the row id of a hold. */
export interface StoredPart extends PartState {
  readonly sightedAt: number | undefined
  readonly blockedBy: number | undefined
}

/** A package as it is. */
export interface StoredRetention extends RetentionState {
  readonly parts: readonly StoredPart[]
}

/** A package's retention; parts in order of their set keys. */
export async function loadRetention(session: Session, packageId: number): Promise<StoredRetention> {
  const rows = await session.all(partsOf, { package: packageId })
  const mode = (await session.get(readMode, { package: packageId }))?.mode
  // Sound: only modes are written.
  return { mode: (mode ?? 'none') as RetentionMode, parts: rows.map(storedPart) }
}

/** Writes a part; what sweeps noted about it counts no longer. */
export async function savePart(session: Session, packageId: number, part: PartState): Promise<void> {
  await session.run(upsertPart, {
    package: packageId,
    set: part.set,
    stage: partStage[part.stage],
    stageAt: part.stageAt,
    retentionClass: part.retentionClass ?? null,
    duration: part.duration ?? null,
    ending: part.ending,
    cutoffAt: part.cutoffAt,
    minimumAt: part.minimumAt ?? null,
    expiresAt: part.expiresAt ?? null,
    dueAt: dueAt(part) ?? null,
  })
}

/** What follows for the package as a whole. */
export async function savePackageStage(
  session: Session,
  packageId: number,
  { status, mode, expiresAt }: { readonly status: keyof typeof packageStatus; readonly mode: RetentionMode; readonly expiresAt: number | undefined },
): Promise<void> {
  await session.run(updatePackage, { package: packageId, status: packageStatus[status], mode, expiresAt: expiresAt ?? null })
}

/** Leaves of a package what a tombstone says. What its document said dies with it. */
export async function buryPackage(session: Session, packageId: number): Promise<void> {
  await session.run(clearFacts, { package: packageId })
  await session.run(clearMetadata, { package: packageId })
  await session.run(clearTags, { package: packageId })
}

/** Parts of one stage that a sweep has to look at, those first that are due longest. `until`: inclusive, UTC milliseconds. */
export async function listDueParts(session: Session, stage: keyof typeof due, until: number, limit: number): Promise<readonly PartPlace[]> {
  return session.all(due[stage], { until, limit })
}

/** Parts that a sweep found over, at this time or before. */
export async function listSightedParts(session: Session, until: number, limit: number): Promise<readonly PartPlace[]> {
  return session.all(sighted, { until, limit })
}

/** Notes that a sweep found a part over. */
export async function noteSighted(session: Session, packageId: number, set: string, at: number): Promise<void> {
  await session.run(sight, { package: packageId, set, at })
}

/** Forgets what sweeps found over: another clock counts from now on. */
export async function forgetSightings(session: Session): Promise<void> {
  await session.run(unsightAll, {})
}

/** Notes that a hold is in the way; the sweep looks at the part again when that is released. */
export async function noteBlocked(session: Session, packageId: number, set: string, hold: number): Promise<void> {
  await session.run(block, { package: packageId, set, hold })
}

/** Lets the sweep look again at up to `limit` parts that a hold was in the way of. @returns how many; less than `limit`: none is left */
export async function unblockParts(session: Session, hold: number, limit: number): Promise<number> {
  const places = await session.all(blockedBy, { hold, limit })
  for (const { package_id, set_key } of places) await session.run(unblock, { package: package_id, set: set_key })
  return places.length
}

/** Packages with parts of this class, by row id. */
export async function listPackagesOfClass(session: Session, name: string, after: number, limit: number): Promise<readonly number[]> {
  return (await session.all(ofClass, { class: name, after, limit })).map(({ package_id }) => package_id)
}

/** Eligible parts that go no further by themselves, in order of their packages, with the names of their repositories. */
export async function listWaitingParts(
  session: Session,
  after: number,
  limit: number,
): Promise<readonly (PartPlace & { readonly repository: string })[]> {
  return session.all(waiting, { after, limit })
}

/** Says for all parts from when on a sweep has something to do with them, after the views were replaced. */
export async function refreshDueParts(session: Session): Promise<void> {
  await session.run(refreshDue, {})
}

/** From when on a sweep has something to do with a part, as far as the part itself tells. */
function dueAt({ stage, stageAt, expiresAt, ending }: PartState): number | undefined {
  switch (stage) {
    case 'kept':
      return expiresAt
    case 'eligible':
      return ending === 'automatic' ? stageAt : undefined
    case 'approved':
    case 'deleted':
    case 'purging':
      return stageAt
    case 'purged':
      return undefined
  }
}

const stages: readonly PartStage[] = ['kept', 'eligible', 'approved', 'deleted', 'purging', 'purged']

function storedPart(row: {
  readonly set_key: string
  readonly stage: number
  readonly stage_at: number
  readonly retention_class: string | null
  readonly duration: string | null
  readonly ending: string
  readonly cutoff_at: number
  readonly minimum_at: number | null
  readonly expires_at: number | null
  readonly sighted_at: number | null
  readonly blocked_by: number | null
}): StoredPart {
  return {
    set: row.set_key,
    stage: stages[row.stage] ?? 'kept',
    stageAt: row.stage_at,
    retentionClass: row.retention_class ?? undefined,
    duration: row.duration === null ? undefined : parseDuration(row.duration),
    // Sound: only endings are written.
    ending: row.ending as Ending,
    cutoffAt: row.cutoff_at,
    minimumAt: row.minimum_at ?? undefined,
    expiresAt: row.expires_at ?? undefined,
    sightedAt: row.sighted_at ?? undefined,
    blockedBy: row.blocked_by ?? undefined,
  }
}
