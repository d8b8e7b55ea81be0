import { Type, type TUnsafe } from 'typebox'
import type { CloudEvent } from '../../core/cloud-event.ts'
import { closed, count, freeObject, oneOf, text, time } from './closed.ts'
import { repositoryName } from './name-schema.ts'

const cursor = text('Position in the log, behind this event. Opaque.')

/** An event as CloudEvents 1.0 has it. */
const cloudEvent: TUnsafe<CloudEvent> = closed<CloudEvent>('CloudEvent')(
  {
    specversion: oneOf(['1.0'], 'Version of CloudEvents.'),
    id: text('Id of the event: a UUIDv7.', 36),
    source: text('The store: `urn:uuid:<store id>`.', 64),
    type: text('What happened, such as `artifact-store.package.finalized`.', 255),
    subject: text('What changed, such as `packages/<id>`.'),
    time: time('When.'),
    datacontenttype: oneOf(['application/json'], 'What `data` is.'),
    data: freeObject('The facts, by type of event.'),
    seq: count('Place in the log, from 1, without gaps.'),
    tenant: text('Whose state changed.', 255),
    actor: text('Who did it.'),
    hash: text('Hash of the chain up to this event, hexadecimal.', 64),
    cursor,
  },
  { description: 'An event (CloudEvents 1.0, JSON format).' },
)

/** Answer of `GET /events`. */
export interface EventList {
  readonly events: readonly CloudEvent[]
  readonly cursor: string
}

/** One page of the log. */
export const eventList: TUnsafe<EventList> = closed<EventList>('EventList')({
  events: Type.Array(cloudEvent),
  cursor: text('Where the next page begins: give it as `after`. At the end of the log it does not move.'),
})

/** Query of `GET /events`. */
export interface EventQuery {
  readonly after?: string
  readonly limit?: number
  readonly wait?: number
  readonly eventType?: string
  readonly repository?: string
  readonly resource?: string
}

/** What is asked of the log. */
export const eventQuery: TUnsafe<EventQuery> = closed<EventQuery>()({
  after: Type.Optional(text('Only events behind this cursor.')),
  limit: Type.Optional(Type.Integer({ description: 'Most events of one page.', minimum: 1, maximum: 1_000 })),
  wait: Type.Optional(
    Type.Number({ description: 'How long to wait for an event when there is none, in seconds. A stream always waits.', minimum: 0, maximum: 300 }),
  ),
  eventType: Type.Optional(text('Only these types, separated by commas; `package.*` stands for all that begin so.', 4_096)),
  repository: Type.Optional({ ...repositoryName, description: 'Only events of this repository and those below it.' }),
  resource: Type.Optional(text('Only events of what has this name.')),
})

/** Header fields of `GET /events`. */
export interface EventHeaders {
  readonly 'last-event-id'?: string
}

/** What a client that comes back says. Other fields are the business of HTTP. */
export const eventHeaders: TUnsafe<EventHeaders> = Type.Unsafe<EventHeaders>(
  Type.Object(
    { 'last-event-id': Type.Optional(text('Where a stream continues: the `id` that was seen last. Goes before `after`.')) },
    { additionalProperties: true },
  ),
)
