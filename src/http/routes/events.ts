import type { ServerResponse } from 'node:http'
import { ownEventType, toCloudEvent } from '../../core/cloud-event.ts'
import type { EventFilter } from '../../store/event-interface.ts'
import { preferredType } from '../accept.ts'
import { EVENT_STREAM, sendEventStream } from '../event-stream.ts'
import { eventHeaders, type EventList, eventList, type EventQuery, eventQuery } from '../schema/event-schema.ts'
import { answers } from '../schema/problem-schema.ts'
import type { Application, ServerParts } from '../server-parts.ts'

const JSON_TYPE = 'application/json'
const found = {
  description: 'Events in order. A stream has the cursor as `id`, and `event: watermark` with `{cursor}` as a sign of life.',
  content: { [JSON_TYPE]: { schema: eventList }, [EVENT_STREAM]: { schema: { type: 'string' } } },
}

/** The log of what happened. */
export function eventRoutes(app: Application, { storeFor, stopping, park }: ServerParts): void {
  const waiting = new Set<AbortController>()
  stopping.addEventListener('abort', () => {
    for (const controller of waiting) controller.abort()
  })

  /** Aborts when nobody waits for the answer any more, or the server stops. */
  const giveUp = (response: ServerResponse): AbortSignal => {
    const controller = new AbortController()
    if (stopping.aborted) controller.abort()
    waiting.add(controller)
    response.once('close', () => {
      waiting.delete(controller)
      controller.abort()
    })
    return controller.signal
  }

  app.get(
    '/events',
    {
      // A stream has no end, and so no head without a body.
      exposeHeadRoute: false,
      schema: {
        tags: ['events'],
        summary: 'What happened, in order',
        description:
          'One page; with `wait` an empty one is only given after that time. With `Accept: text/event-stream` a stream of server-sent events that does not end; `Last-Event-ID` goes before `after`.',
        querystring: eventQuery,
        headers: eventHeaders,
        response: answers({ 200: found }),
      },
    },
    async (request, reply) => {
      const store = storeFor(request)
      const { query, headers } = request
      const signal = giveUp(reply.raw)
      const isStream = preferredType(headers.accept, [JSON_TYPE, EVENT_STREAM]) === EVENT_STREAM
      if (isStream || query.wait !== undefined) park(request.raw)
      if (isStream) {
        // A client that has seen nothing yet may say so with an empty id.
        const after = headers['last-event-id'] === '' ? query.after : (headers['last-event-id'] ?? query.after)
        return sendEventStream(reply, store.events.pages({ ...filterOf(query), ...(after === undefined ? {} : { after }), signal }), store.id)
      }
      const { events, cursor } = await store.events.list({ ...filterOf(query), ...pageOf(query), signal })
      const list: EventList = { events: events.map((event) => toCloudEvent(store.id, event)), cursor }
      return list
    },
  )
}

function filterOf({ eventType, repository, resource }: EventQuery): EventFilter {
  return {
    ...(eventType === undefined ? {} : { types: eventType.split(',').map(ownEventType) }),
    ...(repository === undefined ? {} : { repository }),
    ...(resource === undefined ? {} : { resource }),
  }
}

function pageOf({ after, limit, wait = 0 }: EventQuery): { readonly after?: string; readonly limit?: number; readonly waitMs: number } {
  return { ...(after === undefined ? {} : { after }), ...(limit === undefined ? {} : { limit }), waitMs: wait * 1_000 }
}
