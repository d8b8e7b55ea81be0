import { type SqlBool, sql } from 'kysely'
import { type Session, statement } from './statement.ts'
import { holderKind } from './tables.ts'

/** Deletions of packages or parts of them, from the request to the certificate. Those that were taken back are not kept. Times are UTC milliseconds. */

/** Why it was deleted. */
export type Authority = 'request' | 'automatic' | 'plan'

/** Parts of a package that are deleted together. */
export interface DisposalRow {
  readonly id: number
  readonly uuid: string
  readonly package_id: number
  /** Set keys as a JSON array. */
  readonly sets: string
  readonly authority: string
  readonly plan: Uint8Array | null
  readonly deleted_by: string
  readonly reason: string | null
  readonly deleted_at: number
  readonly purging_at: number | null
  readonly purged_at: number | null
  readonly digests: number | null
  readonly certificate: Uint8Array | null
  readonly certified_at: number | null
}

/** What a deletion inserts. */
export interface NewDisposal {
  readonly uuid: string
  readonly packageId: number
  readonly sets: readonly string[]
  readonly authority: Authority
  readonly plan: Uint8Array | undefined
  readonly by: string
  readonly reason: string | undefined
  readonly at: number
}

const insert = statement<{
  uuid: string
  package: number
  sets: string
  authority: string
  plan: Uint8Array | null
  by: string
  reason: string | null
  at: number
}>()((p, db) =>
  db.insertInto('disposals').values({
    uuid: p('uuid'),
    package_id: p('package'),
    sets: p('sets'),
    authority: p('authority'),
    plan: p('plan'),
    deleted_by: p('by'),
    reason: p('reason'),
    deleted_at: p('at'),
    purging_at: null,
    purged_at: null,
    digests: null,
    certificate: null,
    certified_at: null,
  }),
)
const ofPackage = statement<{ package: number }>()((p, db) =>
  db.selectFrom('disposals').selectAll().where('package_id', '=', p('package')).orderBy('id'),
)
const byUuid = statement<{ uuid: string }>()((p, db) => db.selectFrom('disposals').selectAll().where('uuid', '=', p('uuid')))
const removeOpen = statement<{ package: number }>()((p, db) =>
  db.deleteFrom('disposals').where('package_id', '=', p('package')).where('purging_at', 'is', null),
)
const startPurging = statement<{ uuid: string; sets: string; at: number }>()((p, db) =>
  db
    .updateTable('disposals')
    .set({ purging_at: p('at'), sets: p('sets') })
    .where('uuid', '=', p('uuid')),
)
const endPurging = statement<{ uuid: string; at: number; digests: number }>()((p, db) =>
  db
    .updateTable('disposals')
    .set({ purged_at: p('at'), digests: p('digests') })
    .where('uuid', '=', p('uuid')),
)
const certify = statement<{ uuid: string; at: number; certificate: Uint8Array }>()((p, db) =>
  db
    .updateTable('disposals')
    .set({ certified_at: p('at'), certificate: p('certificate') })
    .where('uuid', '=', p('uuid')),
)
const unreleased = statement<{ after: number; limit: number }>()((p, db) =>
  db
    .selectFrom('disposals')
    .selectAll()
    .where(sql<SqlBool>`purging_at is not null and purged_at is null`)
    .where('id', '>', p('after'))
    .orderBy('id')
    .limit(p('limit')),
)
const uncertified = statement<{ checked: number; limit: number }>()((p, db) =>
  db
    .selectFrom('disposals')
    .selectAll()
    .where(sql<SqlBool>`purged_at is not null and certified_at is null`)
    .where('checked_at', '<=', p('checked'))
    .orderBy('checked_at')
    .orderBy('id')
    .limit(p('limit')),
)
const check = statement<{ id: number; at: number }>()((p, db) =>
  db
    .updateTable('disposals')
    .set({ checked_at: p('at') })
    .where('id', '=', p('id')),
)
const uncheckAll = statement<object>()((_p, db) =>
  db
    .updateTable('disposals')
    .set({ checked_at: 0 })
    .where(sql<SqlBool>`purged_at is not null and certified_at is null`),
)

const manifestsHeld = statement<{ package: number }>()((p, db) =>
  db
    .selectFrom('holders')
    .innerJoin('chunks', 'chunks.id', 'holders.target_id')
    .leftJoin('manifests', (join) => join.onRef('manifests.chunk_id', '=', 'chunks.id').on(sql<SqlBool>`manifests.state = 1`))
    .select(['chunks.id as chunk', 'chunks.digest', 'chunks.size', 'manifests.id as manifest'])
    .where('holders.kind', '=', holderKind.package)
    .where('holders.holder_id', '=', p('package')),
)
const recordDigest = statement<{ disposal: number; digest: Uint8Array; size: number }>()((p, db) =>
  db
    .insertInto('disposal_digests')
    .values({ disposal_id: p('disposal'), digest: p('digest'), size: p('size') })
    .onConflict((conflict) => conflict.doNothing()),
)
const lastTarget = statement<{ manifest: number; after: number; limit: number }>()((p, db) =>
  db
    .selectFrom(
      db
        .selectFrom('holders')
        .select('target_id')
        .where('kind', '=', holderKind.manifest)
        .where('holder_id', '=', p('manifest'))
        .where('target_id', '>', p('after'))
        .orderBy('target_id')
        .limit(p('limit'))
        .as('page'),
    )
    .select((eb) => [eb.fn.max('target_id').as('last'), eb.fn.countAll<number>().as('count')]),
)
const recordTargets = statement<{ disposal: number; manifest: number; after: number; last: number }>()((p, db) =>
  db
    .insertInto('disposal_digests')
    .columns(['disposal_id', 'digest', 'size'])
    .expression(
      db
        .selectFrom('holders')
        .innerJoin('chunks', 'chunks.id', 'holders.target_id')
        .select([sql<number>`${p('disposal')}`.as('disposal_id'), 'chunks.digest', 'chunks.size'])
        .where('holders.kind', '=', holderKind.manifest)
        .where('holders.holder_id', '=', p('manifest'))
        .where('holders.target_id', '>', p('after'))
        .where('holders.target_id', '<=', p('last')),
    )
    .onConflict((conflict) => conflict.doNothing()),
)
const pageOfDigests = statement<{ disposal: number; after: Uint8Array; limit: number }>()((p, db) =>
  db
    .selectFrom('disposal_digests')
    .select(['digest', 'size'])
    .where('disposal_id', '=', p('disposal'))
    .where('digest', '>', p('after'))
    .orderBy('digest')
    .limit(p('limit')),
)
const countDigests = statement<{ disposal: number }>()((p, db) =>
  db
    .selectFrom('disposal_digests')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('disposal_id', '=', p('disposal')),
)
const othersWaiting = statement<{ disposal: number; digest: Uint8Array }>()((p, db) =>
  db.selectFrom('disposal_digests').select('disposal_id').where('digest', '=', p('digest')).where('disposal_id', '<>', p('disposal')).limit(1),
)
const dropDigests = statement<{ disposal: number; to: Uint8Array }>()((p, db) =>
  db.deleteFrom('disposal_digests').where('disposal_id', '=', p('disposal')).where('digest', '<=', p('to')),
)

/** A package, or parts of it, were deleted. */
export async function insertDisposal(session: Session, { uuid, packageId, sets, authority, plan, by, reason, at }: NewDisposal): Promise<void> {
  await session.run(insert, { uuid, package: packageId, sets: JSON.stringify(sets), authority, plan: plan ?? null, by, reason: reason ?? null, at })
}

/** All of a package, in their order. */
export async function listDisposals(session: Session, packageId: number): Promise<readonly DisposalRow[]> {
  return session.all(ofPackage, { package: packageId })
}

/** By name. */
export async function findDisposal(session: Session, uuid: string): Promise<DisposalRow | undefined> {
  return session.get(byUuid, { uuid })
}

/** Set keys of a disposal. */
export function setsOf({ sets }: Pick<DisposalRow, 'sets'>): readonly string[] {
  // Sound: insertDisposal and beginPurging write arrays of strings.
  return JSON.parse(sets) as readonly string[]
}

/** What was deleted of a package was taken back. */
export async function removeOpenDisposals(session: Session, packageId: number): Promise<void> {
  await session.run(removeOpen, { package: packageId })
}

/** From now on there is no way back for these parts. */
export async function beginPurging(session: Session, uuid: string, sets: readonly string[], at: number): Promise<void> {
  await session.run(startPurging, { uuid, sets: JSON.stringify(sets), at })
}

/** All of it was let go. */
export async function finishPurging(session: Session, uuid: string, at: number, digests: number): Promise<void> {
  await session.run(endPurging, { uuid, at, digests })
}

/** Its certificate was written. */
export async function noteCertificate(session: Session, uuid: string, at: number, certificate: Uint8Array): Promise<void> {
  await session.run(certify, { uuid, at, certificate })
}

/** Disposals that have begun, of which something is still held. */
export async function listUnreleased(session: Session, after: number, limit: number): Promise<readonly DisposalRow[]> {
  return session.all(unreleased, { after, limit })
}

/** Disposals without a certificate at which nobody has looked since a time (UTC ms, inclusive), those first that wait longest. */
export async function listUncertified(session: Session, checked: number, limit: number): Promise<readonly DisposalRow[]> {
  return session.all(uncertified, { checked, limit })
}

/** Notes that the certificate cannot be written yet. */
export async function noteChecked(session: Session, id: number, at: number): Promise<void> {
  await session.run(check, { id, at })
}

/** Forgets when somebody looked at what: another clock counts from now on. */
export async function forgetChecks(session: Session): Promise<void> {
  await session.run(uncheckAll, {})
}

/** A manifest that a package holds: its bytes, and its row as a holder, if it is one. */
export interface HeldManifest {
  readonly chunk: number
  readonly digest: Uint8Array
  readonly size: number
  readonly manifest: number | null
}

/** The manifests that a package holds. */
export async function listHeldManifests(session: Session, packageId: number): Promise<readonly HeldManifest[]> {
  return session.all(manifestsHeld, { package: packageId })
}

/** Writes down that a manifest goes with a disposal. */
export async function recordManifest(session: Session, disposal: number, { digest, size }: HeldManifest): Promise<void> {
  await session.run(recordDigest, { disposal, digest, size })
}

/** Writes down up to `limit` of what a manifest names, after a target. @returns the last of them; undefined: there were none */
export async function recordManifestTargets(
  session: Session,
  disposal: number,
  manifest: number,
  after: number,
  limit: number,
): Promise<number | undefined> {
  const last = (await session.get(lastTarget, { manifest, after, limit }))?.last ?? undefined
  if (last !== undefined) await session.run(recordTargets, { disposal, manifest, after, last })
  return last
}

/** What a disposal let go of, in order of digest. */
export async function listDisposalDigests(
  session: Session,
  disposal: number,
  after: Uint8Array,
  limit: number,
): Promise<readonly { readonly digest: Uint8Array; readonly size: number }[]> {
  return session.all(pageOfDigests, { disposal, after, limit })
}

/** How many digests are written down. */
export async function countDisposalDigests(session: Session, disposal: number): Promise<number> {
  return (await session.get(countDigests, { disposal }))?.count ?? 0
}

/** Whether another disposal waits for what becomes of a digest, too. */
export async function isAwaitedElsewhere(session: Session, disposal: number, digest: Uint8Array): Promise<boolean> {
  return (await session.get(othersWaiting, { disposal, digest })) !== undefined
}

/** Forgets what was written down, up to a digest: the certificate has it. */
export async function dropDisposalDigests(session: Session, disposal: number, to: Uint8Array): Promise<void> {
  await session.run(dropDigests, { disposal, to })
}
