import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createStore, openStore } from '../store/open.ts'
import { serveInProcess } from '../testing/served-process.ts'

const CLIENTS = 16
const json = { 'Content-Type': 'application/json' }

/** What a client was told is done. */
interface Ledger {
  /** Package ids and the content of their only file. */
  readonly sealed: Map<string, string>
  /** Open packages and the content of a file in them. */
  readonly stored: Map<string, string>
}

/** Stores packages until the server is gone. */
async function produce(address: string, name: string, ledger: Ledger): Promise<void> {
  const call = async (method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<{ id: string } | undefined> => {
    try {
      const response = await fetch(address + path, { method, headers, ...(body === undefined ? {} : { body }) })
      const text = await response.text()
      // Sound: only the id is used, which the test compares.
      return response.ok ? (JSON.parse(text) as { id: string }) : undefined
    } catch {
      return undefined
    }
  }
  for (let turn = 0; ; turn += 1) {
    const content = `${name}-${turn}`
    const opened = await call('POST', '/packages', JSON.stringify({ repository: 'drain', runId: content }), json)
    if (opened === undefined) return
    if ((await call('PUT', `/packages/${opened.id}/files/content`, content)) === undefined) return
    ledger.stored.set(opened.id, content)
    if ((await call('POST', `/packages/${opened.id}/finalize`)) === undefined) return
    ledger.sealed.set(opened.id, content)
  }
}

test(
  'a server that is told to stop under load ends well, and everything that it acknowledged is there afterwards',
  { timeout: 120_000 },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'drain-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const directory = join(folder, 'store')
    await (await createStore(directory)).close()
    const ledger: Ledger = { sealed: new Map(), stored: new Map() }
    for (let round = 0; round < 3; round += 1) {
      const before = ledger.sealed.size
      const { address, end } = await serveInProcess(t, directory)
      const waiting = fetch(`${address}/events?wait=60&after=`).catch(() => undefined)
      const producers = Promise.all(Array.from({ length: CLIENTS }, (_, index) => produce(address, `${round}-${index}`, ledger)))
      while (ledger.sealed.size < before + 50) await new Promise((resolve) => setImmediate(resolve))
      assert.equal(await end('SIGTERM'), 0)
      await producers
      await waiting
    }
    await using store = await openStore(directory)
    for (const [id, content] of ledger.sealed) {
      const read = await Array.fromAsync(store.files.read(id, 'content'))
      assert.equal(Buffer.concat(read).toString(), content)
    }
    for (const [, content] of ledger.stored) {
      // Opening the same run again continues the open package, or finds the sealed one.
      const draft = await store.packages.open({ repository: 'drain', runId: content })
      const { id } = await draft.finalize()
      assert.equal(Buffer.concat(await Array.fromAsync(store.files.read(id, 'content'))).toString(), content)
    }
  },
)
