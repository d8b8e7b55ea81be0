import { statement, type Session } from './statement.ts'

/** Up to which event a target was told. */
export interface DeliveryPosition {
  readonly logId: string
  readonly seq: number
}

/** What is known of a target. */
export interface DeliveryRow extends DeliveryPosition {
  readonly target: string
  /** Attempts in a row that came to nothing. */
  readonly failures: number
  readonly reason: string | undefined
  /** UTC milliseconds. */
  readonly failedAt: number | undefined
}

/** An event that a target refused. */
export interface DeadLetterRow {
  readonly id: number
  readonly target: string
  readonly seq: number
  readonly eventId: string
  readonly reason: string
  /** UTC milliseconds. */
  readonly refusedAt: number
}

const columns = ['target', 'log_id as logId', 'seq', 'failures', 'reason', 'failed_at as failedAt'] as const
const letterColumns = ['id', 'target', 'seq', 'event_id as eventId', 'reason', 'refused_at as refusedAt'] as const

const readOne = statement<{ target: string }>()((p, db) => db.selectFrom('deliveries').select(columns).where('target', '=', p('target')))
const readAll = statement<{ after: string; limit: number }>()((p, db) =>
  db.selectFrom('deliveries').select(columns).where('target', '>', p('after')).orderBy('target').limit(p('limit')),
)
const writePosition = statement<{ target: string; logId: string; seq: number }>()((p, db) =>
  db
    .insertInto('deliveries')
    .values({ target: p('target'), log_id: p('logId'), seq: p('seq'), failures: 0, reason: null, failed_at: null })
    .onConflict((conflict) =>
      conflict.column('target').doUpdateSet({ log_id: p('logId'), seq: p('seq'), failures: 0, reason: null, failed_at: null }),
    ),
)
const writeFailure = statement<{ target: string; logId: string; seq: number; reason: string }>()((p, db, { now }) =>
  db
    .insertInto('deliveries')
    .values({ target: p('target'), log_id: p('logId'), seq: p('seq'), failures: 1, reason: p('reason'), failed_at: now })
    .onConflict((conflict) =>
      conflict.column('target').doUpdateSet((eb) => ({ failures: eb(eb.ref('deliveries.failures'), '+', 1), reason: p('reason'), failed_at: now })),
    ),
)
const insertLetter = statement<{ target: string; logId: string; seq: number; eventId: string; reason: string }>()((p, db, { now }) =>
  db.insertInto('dead_letters').values({
    target: p('target'),
    log_id: p('logId'),
    seq: p('seq'),
    event_id: p('eventId'),
    reason: p('reason'),
    refused_at: now,
  }),
)
const readLetters = statement<{ target: string; after: number; limit: number }>()((p, db) =>
  db.selectFrom('dead_letters').select(letterColumns).where('target', '=', p('target')).where('id', '>', p('after')).orderBy('id').limit(p('limit')),
)

/** @returns undefined for a target that was never told anything */
export async function findDelivery(session: Session, target: string): Promise<DeliveryRow | undefined> {
  const row = await session.get(readOne, { target })
  return row === undefined ? undefined : deliveryRow(row)
}

/** Every target there ever was, by name. @param after name of the last one known */
export async function listDeliveries(session: Session, after: string, limit: number): Promise<readonly DeliveryRow[]> {
  return (await session.all(readAll, { after, limit })).map(deliveryRow)
}

/** A target has been told up to here; what failed before is over. */
export async function saveDelivery(session: Session, target: string, position: DeliveryPosition): Promise<void> {
  await session.run(writePosition, { target, ...position })
}

/** An attempt came to nothing. @param position where the target stands if it was never told anything */
export async function noteDeliveryFailure(session: Session, target: string, position: DeliveryPosition, reason: string): Promise<void> {
  await session.run(writeFailure, { target, ...position, reason })
}

/** A target refused an event for good. */
export async function addDeadLetter(
  session: Session,
  letter: DeliveryPosition & { readonly target: string; readonly eventId: string; readonly reason: string },
): Promise<void> {
  await session.run(insertLetter, { ...letter })
}

/** What a target refused, in order. @param after id of the last one known */
export async function listDeadLetters(session: Session, target: string, after: number, limit: number): Promise<readonly DeadLetterRow[]> {
  return session.all(readLetters, { target, after, limit })
}

function deliveryRow(
  row: Omit<DeliveryRow, 'reason' | 'failedAt'> & { readonly reason: string | null; readonly failedAt: number | null },
): DeliveryRow {
  return { ...row, reason: row.reason ?? undefined, failedAt: row.failedAt ?? undefined }
}
