import type { JsonObject } from './canonical-json.ts'

/** What stands before our types of events, so that they mean the same wherever they are sent. */
const TYPE_PREFIX = 'artifact-store.'

/** An event as users see it. `cursor` continues after it, `hash` is the chain up to it in hexadecimal. */
export interface PublicEvent {
  readonly cursor: string
  readonly seq: number
  readonly id: string
  readonly type: string
  readonly time: string
  readonly tenant: string
  readonly resource: string
  readonly actor: string
  readonly data: JsonObject
  readonly hash: string
}

/** An event in the words of CloudEvents 1.0, JSON format, structured mode. From `seq` on these are extension attributes. */
export interface CloudEvent {
  readonly specversion: '1.0'
  readonly id: string
  /** The store: `urn:uuid:<store id>`. */
  readonly source: string
  readonly type: string
  /** What changed. */
  readonly subject: string
  readonly time: string
  readonly datacontenttype: 'application/json'
  readonly data: JsonObject
  readonly seq: number
  readonly tenant: string
  readonly actor: string
  readonly hash: string
  readonly cursor: string
}

/** Says an event in the words of CloudEvents. */
export function toCloudEvent(storeId: string, { cursor, seq, id, type, time, tenant, resource, actor, data, hash }: PublicEvent): CloudEvent {
  return {
    specversion: '1.0',
    id,
    source: `urn:uuid:${storeId}`,
    type: `${TYPE_PREFIX}${type}`,
    subject: resource,
    time,
    datacontenttype: 'application/json',
    data,
    seq,
    tenant,
    actor,
    hash,
    cursor,
  }
}

/** Says it in our own words again. */
export function fromCloudEvent({ cursor, seq, id, type, time, tenant, subject, actor, data, hash }: CloudEvent): PublicEvent {
  return { cursor, seq, id, type: ownEventType(type), time, tenant, resource: subject, actor, data, hash }
}

/** Our name of a type of events, which CloudEvents have with a prefix. */
export function ownEventType(type: string): string {
  return type.startsWith(TYPE_PREFIX) ? type.slice(TYPE_PREFIX.length) : type
}
