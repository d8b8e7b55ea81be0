/** A thousand slow clients of slowhttptest (Debian) against `serve` as users start it, and an honest client beside them. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createStore } from '../store/open.ts'
import { type ServedProcess, serveInProcess } from '../testing/served-process.ts'
import { serviceTest } from '../testing/service-test.ts'

const CLIENTS = 1_000
/** More than the buffers between two sockets hold. */
const content = randomBytes(8 * 1024 * 1024)
/** What an honest client waits for one answer, in ms. It usually takes a hundredth of that. */
const PATIENCE_MS = 15_000

interface Served extends ServedProcess {
  /** A large file. */
  readonly file: string
}

function stop(child: ChildProcess): Promise<unknown> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  return exit
}

async function serve(t: TestContext): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), 'slow-clients-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const directory = join(folder, 'store')
  const store = await createStore(directory)
  const draft = await store.packages.open({ repository: 'large' })
  await draft.put('file', content)
  const { id } = await draft.finalize()
  await store.close()
  const served = await serveInProcess(t, directory)
  return { ...served, file: `${served.address}/packages/${id}/files/file` }
}

/** Starts the slow clients and waits until they are all connected. */
async function attack(t: TestContext, address: string, ...options: readonly string[]): Promise<ChildProcess> {
  const child = spawn('slowhttptest', ['-c', String(CLIENTS), '-r', '1000', '-l', '120', ...options], { stdio: 'ignore' })
  t.after(() => stop(child))
  while (connections(address) < CLIENTS) {
    assert.equal(child.exitCode, null)
    await wait(100)
  }
  return child
}

/** Connections to a server that are established. */
function connections(address: string): number {
  const port = Number(new URL(address).port).toString(16).toUpperCase().padStart(4, '0')
  const lines = readFileSync('/proc/net/tcp', 'latin1').split('\n')
  return lines.filter((line) => /^ *\d+: [\dA-F]{8}:([\dA-F]{4}) [\dA-F:]+ 01 /.exec(line)?.[1] === port).length
}

/** Stores and reads a file as if nobody else were there. */
async function honestTurn({ address, file }: Served): Promise<void> {
  const call = async (url: string, options: RequestInit, status: number): Promise<Response> => {
    const response = await fetch(url, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) })
    assert.equal(response.status, status, url)
    return response
  }
  const json = { 'Content-Type': 'application/json' }
  const opened = await call(`${address}/packages`, { method: 'POST', headers: json, body: '{"repository":"honest"}' }, 201)
  const { id } = (await opened.json()) as { id: string }
  const bytes = randomBytes(3 * 1024 * 1024)
  await (await call(`${address}/packages/${id}/files/a`, { method: 'PUT', body: bytes }, 201)).text()
  await (await call(`${address}/packages/${id}/finalize`, { method: 'POST' }, 200)).text()
  assert.ok(bytes.equals(await (await call(`${address}/packages/${id}/files/a`, {}, 200)).bytes()))
  assert.ok(content.equals(await (await call(file, {}, 200)).bytes()))
}

async function honestTurns(served: Served): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await honestTurn(served)
}

/** Memory of a process that is in use now, in MiB. */
function residentMiB({ pid }: ChildProcess): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? []
  return Number(kib) / 1024
}

serviceTest('a thousand slow headers: an honest client is served, and all of them are cut', ['slowhttptest'], async (t) => {
  const served = await serve(t)
  const attackers = await attack(t, served.address, '-H', '-i', '1', '-u', `${served.address}/packages`)
  await honestTurns(served)
  // It ends by itself when it has no connections left.
  await once(attackers, 'exit')
  // The honest client keeps one or two.
  assert.ok(connections(served.address) < 10)
})

serviceTest('a thousand slow bodies: an honest client is served, and all of them are cut', ['slowhttptest'], async (t) => {
  const served = await serve(t)
  const attackers = await attack(t, served.address, '-B', '-i', '1', '-s', '1000000', '-u', `${served.address}/packages`)
  await honestTurns(served)
  await once(attackers, 'exit')
  // The honest client keeps one or two.
  assert.ok(connections(served.address) < 10)
})

serviceTest('a thousand slow readers of a large file: an honest client is served, and memory stays bounded', ['slowhttptest'], async (t) => {
  const served = await serve(t)
  await attack(t, served.address, '-X', '-w', '512', '-y', '1024', '-n', '1', '-z', '32', '-u', served.file)
  await honestTurns(served)
  // If each held the file, or what is read ahead of it, it would be some thousands.
  const resident = residentMiB(served.child)
  t.diagnostic(`${Math.round(resident)} MiB`)
  assert.ok(resident < 1_024, `${resident} MiB`)
})
