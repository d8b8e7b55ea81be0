import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, get, type IncomingMessage } from 'node:http'
import { type TestContext, describe, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { listen } from '../testing/raw-http.ts'
import { Downloads, type Extent, type ReadExtent } from './downloads.ts'

const MIB = 1024 * 1024

/** Content that is different at every position, read in pieces of a given length; tells which extents were asked for, and how many readers are open. */
class Source {
  readonly asked: Extent[] = []
  readonly #pieceLength: number
  open = 0

  constructor(pieceLength: number) {
    this.#pieceLength = pieceLength
  }

  readonly read: ReadExtent = (extent) => {
    this.asked.push(extent)
    return this.#pieces(extent)
  }

  async *#pieces({ start, end }: Extent): AsyncGenerator<Uint8Array> {
    this.open += 1
    try {
      for (let position = start; position < end; position += this.#pieceLength) {
        await setImmediate()
        yield content({ start: position, end: Math.min(end, position + this.#pieceLength) })
      }
    } finally {
      this.open -= 1
    }
  }
}

function content({ start, end }: Extent): Buffer {
  const bytes = Buffer.allocUnsafeSlow(end - start)
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = ((start + index) * 31 + ((start + index) >> 8)) & 0xff
  return bytes
}

interface Rig {
  /** Asks for an extent. */
  readonly request: (extent: Extent) => Promise<IncomingMessage>
  readonly errors: unknown[]
}

/** Serves extents of one source at `/start-end`. */
async function serve(t: TestContext, downloads: Downloads, read: ReadExtent): Promise<Rig> {
  const errors: unknown[] = []
  const server = createServer((request, response) => {
    const [start = 0, end = 0] = (request.url ?? '').slice(1).split('-').map(Number)
    const send = async (): Promise<void> => {
      const download = await downloads.begin(read, { start, end })
      response.writeHead(200, { 'Content-Length': end - start })
      await download.sendTo(response)
    }
    send().catch((error: unknown) => errors.push(error))
  })
  const port = await listen(server)
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const request = async ({ start, end }: Extent): Promise<IncomingMessage> => {
    const sent = get({ port, host: '127.0.0.1', path: `/${start}-${end}`, agent: false })
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    return response
  }
  return { request, errors }
}

async function bytesOf(response: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = []
  // Sound: no encoding is set.
  for await (const piece of response) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}

describe('downloads', { timeout: 60_000 }, () => {
  test('give what was asked for, whatever is given up in between', async (t) => {
    const cases = fc.record({
      starts: fc.array(fc.nat(300_000), { minLength: 1, maxLength: 8 }),
      length: fc.integer({ min: 0, max: 400_000 }),
      pieceLength: fc.integer({ min: 50_000, max: 300_000 }),
    })
    const property = fc.asyncProperty(cases, async ({ starts, length, pieceLength }) => {
      // Room for one reader and the shortest slices.
      const downloads = new Downloads(1)
      const source = new Source(pieceLength)
      const { request, errors } = await serve(t, downloads, source.read)
      const contents = await Promise.all(starts.map(async (start) => bytesOf(await request({ start, end: start + length }))))
      starts.forEach((start, index) => assert.ok(contents[index]?.equals(content({ start, end: start + length }))))
      while (source.open > 0 || downloads.sending > 0) await setImmediate()
      assert.deepEqual(errors, [])
    })
    await fc.assert(property, { numRuns: 50 })
  })

  test('of clients that take nothing hold only so many readers and so many bytes, and go on when they do', async (t) => {
    const downloads = new Downloads(16 * MIB)
    const source = new Source(MIB)
    const { request } = await serve(t, downloads, source.read)
    const extent = { start: 0, end: 12 * MIB }
    const responses = await Promise.all(Array.from({ length: 30 }, () => request(extent)))
    // Nothing is read any more when all wait for their clients.
    let asked = 0
    for (let turn = 0; turn < 200 || source.asked.length > asked; turn += 1) {
      if (source.asked.length > asked) turn = 0
      asked = source.asked.length
      await setImmediate()
    }
    assert.ok(source.open <= 4, `${source.open} readers`)
    assert.ok(downloads.sending <= 8 * MIB + responses.length * 64 * 1024, `${downloads.sending} bytes`)
    const expected = content(extent)
    for (const response of responses) assert.ok((await bytesOf(response)).equals(expected))
    while (source.open > 0 || downloads.sending > 0) await setImmediate()
  })

  test('of one fast client open one reader, and give the memory of its pieces back at once', async (t) => {
    const downloads = new Downloads(64 * MIB)
    const pieces: Uint8Array[] = []
    const source = new Source(MIB)
    const { request } = await serve(t, downloads, async function* (extent) {
      for await (const piece of source.read(extent)) {
        pieces.push(piece)
        yield piece
      }
    })
    const extent = { start: 0, end: 8 * MIB }
    assert.ok((await bytesOf(await request(extent))).equals(content(extent)))
    assert.equal(source.asked.length, 1)
    assert.deepEqual(
      pieces.map(({ byteLength }) => byteLength),
      Array.from({ length: 8 }, () => 0),
    )
  })

  test('whose client goes away close their reader, and that is no error', async (t) => {
    const downloads = new Downloads(64 * MIB)
    const source = new Source(MIB)
    const { request, errors } = await serve(t, downloads, source.read)
    const response = await request({ start: 0, end: 100 * MIB })
    assert.equal(source.open, 1)
    response.destroy()
    while (source.open > 0 || downloads.sending > 0) await setImmediate()
    assert.deepEqual(errors, [])
  })

  test('that fail at once say so before anything is sent', async () => {
    const failing: ReadExtent = async function* () {
      yield* []
      throw new Error('damaged')
    }
    await assert.rejects(new Downloads(64 * MIB).begin(failing, { start: 0, end: 100 }), /damaged/)
  })

  test('that fail later, or are shorter than they should be, break the connection off', async (t) => {
    const failing: ReadExtent = async function* ({ start }) {
      if (start === 0) yield Buffer.alloc(10)
      if (start === 0) throw new Error('damaged')
    }
    const { request, errors } = await serve(t, new Downloads(64 * MIB), failing)
    await assert.rejects(async () => bytesOf(await request({ start: 0, end: 100 })), { code: 'ECONNRESET' })
    await assert.rejects(async () => bytesOf(await request({ start: 1, end: 100 })), { code: 'ECONNRESET' })
    assert.deepEqual(errors.map(String), ['Error: damaged', 'Error: there is nothing to read at 1 of 100 bytes'])
  })
})
