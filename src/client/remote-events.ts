import { type CloudEvent, fromCloudEvent } from '../core/cloud-event.ts'
import { AbortedError, InputInvalidError } from '../core/errors.ts'
import type { EventPage, Events, StoreEvent } from '../store/event-interface.ts'
import { Members, type Read, readCount, readJsonObject, readList, readText, readWord } from './answer.ts'
import type { Connection } from './connection.ts'
import { requestPath } from './request-url.ts'

/** What a server waits at most before it answers an empty page. */
const LONGEST_WAIT_MS = 300_000
const HEARTBEAT_MS = 15_000

type ListOptions = NonNullable<Parameters<Events['list']>[0]>

/** The event log of a store behind a server. Followers poll long, and go on from their cursor when the connection breaks off. */
export class RemoteEvents implements Events {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  async list({ types, repository, resource, after, limit, waitMs, signal }: ListOptions = {}): Promise<EventPage> {
    const wait = waitMs === undefined ? undefined : Math.min(waitMs, LONGEST_WAIT_MS) / 1_000
    const path = requestPath(['events'], { eventType: types?.join(','), repository, resource, after, limit, wait })
    return this.#connection.json({ method: 'GET', path, signal }, readEventPage)
  }

  async *pages(options: Parameters<Events['pages']>[0] = {}): AsyncGenerator<EventPage, void, undefined> {
    const { heartbeatMs = HEARTBEAT_MS, after, ...filter } = options
    if (!(heartbeatMs > 0)) throw new InputInvalidError('a sign of life needs some time before it')
    // What is there is told at once; only then it is waited for more.
    let [cursor, waitMs] = [after, 0]
    while (filter.signal?.aborted !== true) {
      const page = await this.list({ ...filter, waitMs, ...(cursor === undefined ? {} : { after: cursor }) }).catch((error: unknown) => {
        if (error instanceof AbortedError && filter.signal?.aborted === true) return undefined
        throw error
      })
      if (page === undefined) return
      yield page
      cursor = page.cursor
      waitMs = heartbeatMs
    }
  }

  async *follow(options: Parameters<Events['follow']>[0] = {}): AsyncGenerator<StoreEvent, void, undefined> {
    for await (const { events } of this.pages(options)) {
      for (const event of events) {
        if (options.signal?.aborted === true) return
        yield event
      }
    }
  }

  verify(): Promise<{ readonly events: number; readonly head: string; readonly mirrored: number }> {
    return this.#connection.json({ method: 'POST', path: 'events/verify', repeatable: true }, readVerifiedLog)
  }
}

const readCloudEvent: Read<CloudEvent> = (value, where) => {
  const members = new Members(value, where)
  return {
    specversion: members.one('specversion', readWord('1.0')),
    id: members.one('id', readText),
    source: members.one('source', readText),
    type: members.one('type', readText),
    subject: members.one('subject', readText),
    time: members.one('time', readText),
    datacontenttype: 'application/json',
    data: members.one('data', readJsonObject),
    seq: members.one('seq', readCount),
    tenant: members.one('tenant', readText),
    actor: members.one('actor', readText),
    hash: members.one('hash', readText),
    cursor: members.one('cursor', readText),
  }
}

const readEventPage: Read<EventPage> = (value, where) => {
  const members = new Members(value, where)
  return {
    events: members.one(
      'events',
      readList((event, place) => fromCloudEvent(readCloudEvent(event, place))),
    ),
    cursor: members.one('cursor', readText),
  }
}

const readVerifiedLog: Read<{ readonly events: number; readonly head: string; readonly mirrored: number }> = (value, where) => {
  const members = new Members(value, where)
  return { events: members.one('events', readCount), head: members.one('head', readText), mirrored: members.one('mirrored', readCount) }
}
