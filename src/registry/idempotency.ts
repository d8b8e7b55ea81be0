import { statement, type Session } from './statement.ts'

/** What names a request: who made it, of which route, and the key they gave it. */
export interface IdempotencyKey {
  readonly actor: string
  readonly route: string
  readonly key: string
}

/** An answer as it was sent. `headers` is a JSON object. */
export interface KeptAnswerRow {
  readonly status: number
  readonly headers: string
  readonly body: string
}

/** A request whose key is known. Without a status it is under way; `age` in ms since its attempt began, on the database's clock. */
export interface IdempotencyRow {
  readonly id: number
  readonly fingerprint: Uint8Array
  readonly lease_id: number | null
  readonly status: number | null
  readonly headers: string | null
  readonly body: string | null
  readonly age: number
}

const find = statement<IdempotencyKey>()((p, db, { now }) =>
  db
    .selectFrom('idempotency')
    .select((eb) => ['id', 'fingerprint', 'lease_id', 'status', 'headers', 'body', eb(now, '-', eb.ref('began_at')).as('age')])
    .where('actor', '=', p('actor'))
    .where('route', '=', p('route'))
    .where('key', '=', p('key')),
)
const insert = statement<IdempotencyKey & { fingerprint: Uint8Array; attempt: string; lease: number | null }>()((p, db, { now }) =>
  db.insertInto('idempotency').values({
    actor: p('actor'),
    route: p('route'),
    key: p('key'),
    fingerprint: p('fingerprint'),
    attempt: p('attempt'),
    lease_id: p('lease'),
    status: null,
    headers: null,
    body: null,
    began_at: now,
  }),
)
const finish = statement<KeptAnswerRow & { attempt: string }>()((p, db) =>
  db
    .updateTable('idempotency')
    .set({ status: p('status'), headers: p('headers'), body: p('body') })
    .where('attempt', '=', p('attempt'))
    .where('status', 'is', null),
)
const removeAttempt = statement<{ attempt: string }>()((p, db) =>
  db.deleteFrom('idempotency').where('attempt', '=', p('attempt')).where('status', 'is', null),
)
const remove = statement<{ id: number }>()((p, db) => db.deleteFrom('idempotency').where('id', '=', p('id')))
const old = statement<{ lifetime: number; limit: number }>()((p, db, { now }) =>
  db
    .selectFrom('idempotency')
    .select('id')
    .where((eb) => eb('began_at', '<', eb(now, '-', p('lifetime'))))
    .orderBy('began_at')
    .limit(p('limit')),
)

/** What is known of a key, whatever its age. */
export async function findIdempotency(session: Session, key: IdempotencyKey): Promise<IdempotencyRow | undefined> {
  return session.get(find, key)
}

/** Notes that a request is under way. `attempt` (a UUID) is its fence: another attempt takes the entry away from it. */
export async function insertIdempotency(
  session: Session,
  entry: IdempotencyKey & { readonly fingerprint: Uint8Array; readonly attempt: string; readonly lease: number | null },
): Promise<void> {
  await session.run(insert, entry)
}

/** Keeps the answer of an attempt. @returns false when the entry was taken over */
export async function finishIdempotency(session: Session, attempt: string, answer: KeptAnswerRow): Promise<boolean> {
  return (await session.run(finish, { attempt, ...answer })) > 0
}

/** Forgets an attempt that has no answer to be kept. */
export async function forgetIdempotency(session: Session, attempt: string): Promise<void> {
  await session.run(removeAttempt, { attempt })
}

/** Removes an entry. */
export async function removeIdempotency(session: Session, id: number): Promise<void> {
  await session.run(remove, { id })
}

/** Removes up to `limit` entries older than `lifetime` (ms), on the database's clock. @returns how many */
export async function pruneIdempotency(session: Session, lifetime: number, limit: number): Promise<number> {
  const entries = await session.all(old, { lifetime, limit })
  for (const { id } of entries) await session.run(remove, { id })
  return entries.length
}
