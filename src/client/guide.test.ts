import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { serveNewStore } from '../testing/served-store.ts'

const { address } = await serveNewStore()

test('the example of the guide to the client does what the guide says', async (t) => {
  const guide = await readFile(new URL('../../docs/guides/client.md', import.meta.url), 'utf8')
  const [, example = ''] = /^```ts\n([^`]*)```$/m.exec(guide) ?? []
  const folder = await mkdtemp(join(tmpdir(), 'client-guide-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'example.ts')
  const client = new URL('client.ts', import.meta.url).href
  await writeFile(file, example.replace("'artifact-store/client'", `'${client}'`).replace("'http://127.0.0.1:8080'", `'${address}'`))
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], { timeout: 30_000 })
  assert.deepEqual([stdout, stderr], ['1 {"passed": 12, "failed": 0}\n', ''])
})
