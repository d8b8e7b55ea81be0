import type { ObjectKey } from '../ports/backend.ts'
import type { ObjectKind } from '../ports/data-plane.ts'
import { statement, type Session } from './statement.ts'
import { objectKind, objectState } from './tables.ts'

/** What an entry of a pack takes beside its stored bytes, at the least: its header (docs/format/pack.md). */
export const ENTRY_OVERHEAD = 64

/** The dedup domain that everything is in until tenants bring their own. */
export const DEFAULT_DOMAIN = 1

const insertObject = statement<{ key: string; kind: number; state: number; lease: number }>()((p, db, { now }) =>
  db
    .insertInto('objects')
    .values({
      domain: DEFAULT_DOMAIN,
      key: p('key'),
      kind: p('kind'),
      state: p('state'),
      lease_id: p('lease'),
      retention_class: null,
      erase_by: null,
      settled_at: null,
      created_at: now,
      changed_at: now,
      verified_at: null,
    })
    .returning('id'),
)
const ownedObject = statement<{ id: number; lease: number }>()((p, db) =>
  db.selectFrom('objects').select('state').where('id', '=', p('id')).where('lease_id', '=', p('lease')).where('state', '<', objectState.condemned),
)
const sealPackRow = statement<{ id: number; lease: number; size: number; entries: number }>()((p, db, { now }) =>
  db
    .updateTable('objects')
    .set({ state: objectState.sealed, size: p('size'), entries: p('entries'), changed_at: now })
    .where('id', '=', p('id'))
    .where('lease_id', '=', p('lease')),
)
const sealWholeRow = statement<{ id: number; lease: number; size: number }>()((p, db, { now }) =>
  db
    .updateTable('objects')
    .set({ state: objectState.sealed, lease_id: null, size: p('size'), entries: 1, changed_at: now })
    .where('id', '=', p('id'))
    .where('lease_id', '=', p('lease')),
)
const disownSealedRows = statement<{ lease: number; age: number }>()((p, db, { now }) =>
  db
    .updateTable('objects')
    .set({ lease_id: null })
    .where('lease_id', '=', p('lease'))
    .where('state', '=', objectState.sealed)
    .where((eb) => eb('changed_at', '<', eb(now, '-', p('age')))),
)
const freezeRows = statement<{ lease: number }>()((p, db, { now }) =>
  db
    .updateTable('objects')
    .set({ state: objectState.sealed, lease_id: null, changed_at: now })
    .where('lease_id', '=', p('lease'))
    .where('state', '=', objectState.open),
)
const disownRows = statement<{ lease: number }>()((p, db) => db.updateTable('objects').set({ lease_id: null }).where('lease_id', '=', p('lease')))
const disownRow = statement<{ id: number; lease: number }>()((p, db) =>
  db
    .updateTable('objects')
    .set({ lease_id: null })
    .where('id', '=', p('id'))
    .where('lease_id', '=', p('lease'))
    .where('state', '=', objectState.intended),
)
const agedPacks = statement<{ lease: number; age: number }>()((p, db, { now }) =>
  db
    .selectFrom('objects')
    .select('id')
    .where('lease_id', '=', p('lease'))
    .where('state', '=', objectState.open)
    .where((eb) => eb.or([eb('erase_by', '<=', now), eb('created_at', '<', eb(now, '-', p('age')))]))
    .limit(1),
)
const sealedPacks = statement<{ after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('objects')
    .select(['id', 'key'])
    .where('id', '>', p('after'))
    .where('kind', '=', objectKind.pack)
    .where('state', '=', objectState.sealed)
    .orderBy('id')
    .limit(p('limit')),
)
const addDead = statement<{ id: number; bytes: number }>()((p, db) =>
  db
    .updateTable('objects')
    .set((eb) => ({ dead_bytes: eb('dead_bytes', '+', p('bytes')) }))
    .where('id', '=', p('id')),
)

/** Records that bytes are about to be written under a key (I6). A pack starts open, a whole object intended. */
export async function insertIntent(session: Session, key: ObjectKey, kind: ObjectKind, lease: number): Promise<number> {
  const state = kind === 'pack' ? objectState.open : objectState.intended
  const row = await session.returning(insertObject, { key, kind: objectKind[kind], state, lease })
  if (row === undefined) throw new TypeError('an object intent was not inserted')
  return row.id
}

/** Whether this writer still owns an object that it wants to name bytes in (I3, and no commit after a freeze). */
export async function ownsObject(session: Session, id: number, lease: number): Promise<boolean> {
  return (await session.get(ownedObject, { id, lease })) !== undefined
}

/**
 * A pack is complete. Its writer still owns it, since it may have flushed entries in it that it has not named yet.
 * @returns false when it was frozen meanwhile
 */
export async function markPackSealed(
  session: Session,
  id: number,
  lease: number,
  facts: { readonly size: number; readonly entries: number },
): Promise<boolean> {
  return (await session.run(sealPackRow, { id, lease, size: facts.size, entries: facts.entries })) > 0
}

/** A whole object is complete once it is named, and then nobody's. `size` in bytes. */
export async function markWholeSealed(session: Session, id: number, lease: number, size: number): Promise<void> {
  await session.run(sealWholeRow, { id, lease, size })
}

/** Lets go of packs that were sealed more than `age` milliseconds ago: what their writer has not named by now, it writes again. */
export async function disownSealed(session: Session, lease: number, age: number): Promise<void> {
  await session.run(disownSealedRows, { lease, age })
}

/**
 * Takes all objects from a writer: nothing can be named in them any more, and open packs are complete as they are. What was intended but never
 * named stays, as nobody's, for the collector. The caller has removed the lease.
 */
export async function freezeObjects(session: Session, lease: number): Promise<void> {
  await session.run(freezeRows, { lease })
  await session.run(disownRows, { lease })
}

/** Lets go of an object that was begun for nothing; the collector removes it. */
export async function disownIntended(session: Session, id: number, lease: number): Promise<void> {
  await session.run(disownRow, { id, lease })
}

/**
 * Whether a writer should end its open pack, so that it can be looked through and rewritten: it is older than `age` milliseconds, or something in it
 * that was released has to go.
 */
export async function hasAgedPack(session: Session, lease: number, age: number): Promise<boolean> {
  return (await session.get(agedPacks, { lease, age })) !== undefined
}

/** Packs that nobody appends to, in the order of their ids. */
export async function listSealedPacks(
  session: Session,
  after: number,
  limit: number,
): Promise<readonly { readonly id: number; readonly key: string }[]> {
  return session.all(sealedPacks, { after, limit })
}

/** Counts an entry that nothing names, by its stored bytes (a hint for compaction, I9). */
export async function countDeadBytes(session: Session, id: number, stored: number): Promise<void> {
  await session.run(addDead, { id, bytes: stored + ENTRY_OVERHEAD })
}
