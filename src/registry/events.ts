import { randomBytes } from 'node:crypto'
import { type JsonObject, encodeCanonical } from '../core/canonical-json.ts'
import { CLOCK_ACCEPTED, GENESIS_HASH, type LoggedEvent, type NewEvent, placeEvent } from '../core/event.ts'
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
const readAfterOfResource = statement<{ resource: string; after: number; limit: number }>()((p, db) =>
  db.selectFrom('events').selectAll().where('resource', '=', p('resource')).where('seq', '>', p('after')).orderBy('seq').limit(p('limit')),
)
const readLastOfResource = statement<{ resource: string }>()((p, db) =>
  db.selectFrom('events').select(['seq', 'type']).where('resource', '=', p('resource')).orderBy('seq', 'desc').limit(1),
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

/** Says what time the events of a transaction have, UTC milliseconds, and what the log must say before them. Asked within the transaction. */
export interface Timekeeper {
  stamp(session: Session, head: LogHead): Promise<{ readonly time: number; readonly before: readonly NewEvent[] }>
}

/**
 * Numbers what the session emitted and inserts it. Event time never runs backwards, but where an operator accepts a clock that is behind. Called last,
 * just before the commit.
 */
export async function appendEvents(session: Session, timekeeper: Timekeeper): Promise<void> {
  if (session.events.length === 0) return
  const head = await getLogHead(session)
  const { time: now, before } = await timekeeper.stamp(session, head)
  let { seq, time, hash } = head
  for (const event of [...before, ...session.events]) {
    seq += 1
    time = event.type === CLOCK_ACCEPTED ? now : Math.max(time, now)
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
  return (await session.all(readAfter, { after, limit })).map(loggedEvent)
}

/** The last event of a resource, if there is one. */
export async function lastEventOfResource(session: Session, resource: string): Promise<{ readonly seq: number; readonly type: string } | undefined> {
  return session.get(readLastOfResource, { resource })
}

/** Events of one resource after a position, in order. */
export async function listEventsOfResource(session: Session, resource: string, after: number, limit: number): Promise<readonly LoggedEvent[]> {
  return (await session.all(readAfterOfResource, { resource, after, limit })).map(loggedEvent)
}

function loggedEvent(row: Omit<LoggedEvent, 'data'> & { readonly data: string }): LoggedEvent {
  // Sound: this column is written only by insertLoggedEvent.
  return { ...row, data: JSON.parse(row.data) as JsonObject }
}
