import type { PackageId, RepositoryName } from '../core/name.ts'
import { statement, type Session } from './statement.ts'
import { draftState } from './tables.ts'

const insertDraft = statement<{ uuid: PackageId; repository: number; run: string | null; request: string }>()((p, db, { now }) =>
  db
    .insertInto('drafts')
    .values({
      uuid: p('uuid'),
      repository_id: p('repository'),
      state: draftState.open,
      run_id: p('run'),
      sealer: null,
      request: p('request'),
      created_at: now,
      touched_at: now,
    })
    .returning('id'),
)
const findByUuid = statement<{ uuid: PackageId }>()((p, db) =>
  db
    .selectFrom('drafts')
    .innerJoin('repositories', 'repositories.id', 'drafts.repository_id')
    .select(draftColumns)
    .where('drafts.uuid', '=', p('uuid'))
    .where('drafts.state', '<', draftState.ended),
)
const findByRun = statement<{ repository: number; run: string }>()((p, db) =>
  db
    .selectFrom('drafts')
    .innerJoin('repositories', 'repositories.id', 'drafts.repository_id')
    .select(draftColumns)
    .where('drafts.repository_id', '=', p('repository'))
    .where('drafts.run_id', '=', p('run'))
    .where('drafts.state', '<', draftState.ended),
)
const readState = statement<{ id: number }>()((p, db) => db.selectFrom('drafts').select(['state', 'sealer']).where('id', '=', p('id')))
const touch = statement<{ id: number }>()((p, db, { now }) =>
  db.updateTable('drafts').set({ touched_at: now }).where('id', '=', p('id')).where('state', '=', draftState.open),
)
const turn = statement<{ id: number; to: number; sealer: string | null }>()((p, db, { now }) =>
  db
    .updateTable('drafts')
    .set({ state: p('to'), sealer: p('sealer'), touched_at: now })
    .where('id', '=', p('id'))
    .where('state', '<', draftState.ended),
)
const endDraft = statement<{ id: number }>()((p, db, { now }) =>
  db.updateTable('drafts').set({ state: draftState.ended, run_id: null, touched_at: now }).where('id', '=', p('id')),
)
const deleteDraft = statement<{ id: number }>()((p, db) => db.deleteFrom('drafts').where('id', '=', p('id')))
const listEnded = statement<{ limit: number }>()((p, db) =>
  db.selectFrom('drafts').select(['id', 'uuid']).where('state', '=', draftState.ended).orderBy('id').limit(p('limit')),
)

const expired = statement<{ age: number; limit: number }>()((p, db, { now }) =>
  db
    .selectFrom('drafts')
    .select(['id', 'uuid'])
    .where((eb) => eb('touched_at', '<', eb(now, '-', p('age'))))
    .where('state', '<', draftState.ended)
    .orderBy('touched_at')
    .limit(p('limit')),
)
const expiredCount = statement<{ age: number }>()((p, db, { now }) =>
  db
    .selectFrom('drafts')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where((eb) => eb('touched_at', '<', eb(now, '-', p('age'))))
    .where('state', '<', draftState.ended),
)
const endExpired = statement<{ id: number; age: number }>()((p, db, { now }) =>
  db
    .updateTable('drafts')
    .set({ state: draftState.ended, run_id: null, touched_at: now })
    .where('id', '=', p('id'))
    .where('state', '<', draftState.ended)
    .where((eb) => eb('touched_at', '<', eb(now, '-', p('age')))),
)

const draftColumns = [
  'drafts.id',
  'drafts.uuid',
  'drafts.repository_id',
  'drafts.state',
  'drafts.run_id',
  'drafts.request',
  'drafts.created_at',
  'repositories.name as repository',
] as const

/** An open package. `request` is the JSON of the parsed open request. */
export interface DraftRow {
  readonly id: number
  readonly uuid: PackageId
  readonly repository_id: number
  readonly repository: RepositoryName
  readonly state: number
  readonly run_id: string | null
  readonly request: string
  readonly created_at: number
}

/** @returns the new row's id */
export async function createDraft(
  session: Session,
  draft: { readonly uuid: PackageId; readonly repository: number; readonly runId: string | undefined; readonly request: string },
): Promise<number> {
  const { uuid, repository, request } = draft
  const row = await session.returning(insertDraft, { uuid, repository, run: draft.runId ?? null, request })
  if (row === undefined) throw new TypeError('an open package was not inserted')
  return row.id
}

/** An open package by its id; ended ones are not found. */
export async function findDraft(session: Session, uuid: PackageId): Promise<DraftRow | undefined> {
  return session.get(findByUuid, { uuid })
}

/** The open package of a run. */
export async function findDraftByRun(session: Session, repository: number, run: string): Promise<DraftRow | undefined> {
  return session.get(findByRun, { repository, run })
}

/** Whether more content may be added: neither gone nor being sealed. What is staged may be added to as well. */
export async function isDraftOpen(session: Session, id: number): Promise<boolean> {
  const state = (await session.get(readState, { id }))?.state
  return state === draftState.open || state === draftState.staging
}

/** Says that an open package is still wanted. */
export async function touchDraft(session: Session, id: number): Promise<void> {
  await session.run(touch, { id })
}

/** Whether this attempt may still seal the draft: the fence of finalize. */
export async function isSealedBy(session: Session, id: number, sealer: string): Promise<boolean> {
  const row = await session.get(readState, { id })
  return row?.state === draftState.sealing && row.sealer === sealer
}

/** Turns a draft `sealing`, after which nothing can be added; takes it from an earlier attempt. @returns false when it is gone */
export async function startSealing(session: Session, id: number, sealer: string): Promise<boolean> {
  return (await session.run(turn, { id, to: draftState.sealing, sealer })) > 0
}

/** Opens a draft again whose sealing was refused or broke off. */
export async function reopenDraft(session: Session, id: number): Promise<void> {
  await session.run(turn, { id, to: draftState.open, sealer: null })
}

/** Ends a draft: it is no longer there for anybody, and its rows are cleared away in batches. Its run id is free for the package. */
export async function markDraftEnded(session: Session, id: number): Promise<void> {
  await session.run(endDraft, { id })
}

/** Open packages that nobody touched for `age` milliseconds, on the database's clock (I8). */
export async function listExpiredDrafts(
  session: Session,
  age: number,
  limit: number,
): Promise<readonly { readonly id: number; readonly uuid: PackageId }[]> {
  return session.all(expired, { age, limit })
}

/** How many there are. */
export async function countExpiredDrafts(session: Session, age: number): Promise<number> {
  return (await session.get(expiredCount, { age }))?.count ?? 0
}

/** Ends an expired draft. @returns false when it was touched meanwhile, or is gone */
export async function endExpiredDraft(session: Session, id: number, age: number): Promise<boolean> {
  return (await session.run(endExpired, { id, age })) > 0
}

/** The last row goes when all others have gone. */
export async function removeEndedDraft(session: Session, id: number): Promise<void> {
  await session.run(deleteDraft, { id })
}

/** Drafts that have ended but whose rows are not cleared away yet. */
export async function listEndedDrafts(session: Session, limit: number): Promise<readonly { readonly id: number; readonly uuid: PackageId }[]> {
  return session.all(listEnded, { limit })
}
