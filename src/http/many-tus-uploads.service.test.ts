import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { digestOf } from '../core/digest.ts'
import { createStore, openStore } from '../store/open.ts'
import { limitMemory } from '../testing/memory-limit.ts'
import { serveInProcess } from '../testing/served-process.ts'
import { serviceTest } from '../testing/service-test.ts'

const UPLOADS = 1_000
const SIZE = 512 * 1024
const PIECE = 32 * 1024
const MEMORY = 512 * 1024 * 1024
/** Between two pieces of one upload: all of them are under way at the same time. */
const PAUSE_MS = 400
const VERSION = { 'Tus-Resumable': '1.0.0' }

serviceTest('a thousand slow resumable uploads at once are stored by a server that has 512 MiB of memory', ['memory-limit'], async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'many-tus-uploads-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const directory = join(folder, 'store')
  const made = await createStore(directory)
  const draft = await made.packages.open({ repository: 'uploads' })
  await made.close()
  const { address, child, end } = await serveInProcess(t, directory, limitMemory(t, MEMORY))
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  /** Every upload is a part of these bytes that begins somewhere else. */
  const noise = randomBytes(SIZE + UPLOADS)
  const contentOf = (index: number): Buffer => noise.subarray(index, index + SIZE)

  const send = async (
    method: string,
    target: string,
    headers: Readonly<Record<string, string>>,
    body?: Buffer,
  ): Promise<IncomingMessage | undefined> => {
    const { promise, resolve } = Promise.withResolvers<IncomingMessage | undefined>()
    const length = body === undefined ? {} : { 'Content-Length': String(body.length) }
    const sent = request(`${address}${target}`, { method, agent, headers: { ...VERSION, ...headers, ...length } }, resolve)
    sent.on('error', () => resolve(undefined))
    if (body === undefined) sent.end()
    // An answer that comes before the body was sent is seen below.
    else pipeline(Readable.from(slowly(body)), sent).catch(() => undefined)
    const response = await promise
    response?.resume()
    return response
  }
  const create = async (index: number): Promise<string> => {
    const facts = { packageId: draft.id, path: `f${index}`, digest: digestOf(contentOf(index)) }
    const metadata = Object.entries(facts).map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
    for (;;) {
      const response = await send('POST', '/uploads', { 'Upload-Length': String(SIZE), 'Upload-Metadata': metadata.join(',') })
      if (response?.statusCode === 201) return response.headers.location ?? ''
      await wait(1_000)
    }
  }
  const statuses = new Map<number | undefined, number>()
  const upload = async (index: number): Promise<void> => {
    const target = await create(index)
    for (let offset = 0; ;) {
      const headers = { 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': String(offset) }
      const response = await send('PATCH', target, headers, contentOf(index).subarray(offset))
      statuses.set(response?.statusCode, (statuses.get(response?.statusCode) ?? 0) + 1)
      if (response?.statusCode === 204) return
      // Those that are turned away go on later, from wherever they are.
      assert.ok([undefined, 408, 409, 503].includes(response?.statusCode), String(response?.statusCode))
      await wait(1_000)
      offset = Number((await send('HEAD', target, {}))?.headers['upload-offset'] ?? offset)
    }
  }
  await Promise.all(Array.from({ length: UPLOADS }, (_, index) => upload(index)))
  const peak = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid ?? 0}/status`, 'latin1'))?.[1]
  t.diagnostic(`answers: ${JSON.stringify([...statuses])}; at most ${Math.round(Number(peak) / 1024)} MiB were resident`)
  assert.equal(await end('SIGTERM'), 0)

  await using store = await openStore(directory)
  const { id, fileCount } = await (await store.packages.resume(draft.id)).finalize()
  assert.equal(fileCount, UPLOADS)
  for await (const { path, problem } of store.packages.verify(id)) assert.equal(problem, undefined, path ?? '')
})

async function* slowly(content: Buffer): AsyncGenerator<Buffer, void, undefined> {
  for (let offset = 0; offset < content.length; offset += PIECE) {
    yield content.subarray(offset, offset + PIECE)
    await wait(PAUSE_MS)
  }
}
