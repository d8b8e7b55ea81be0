import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { serveNewStore, type TestServer } from '../testing/served-store.ts'
import { schemathesis, serviceTest } from '../testing/service-test.ts'
import { bytes, sealed } from '../testing/store-case.ts'

/** Examples of each operation, beside those that its schemas prescribe; 300 make ten thousand requests. */
const EXAMPLES = Number(process.env['ARTIFACT_STORE_FUZZ_EXAMPLES'] ?? 5)
const LEAST_REQUESTS = EXAMPLES < 300 ? 1_000 : 10_000
const LONGEST_MS = 160_000 + EXAMPLES * 6_000
const SETTINGS = fileURLToPath(new URL('../../scripts/schemathesis', import.meta.url))

serviceTest('whatever is asked, nothing but what openapi.json says is answered', ['schemathesis'], async (t) => {
  const server = await serveNewStore()
  const folder = await settings(t)
  for (const [name, words] of Object.entries(await someWords(server)))
    await writeFile(join(folder, `${name}.txt`), words.map((word) => `${JSON.stringify(word)}\n`).join(''))
  const { status, output } = await fuzz(t, folder, server.address)
  assert.equal(status, 0, output)
  assert.deepEqual(server.unexpected, [])
  const requests = Number(/(\d+) generated/.exec(output)?.[1])
  t.diagnostic(output.slice(output.indexOf(' SUMMARY ')).replaceAll(/=+|\n\n+/g, '\n'))
  assert.ok(requests >= LEAST_REQUESTS, output)
  // It has survived.
  assert.equal((await fetch(`${server.address}/readyz`)).status, 200)
  await server.store.events.verify()
  for await (const { problem } of server.store.packages.verify('all')) assert.equal(problem, undefined)
})

/** A folder with the settings of the fuzzer, to which words are added. */
async function settings(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'fuzz-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  for (const name of ['schemathesis.toml', 'hooks.py']) await cp(join(SETTINGS, name), join(folder, name))
  return folder
}

/** What is in the store, so that more is asked for than what is not there. */
async function someWords({ store }: TestServer): Promise<Readonly<Record<string, readonly string[]>>> {
  const name = 'demo/board'
  const schemaName = 'fuzz.note.v1'
  await store.schemas.register(schemaName, { type: 'object' })
  const plain = await sealed(store, name, { 'report.json': '{}', 'logs/run.txt': 'x', empty: '' }, { tags: ['latest'], metadata: { board: 'b' } })
  const alias = await sealed(store, name, { 'report.json': '{}', 'logs/run.txt': 'x', empty: '' }, { tags: ['latest'], metadata: { board: 'b' } })
  const sets = await sealed(store, name, { a: 'a', b: 'b' }, { fileSets: [{ name: 'raw', match: ['a'], class: 'transient' }] })
  const open = await store.packages.open({ repository: name })
  await open.put('report.json', bytes('{}'))
  const upload = await store.uploads.create({ packageId: open.id, path: 'large.bin', length: 10 })
  const gone = await sealed(store, name, { gone: 'gone' })
  await store.retention.delete(gone.id)
  const [certificate] = await store.retention.certificates(gone.id)
  const hold = await store.holds.place({ kind: 'legal', matter: 'm', authority: 'a', reason: 'r', packageId: sets.id })
  const { events, cursor } = await store.events.list()
  return {
    packages: [plain.id, alias.id, sets.id, open.id, gone.id],
    deletions: [certificate?.deletionId ?? gone.id],
    holds: [hold.id],
    classes: ['transient', 'raw-evidence', 'permanent-record', 'fuzz-class'],
    uploads: [upload.id],
    repositories: [name, 'demo', 'new/one'],
    tags: ['latest', 'v1'],
    schemas: [schemaName],
    paths: ['report.json', 'empty', 'a', 'large.bin', 'new'],
    references: [plain.id, `${name}:latest`, `${name}@${plain.manifestDigest}`, `${name}:none`],
    cursors: [cursor, events[0]?.cursor ?? cursor],
  }
}

async function fuzz(t: TestContext, folder: string, address: string): Promise<{ readonly status: number | null; readonly output: string }> {
  const parameters = ['run', `${address}/openapi.json`, '--max-examples', String(EXAMPLES), '--no-color', '--generation-database', 'none']
  const child = spawn(schemathesis(), parameters, { cwd: folder, env: { ...process.env, PYTHONPATH: folder }, stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  const limit = setTimeout(() => child.kill('SIGKILL'), LONGEST_MS)
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    // Whole bodies are shown in one line.
    stream.setEncoding('utf8').on('data', (text: string) => lines.push(text.replaceAll(/(.{500}).*/g, '$1…')))
  }
  await once(child, 'close')
  clearTimeout(limit)
  return { status: child.exitCode, output: lines.join('').slice(-60_000) }
}
