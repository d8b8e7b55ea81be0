/** The server is killed in the middle of a push, and started again: the push goes on. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { createStore, openStore } from '../store/open.ts'
import { pullTree } from '../store/pull-tree.ts'
import { pushTree } from '../store/push-tree.ts'
import { compareTrees } from '../testing/compare-trees.ts'
import { cutConnections } from '../testing/cutting-proxy.ts'
import { serveInProcess } from '../testing/served-process.ts'
import { connect } from './client.ts'

const MIB = 1024 * 1024

async function makeTree(folder: string): Promise<void> {
  for (let part = 0; part < 40; part++) {
    await mkdir(join(folder, `part-${part}`), { recursive: true })
    await Promise.all(
      Array.from({ length: 50 }, (_, index) => writeFile(join(folder, `part-${part}`, `file-${index}`), randomBytes(100 + index * 400))),
    )
  }
  await writeFile(join(folder, 'large'), randomBytes(40 * MIB))
  await writeFile(join(folder, 'medium'), randomBytes(5 * MIB))
}

test('a push over the network goes on when the server was killed and started again', { timeout: 170_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'restart-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [directory, tree, copy] = [join(folder, 'store'), join(folder, 'tree'), join(folder, 'copy')]
  await (await createStore(directory)).close()
  await makeTree(tree)
  let server = await serveInProcess(t, directory)
  await using proxy = await cutConnections(server.address, () => undefined)
  let sent = 0
  let moved = (): void => undefined
  const onProgress = (progress: { readonly sent: number }): void => {
    sent = progress.sent
    moved()
  }
  await using store = await connect(proxy.address, { onProgress, retries: 12 })
  const draft = await store.packages.open({ repository: 'restart/tree' })
  const pushing = pushTree(draft, tree)
  for (const mark of [2 * MIB, 15 * MIB, 40 * MIB]) {
    while (sent < mark) await new Promise<void>((resolve) => (moved = resolve))
    await server.end('SIGKILL')
    server = await serveInProcess(t, directory)
    proxy.leadTo(server.address)
  }
  const report = await pushing
  assert.equal(report.files, 2_002)
  const { id, fileCount } = await draft.finalize()
  assert.equal(fileCount, 2_002)
  await pullTree(store, id, copy)
  assert.deepEqual(await compareTrees(tree, copy), [])
  await server.end('SIGKILL')
  await using embedded = await openStore(directory)
  for await (const { path, problem } of embedded.packages.verify(id)) assert.equal(problem, undefined, path ?? '')
})
