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
/** Queues the targets of a page for review: all of them, or those that nothing else holds. */
function queueStatement(which: 'all' | 'unheld'): Statement<{ kind: number; holder: number; last: number }, unknown> {
  return statement<{ kind: number; holder: number; last: number }>()((p, db, { now }) => {
    const page = db
      .selectFrom('holders')
      .select(['target_id', now.as('queued_at')])
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
      .columns(['target_id', 'queued_at'])
      .expression(which === 'all' ? page : unheld)
      .onConflict((conflict) => conflict.column('target_id').doUpdateSet({ queued_at: now }))
  })
}

const queueAll = queueStatement('all')
const queueUnheld = queueStatement('unheld')

/** Who can hold a target. */
export type HolderKind = keyof typeof holderKind

/** Makes `holder` keep `target` alive. The caller has seen the target live in this transaction (I3). */
export async function hold(session: Session, kind: HolderKind, holder: number, target: number): Promise<void> {
  await session.run(insertHolder, { kind: holderKind[kind], holder, target })
}

/** Lets go of up to `limit` targets and queues each for review, since only the review decides. @returns how many; 0: none left */
export async function letGo(session: Session, kind: HolderKind, holder: number, limit: number): Promise<number> {
  return dropPage(session, kind, holder, limit, queueAll)
}

/**
 * Drops up to `limit` rows of a draft whose package is sealed (which the caller has seen in this transaction): what the package's manifests hold
 * by now is merely handed over, the rest is queued for review. @returns how many; 0: none left
 */
export async function mergeHolds(session: Session, draft: number, limit: number): Promise<number> {
  return dropPage(session, 'draft', draft, limit, queueUnheld)
}

async function dropPage(session: Session, kind: HolderKind, holder: number, limit: number, queue: typeof queueAll): Promise<number> {
  const page = { kind: holderKind[kind], holder }
  const { last = null, count = 0 } = (await session.get(lastOfPage, { ...page, limit })) ?? {}
  if (last === null) return 0
  await session.run(queue, { ...page, last })
  await session.run(deleteUpTo, { ...page, last })
  return count
}
