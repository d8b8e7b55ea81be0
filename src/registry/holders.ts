import { sql } from 'kysely'
import { type Session, type Statement, statement } from './statement.ts'
import { holderKind } from './tables.ts'

const insertHolder = statement<{ kind: number; holder: number; target: number }>()((p, db) =>
  db
    .insertInto('holders')
    .values({ kind: p('kind'), holder_id: p('holder'), target_id: p('target') })
    .onConflict((conflict) => conflict.doNothing()),
)
const lastOfPage = statement<{ kind: number; holder: number; limit: number }>()((p, db) =>
  db
    .selectFrom(
      db
        .selectFrom('holders')
        .select('target_id')
        .where('kind', '=', p('kind'))
        .where('holder_id', '=', p('holder'))
        .orderBy('target_id')
        .limit(p('limit'))
        .as('page'),
    )
    .select((eb) => [eb.fn.max('target_id').as('last'), eb.fn.countAll<number>().as('count')]),
)
const deleteUpTo = statement<{ kind: number; holder: number; last: number }>()((p, db) =>
  db.deleteFrom('holders').where('kind', '=', p('kind')).where('holder_id', '=', p('holder')).where('target_id', '<=', p('last')),
)
interface Page {
  kind: number
  holder: number
  last: number
}
/**
 * Queues the targets of a page for review: all of them, or those that nothing else holds. What is queued already keeps the later date, so that a grace
 * that runs for another reason is not cut short, and stays released. (PostgreSQL: this waits for a reviewer that has locked the row of the queue.)
 */
function queueStatement(which: 'all' | 'unheld'): Statement<Page & { age: number; released: number }, unknown> {
  return statement<Page & { age: number; released: number }>()((p, db, { now }) => {
    const page = db
      .selectFrom('holders')
      .select((eb) => ['target_id', eb(now, '-', p('age')).as('queued_at'), sql<number>`${p('released')}`.as('released')])
      .where('kind', '=', p('kind'))
      .where('holder_id', '=', p('holder'))
      .where('target_id', '<=', p('last'))
    const unheld = page.where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('holders as other')
            .select('other.target_id')
            .whereRef('other.target_id', '=', 'holders.target_id')
            .where((eb) => eb.or([eb('other.kind', '<>', p('kind')), eb('other.holder_id', '<>', p('holder'))])),
        ),
      ),
    )
    return db
      .insertInto('reviews')
      .columns(['target_id', 'queued_at', 'released'])
      .expression(which === 'all' ? page : unheld)
      .onConflict((conflict) =>
        conflict.column('target_id').doUpdateSet({
          queued_at: sql<number>`case when excluded.queued_at > reviews.queued_at then excluded.queued_at else reviews.queued_at end`,
          released: sql<number>`case when excluded.released > reviews.released then excluded.released else reviews.released end`,
        }),
      )
  })
}

const queueOne = statement<{ target: number; released: number }>()((p, db, { now }) =>
  db
    .insertInto('reviews')
    .values({ target_id: p('target'), queued_at: now, released: p('released') })
    .onConflict((conflict) =>
      conflict.column('target_id').doUpdateSet({
        queued_at: now,
        released: sql<number>`case when excluded.released > reviews.released then excluded.released else reviews.released end`,
      }),
    ),
)
const deleteOne = statement<{ kind: number; holder: number; target: number }>()((p, db) =>
  db.deleteFrom('holders').where('kind', '=', p('kind')).where('holder_id', '=', p('holder')).where('target_id', '=', p('target')),
)

const queueAll = queueStatement('all')
const queueUnheld = queueStatement('unheld')

const nextLease = statement<{ after: number }>()((p, db) =>
  db.selectFrom('holders').select('holder_id').where('kind', '=', holderKind.lease).where('holder_id', '>', p('after')).orderBy('holder_id').limit(1),
)

/** Who can hold a target. */
export type HolderKind = keyof typeof holderKind

/** Makes `holder` keep `target` alive. The caller has seen the target live in this transaction (I3). */
export async function hold(session: Session, kind: HolderKind, holder: number, target: number): Promise<void> {
  await session.run(insertHolder, { kind: holderKind[kind], holder, target })
}

/**
 * Lets go of up to `limit` targets and queues each for review, since only the review decides. What a package or a document lets go of was given up for
 * good: it counts as released. @returns how many; 0: none left
 */
export async function letGo(session: Session, kind: HolderKind, holder: number, limit: number): Promise<number> {
  const released = kind === 'package' || kind === 'document' ? 1 : 0
  return dropPage(session, { kind, holder, limit }, queueAll, { age: 0, released })
}

/** Lets go of one target, for good, and queues it for review. */
export async function letGoOf(session: Session, kind: 'package' | 'document', holder: number, target: number): Promise<void> {
  if ((await session.run(deleteOne, { kind: holderKind[kind], holder, target })) > 0) await session.run(queueOne, { target, released: 1 })
}

/**
 * The same for what a condemned manifest or blob holds. Its targets get no grace of their own, for theirs was over with its own.
 * @param grace milliseconds; reviews that ask for no longer one are due at once
 */
export async function letGoOfCondemned(
  session: Session,
  { kind, holder, limit }: { readonly kind: 'manifest' | 'blob'; readonly holder: number; readonly limit: number },
  { grace, released }: { readonly grace: number; readonly released: boolean },
): Promise<number> {
  return dropPage(session, { kind, holder, limit }, queueAll, { age: grace, released: released ? 1 : 0 })
}

/**
 * Drops up to `limit` rows of a draft whose package is sealed (which the caller has seen in this transaction): what the package's manifests hold
 * by now is merely handed over, the rest is queued for review. @returns how many; 0: none left
 */
export async function mergeHolds(session: Session, draft: number, limit: number): Promise<number> {
  return dropPage(session, { kind: 'draft', holder: draft, limit }, queueUnheld, { age: 0, released: 0 })
}

/** The next lease (by id, after `after`) that holds something, whether or not it is still there. */
export async function nextHoldingLease(session: Session, after: number): Promise<number | undefined> {
  return (await session.get(nextLease, { after }))?.holder_id
}

async function dropPage(
  session: Session,
  { kind, holder, limit }: { readonly kind: HolderKind; readonly holder: number; readonly limit: number },
  queue: typeof queueAll,
  facts: { readonly age: number; readonly released: number },
): Promise<number> {
  const page = { kind: holderKind[kind], holder }
  const { last = null, count = 0 } = (await session.get(lastOfPage, { ...page, limit })) ?? {}
  if (last === null) return 0
  await session.run(queue, { ...page, last, ...facts })
  await session.run(deleteUpTo, { ...page, last })
  return count
}
