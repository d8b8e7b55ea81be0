import { type SqlBool, sql } from 'kysely'
import { condemnObject } from './condemned-objects.ts'
import { destroyedBefore } from './destructions.ts'
import { ENTRY_OVERHEAD } from './objects.ts'
import { statement, type Session } from './statement.ts'
import { chunkState, manifestState, objectKind } from './tables.ts'

/**
 * What is let go of for ever. A condemned chunk says that bytes of its digest still lie at its place: the bytes that were reviewed, and every other copy
 * that is known of. The row goes after the bytes (I7).
 */

const readChunk = statement<{ id: number }>()((p, db) =>
  db
    .selectFrom('chunks')
    .leftJoin('objects', 'objects.id', 'chunks.object_id')
    .select(['chunks.digest', 'chunks.size', 'chunks.object_id', 'chunks.offset', 'chunks.stored_length', 'chunks.erase_by', 'objects.kind'])
    .where('chunks.id', '=', p('id'))
    .where(sql<SqlBool>`chunks.state < 2`),
)
const condemn = statement<{ id: number; within: number | null }>()((p, db, { now }) =>
  db
    .updateTable('chunks')
    .set((eb) => ({ state: chunkState.condemned, erase_by: eb(now, '+', sql<number>`${p('within')}`) }))
    .where('id', '=', p('id')),
)
const copiesOf = statement<{ digest: Uint8Array; id: number }>()((p, db) =>
  db
    .selectFrom('chunks')
    .select(['id', 'object_id'])
    .where('digest', '=', p('digest'))
    .where(sql<SqlBool>`state = 2`)
    .where('id', '<>', p('id'))
    .where('erase_by', 'is', null),
)
const liveOf = statement<{ digest: Uint8Array }>()((p, db) =>
  db
    .selectFrom('chunks')
    .select('id')
    .where('digest', '=', p('digest'))
    .where(sql<SqlBool>`state < 2`),
)
const erasedWithin = statement<{ digest: Uint8Array }>()((p, db, { now }) =>
  db
    .selectFrom('chunks')
    .select((eb) => eb('erase_by', '-', now).as('within'))
    .where('digest', '=', p('digest'))
    .where(sql<SqlBool>`state = 2`)
    .where('erase_by', 'is not', null)
    .orderBy('erase_by')
    .limit(1),
)
const eraseCopy = statement<{ id: number; within: number }>()((p, db, { now }) =>
  db
    .updateTable('chunks')
    .set((eb) => ({ erase_by: eb(now, '+', p('within')) }))
    .where('id', '=', p('id')),
)
const wearPack = statement<{ id: number; bytes: number; within: number | null }>()((p, db, { now }) =>
  db
    .updateTable('objects')
    .set((eb) => ({
      dead_bytes: eb('dead_bytes', '+', p('bytes')),
      erase_by: sooner(sql<number>`${now} + ${p('within')}`),
    }))
    .where('id', '=', p('id')),
)
const dissolveManifests = statement<{ chunk: number }>()((p, db) =>
  db
    .updateTable('manifests')
    .set({ state: manifestState.dissolving })
    .where('chunk_id', '=', p('chunk'))
    .where(sql<SqlBool>`state = 1`),
)
const quarantinedAs = statement<{ digest: Uint8Array }>()((p, db) =>
  db
    .selectFrom('quarantine')
    .innerJoin('objects', 'objects.id', 'quarantine.object_id')
    .select([
      'quarantine.id',
      'quarantine.object_id',
      'quarantine.offset',
      'quarantine.stored_length',
      'quarantine.codec',
      'quarantine.size',
      'objects.kind',
    ])
    .where('quarantine.digest', '=', p('digest')),
)
const endQuarantine = statement<{ id: number }>()((p, db) => db.deleteFrom('quarantine').where('id', '=', p('id')))
const insertCopy = statement<CopyFacts & { within: number | null }>()((p, db, { now }) =>
  db.insertInto('chunks').values((eb) => ({
    domain: 1,
    digest: p('digest'),
    size: p('size'),
    object_id: p('object'),
    offset: p('offset'),
    stored_length: p('stored'),
    codec: p('codec'),
    state: chunkState.condemned,
    erase_by: eb(now, '+', sql<number>`${p('within')}`),
    verified_at: null,
    created_at: now,
  })),
)
const atPlace = statement<{ object: number; offset: number }>()((p, db) =>
  db.selectFrom('chunks').select('id').where('object_id', '=', p('object')).where('offset', '=', p('offset')).limit(1),
)

interface CopyFacts {
  digest: Uint8Array
  size: number
  object: number
  offset: number
  stored: number
  codec: number
}

/** The sooner of a date and the object's own; a date that is not there is later than any. */
function sooner(date: ReturnType<typeof sql<number>>): ReturnType<typeof sql<number>> {
  return sql<number>`case when erase_by is null then ${date} when ${date} is null or erase_by < ${date} then erase_by else ${date} end`
}

/**
 * Condemns chunks of one transaction: from now on deduplication does not see them, and they never come back (I4). Everything they kept is let go of
 * later (`dissolving.ts`); their bytes go with their objects, of which what is dead is counted once, by {@link finish}.
 */
export class Condemnation {
  /** Of what was condemned, as users know it; bytes. */
  size = 0
  chunks = 0
  readonly #session: Session
  readonly #eraseWithin: number
  readonly #worn = new Map<number, { bytes: number; within: number | null }>()

  /** @param eraseWithin how soon the bytes of what was released must be gone, milliseconds */
  constructor(session: Session, eraseWithin: number) {
    this.#session = session
    this.#eraseWithin = eraseWithin
  }

  /** The caller has locked the chunk and seen that nothing holds it. @returns false when it is condemned or gone already */
  async add(id: number, released: boolean): Promise<boolean> {
    const chunk = await this.#session.get(readChunk, { id })
    if (chunk === undefined) return false
    const within = released || chunk.erase_by !== null ? this.#eraseWithin : null
    await this.#session.run(condemn, { id, within })
    await this.#session.run(dissolveManifests, { chunk: id })
    const { digest, object_id: object, offset, kind, stored_length: stored } = chunk
    if (object !== null) await this.#wear({ object, kind, stored, within })
    await this.#condemnQuarantined({ digest, object, offset, within })
    if (within !== null) await this.#eraseCopies(digest, id, within)
    this.size += chunk.size
    this.chunks += 1
    return true
  }

  /** Counts what is dead in packs now. Called last. */
  async finish(): Promise<void> {
    for (const [id, worn] of this.#worn) await this.#session.run(wearPack, { id, ...worn })
    this.#worn.clear()
  }

  /** A whole object goes with its only chunk; a pack has a little less in it that anybody needs. */
  async #wear({ object, kind, stored, within }: Worn): Promise<void> {
    if (kind === objectKind.whole) await condemnObject(this.#session, object)
    else this.#wearPack(object, stored + ENTRY_OVERHEAD, within)
  }

  #wearPack(object: number, bytes: number, within: number | null): void {
    const known = this.#worn.get(object) ?? { bytes: 0, within: null }
    this.#worn.set(object, { bytes: known.bytes + bytes, within: within === null ? known.within : Math.min(within, known.within ?? within) })
  }

  /** Copies that are known of go as soon. */
  async #eraseCopies(digest: Uint8Array, id: number, within: number): Promise<void> {
    for (const copy of await this.#session.all(copiesOf, { digest, id })) {
      await this.#session.run(eraseCopy, { id: copy.id, within })
      if (copy.object_id !== null) this.#wearPack(copy.object_id, 0, within)
    }
  }

  /** Damaged places were kept for whoever needs these bytes; nobody does any more. */
  async #condemnQuarantined({ digest, object, offset, within }: Omit<Worn, 'object' | 'kind' | 'stored'> & Place): Promise<void> {
    for (const place of await this.#session.all(quarantinedAs, { digest })) {
      await this.#session.run(endQuarantine, { id: place.id })
      if (place.object_id === object && place.offset === offset) continue
      const { size, stored_length: stored, codec } = place
      await insertCondemnedCopy(this.#session, { digest, size, object: place.object_id, offset: place.offset, stored, codec }, within)
      await this.#wear({ object: place.object_id, kind: place.kind, stored, within })
    }
  }
}

interface Worn {
  readonly object: number
  readonly kind: number | null
  readonly stored: number
  readonly within: number | null
}

interface Place {
  readonly digest: Uint8Array
  readonly object: number | null
  readonly offset: number
}

/**
 * Notes that bytes lie somewhere which no row needs: a second copy, or one that was never named. A place that has a row already is left alone.
 * @param within how soon they must be gone, milliseconds; null: no matter when
 * @returns whether it was new
 */
export async function insertCondemnedCopy(session: Session, copy: Readonly<CopyFacts>, within: number | null): Promise<boolean> {
  if ((await session.get(atPlace, copy)) !== undefined) return false
  await session.run(insertCopy, { ...copy, within })
  return true
}

/**
 * How soon a copy of these bytes that is found must be gone, milliseconds: with the others, at once if they were destroyed before; null: no matter when.
 */
export async function eraseDateOf(session: Session, digest: Uint8Array): Promise<number | null> {
  if ((await session.get(liveOf, { digest })) !== undefined) return null
  const other = await session.get(erasedWithin, { digest })
  return other?.within ?? ((await destroyedBefore(session, digest)) ? 0 : null)
}
