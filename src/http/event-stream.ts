import type { FastifyReply } from 'fastify'
import type { ServerResponse } from 'node:http'
import { toCloudEvent } from '../core/cloud-event.ts'
import type { EventPage, StoreEvent } from '../store/event-interface.ts'

/** The media type of server-sent events. */
export const EVENT_STREAM = 'text/event-stream'

/** Clients that were cut off together come back within this time, in ms: at the earliest, and how much later. */
const RETRY_MS = 1_000
const RETRY_SPREAD_MS = 4_000
/** Events are written in pieces of about this many characters, so that a slow client keeps little in memory. */
const PIECE = 64 * 1024

/** An event is written the same for everybody, and made once. */
const frames = new WeakMap<StoreEvent, string>()

/**
 * Sends pages of events as server-sent events (WHATWG HTML, section 9.2) until they end or the client is gone: the cursor as `id`, our type as `event`,
 * a CloudEvent as `data`. An empty page is sent as `event: watermark`, which is a sign of life, and carries on the cursor of a client whose filter
 * lets nothing through.
 * @throws what the first page meets; later, the connection is cut
 */
export async function sendEventStream(reply: FastifyReply, pages: AsyncIterable<EventPage>, storeId: string): Promise<void> {
  const iterator = pages[Symbol.asyncIterator]()
  let page = await iterator.next()
  const response = reply.hijack().raw
  try {
    // Proxies gather what they are not told to hand on.
    reply.headers({ 'Content-Type': EVENT_STREAM, 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' })
    for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) response.setHeader(name, value)
    await write(response, `retry: ${RETRY_MS + Math.floor(Math.random() * RETRY_SPREAD_MS)}\n\n`)
    for (; page.done !== true; page = await iterator.next()) {
      for (const piece of piecesOf(page.value, storeId)) await write(response, piece)
    }
    response.end()
  } catch {
    // The client cannot be told any more, and comes back.
    response.destroy()
  } finally {
    await iterator.return?.()
  }
}

function* piecesOf({ events, cursor }: EventPage, storeId: string): Generator<string, void, undefined> {
  let piece = ''
  for (const event of events) {
    piece += frameOf(event, storeId)
    if (piece.length < PIECE) continue
    yield piece
    piece = ''
  }
  yield events.length === 0 ? `event: watermark\nid: ${cursor}\ndata: ${JSON.stringify({ cursor })}\n\n` : piece
}

function frameOf(event: StoreEvent, storeId: string): string {
  const known = frames.get(event)
  if (known !== undefined) return known
  const frame = `event: ${event.type}\nid: ${event.cursor}\ndata: ${JSON.stringify(toCloudEvent(storeId, event))}\n\n`
  frames.set(event, frame)
  return frame
}

/** Writes no faster than the client reads; one that takes nothing for too long is cut off by the server. @throws when the client is gone */
async function write(response: ServerResponse, piece: string): Promise<void> {
  if (piece === '' || response.write(piece)) return
  await new Promise<void>((resolve) => {
    const settle = (): void => {
      response.off('drain', settle).off('close', settle)
      resolve()
    }
    response.on('drain', settle).on('close', settle)
    if (response.destroyed) settle()
  })
  if (response.destroyed) throw new Error('the client is gone')
}
