import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { createStore, openStore } from '../store/open.ts'
import { limitMemory } from '../testing/memory-limit.ts'
import { serveInProcess } from '../testing/served-process.ts'
import { serviceTest } from '../testing/service-test.ts'

const UPLOADS = 1_000
const SIZE = 1024 * 1024
const PIECE = 64 * 1024
const MEMORY = 512 * 1024 * 1024

serviceTest('a thousand uploads at once are stored by a server that has 512 MiB of memory', ['memory-limit'], async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'many-uploads-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const directory = join(folder, 'store')
  await (await createStore(directory)).close()
  const { address, end } = await serveInProcess(t, directory, limitMemory(t, MEMORY))
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())

  const opened = await fetch(`${address}/packages`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{"repository":"uploads"}',
  })
  const { id } = (await opened.json()) as { id: string }
  /** Every upload is a part of these bytes that begins somewhere else. */
  const noise = randomBytes(SIZE + UPLOADS)
  const upload = async (index: number): Promise<number | undefined> => {
    const { promise, resolve } = Promise.withResolvers<IncomingMessage | undefined>()
    const sent = request(`${address}/packages/${id}/files/f${index}`, { method: 'PUT', agent, headers: { 'Content-Length': SIZE } }, resolve)
    sent.on('error', () => resolve(undefined))
    const pieces = Array.from({ length: SIZE / PIECE }, (_, piece) => noise.subarray(index + piece * PIECE, index + (piece + 1) * PIECE))
    // An answer that comes before the body was sent is seen below.
    pipeline(Readable.from(pieces), sent).catch(() => undefined)
    const response = await promise
    response?.resume()
    return response?.statusCode
  }
  const statuses = new Map<number | undefined, number>()
  const persist = async (index: number): Promise<void> => {
    for (;;) {
      const status = await upload(index)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      if (status === 201) return
      // Those that are turned away come again, as they are asked to.
      assert.ok(status === undefined || status === 503 || status === 408, String(status))
      await wait(1_000)
    }
  }
  await Promise.all(Array.from({ length: UPLOADS }, (_, index) => persist(index)))
  t.diagnostic(JSON.stringify([...statuses]))
  const sealed = await fetch(`${address}/packages/${id}/finalize`, { method: 'POST' })
  assert.equal(((await sealed.json()) as { fileCount: number }).fileCount, UPLOADS)
  assert.equal(await end('SIGTERM'), 0)

  await using store = await openStore(directory)
  for (const index of [0, 1, UPLOADS / 2, UPLOADS - 1]) {
    const read = Buffer.concat(await Array.fromAsync(store.files.read(id, `f${index}`)))
    assert.ok(read.equals(noise.subarray(index, index + SIZE)))
  }
})
