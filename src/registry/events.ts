import { randomBytes } from 'node:crypto'
import { type JsonObject, encodeCanonical } from '../core/canonical-json.ts'
import { GENESIS_HASH, type LoggedEvent, placeEvent } from '../core/event.ts'
import { statement, type Session } from './statement.ts'

const readHead = statement<object>()((_p, db) => db.selectFrom('events').select(['seq', 'time', 'hash']).orderBy('seq', 'desc').limit(1))
const insertEvent = statement<{
  seq: number
  id: string
  type: string
  time: number
  tenant: string
  resource: string
  actor: string
  data: string
  salt: Uint8Array
  hash: Uint8Array
}>()((p, db) =>
  db.insertInto('events').values({
    seq: p('seq'),
    id: p('id'),
    type: p('type'),
    time: p('time'),
    tenant: p('tenant'),
    resource: p('resource'),
    actor: p('actor'),
    data: p('data'),
    salt: p('salt'),
    hash: p('hash'),
  }),
)
const readAfter = statement<{ after: number; limit: number }>()((p, db) =>
  db.selectFrom('events').selectAll().where('seq', '>', p('after')).orderBy('seq').limit(p('limit')),
)

/** Where the log ends. `seq` 0: it is empty. */
export interface LogHead {
  readonly seq: number
  readonly time: number
  readonly hash: Uint8Array
}

/** The last event's position, time and chain hash. */
export async function getLogHead(session: Session): Promise<LogHead> {
  return (await session.get(readHead, {})) ?? { seq: 0, time: 0, hash: GENESIS_HASH }
}

/** Numbers what the session emitted and inserts it. Event time never runs backwards. Called last, just before the commit. */
export async function appendEvents(session: Session, now: number): Promise<void> {
  if (session.events.length === 0) return
  let { seq, time, hash } = await getLogHead(session)
  time = Math.max(time, now)
  for (const event of session.events) {
    seq += 1
    const placed = placeEvent(event, { seq, time, salt: randomBytes(16), previous: hash })
    hash = placed.hash
    await insertLoggedEvent(session, placed)
  }
}

/** Inserts an event that has its place already (recovery). */
export async function insertLoggedEvent(session: Session, event: LoggedEvent): Promise<void> {
  const { seq, id, type, time, tenant, resource, actor, salt, hash } = event
  const data = Buffer.from(encodeCanonical(event.data)).toString()
  await session.run(insertEvent, { seq, id, type, time, tenant, resource, actor, data, salt, hash })
}

/** Events after a position, in order. */
export async function listEvents(session: Session, after: number, limit: number): Promise<readonly LoggedEvent[]> {
  const rows = await session.all(readAfter, { after, limit })
  // Sound: this column is written only by insertLoggedEvent.
  return rows.map((row) => ({ ...row, data: JSON.parse(row.data) as JsonObject }))
}
