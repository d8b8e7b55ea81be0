import type { FastifyReply } from 'fastify'
import { Readable } from 'node:stream'

/** The media type of JSON Lines. */
export const JSON_LINES = 'application/jsonl'

/**
 * Sends batches of values, a line each, as they come. What fails before the first batch is a problem like any other; later, the connection is cut, so
 * that nobody takes a part for the whole.
 */
export async function sendJsonLines(reply: FastifyReply, batches: AsyncIterable<readonly unknown[]>): Promise<FastifyReply> {
  const iterator = batches[Symbol.asyncIterator]()
  const first = await iterator.next()
  return reply
    .code(200)
    .header('Content-Type', JSON_LINES)
    .send(Readable.from(linesFrom(first, iterator), { objectMode: false }))
}

async function* linesFrom(
  first: IteratorResult<readonly unknown[], unknown>,
  iterator: AsyncIterator<readonly unknown[], unknown>,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    for (let batch = first; batch.done !== true; batch = await iterator.next()) {
      if (batch.value.length > 0) yield Buffer.from(batch.value.map((value) => `${JSON.stringify(value)}\n`).join(''))
    }
  } finally {
    await iterator.return?.()
  }
}

/** Batches of one each, for sources that come one by one. */
export async function* inBatches<T>(items: AsyncIterable<T>): AsyncGenerator<readonly T[], void, undefined> {
  for await (const item of items) yield [item]
}
