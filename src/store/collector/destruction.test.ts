/**
 * Bytes are gone when the store says so: from a class of two seconds to the certificate, and to what is left in the backend.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf } from '../../core/digest.ts'
import { AT_ONCE, assertSound, collectAll, emptyStore, withParts } from '../../testing/collection-case.ts'
import { purgePackage } from '../../testing/purge-package.ts'
import { objectsWith } from '../../testing/stored-bytes.ts'
import { EmbeddedStore } from '../embedded-store.ts'
import type { Store } from '../interface.ts'
import { openStore } from '../open.ts'
import { openContext } from '../open-context.ts'
import type { PushReport } from '../push-report.ts'
import { pushTree } from '../push-tree.ts'
import { Upkeep } from '../upkeep.ts'

const CANARY = 'a canary that nobody else has'

/** Text that compresses, and bytes that do not; both have the canary in them. */
function secrets(): Readonly<Record<string, Buffer>> {
  const random = Array.from({ length: 50_000 }, (_, index) => createHash('sha512').update(`secret ${index}`).digest())
  return {
    'report.txt': Buffer.from(`${CANARY}, and again, `.repeat(500)),
    'data.bin': Buffer.concat([...random.slice(0, 500), Buffer.from(CANARY), ...random.slice(500, 1_000)]),
    'large.bin': Buffer.concat([...random, Buffer.from(CANARY)]),
  }
}

const SHARED = Buffer.from('what another package has, too. '.repeat(1_000))
const KEPT = Object.fromEntries(Array.from({ length: 80 }, (_, index) => [`k${index}`, createHash('sha512').update(`kept ${index}`).digest()]))

async function push(store: Store, request: Parameters<Store['packages']['open']>[0], files: Readonly<Record<string, Buffer>>): Promise<string> {
  const draft = await store.packages.open(request)
  for (const [path, bytes] of Object.entries(files)) await draft.put(path, bytes)
  return (await draft.finalize()).id
}

test(
  'after the certificate of a class of two seconds no scan of the backend finds its bytes, and what is shared still reads',
  { timeout: 120_000 },
  async (t) => {
    const directory = await emptyStore(t)
    const store = await openStore(directory)
    const moment = { name: 'moment', duration: 'PT2S', mode: 'governance', disposition: 'automatic' } as const
    await withParts(directory, (context) => new EmbeddedStore(context).retention.setClass(moment))
    const kept = await push(store, { repository: 'kept' }, { ...KEPT, shared: SHARED })
    const gone = await push(store, { repository: 'gone', retentionClass: 'moment' }, { ...secrets(), shared: SHARED })
    const sets = await push(
      store,
      { repository: 'sets', fileSets: [{ name: 'raw', match: ['raw/**'], class: 'moment' }] },
      { 'raw/report.txt': secrets()['report.txt'] ?? Buffer.alloc(0), summary: Buffer.from('the summary stays') },
    )
    await store.close()

    let certified = 0
    for (let run = 0; certified < 2; run += 1) {
      assert.ok(run < 40, 'no certificate is written')
      const report = await withParts(directory, (context) => new Upkeep(context, AT_ONCE).runOnce())
      assert.deepEqual([report.problems, report.stopped], [[], undefined])
      certified += report.retention.certified
      await sleep(500)
    }
    await withParts(directory, async ({ backend, storeId }) => assert.deepEqual(await objectsWith(backend, storeId, Buffer.from(CANARY)), []))

    await using after = new EmbeddedStore(await openContext(directory))
    const states = new Map<string, string>()
    for (const id of [gone, sets]) {
      for (const { deletionId, state } of await after.retention.certificates(id)) {
        assert.equal(state, 'certified')
        const lines = Buffer.concat(await Array.fromAsync(after.retention.certificateDocument(deletionId)))
          .toString()
          .trim()
          .split('\n')
        for (const line of lines.slice(1)) {
          // Sound: these are the lines of the document, and the test looks at two members.
          const { digest, state: became } = JSON.parse(line) as { readonly digest: string; readonly state: string }
          states.set(digest, became)
        }
      }
    }
    for (const bytes of Object.values(secrets())) assert.equal(states.get(digestOf(bytes)), 'destroyed')
    assert.notEqual(states.get(digestOf(SHARED)), 'destroyed')
    const read = async (id: string, path: string): Promise<string> => digestOf(Buffer.concat(await Array.fromAsync(after.files.read(id, path))))
    assert.equal(await read(kept, 'shared'), digestOf(SHARED))
    assert.equal(await read(sets, 'summary'), digestOf(Buffer.from('the summary stays')))
    await after.close()
    await assertSound(directory)
  },
)

test('with the cache of file facts on, pushing a tree whose bytes are gone sends them again', async (t) => {
  const directory = await emptyStore(t)
  const folder = await mkdtemp(join(tmpdir(), 'tree-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [tree, cacheDir] = [join(folder, 'tree'), join(folder, 'cache')]
  await mkdir(tree)
  for (const [path, bytes] of Object.entries(secrets())) await writeFile(join(tree, path), bytes)
  // Old enough to be trusted by their facts.
  for (const path of Object.keys(secrets())) await utimes(join(tree, path), 1, 1)
  const clock = { now: () => Date.now() + 60_000 }
  const pushed = async (): Promise<{ readonly id: string; readonly report: PushReport }> => {
    await using store = await openStore(directory)
    const draft = await store.packages.open({ repository: 'a' })
    const report = await pushTree(draft, tree, { cacheDir, clock })
    return { id: (await draft.finalize()).id, report }
  }
  const first = await pushed()
  const second = await pushed()
  assert.deepEqual([first.report.files, second.report.unread], [3, 3])
  assert.equal(second.id, first.id)
  await withParts(directory, ({ registry }) => purgePackage(registry, first.id))
  await collectAll(directory)
  const third = await pushed()
  assert.equal(third.report.unread + third.report.reused, 0, 'nothing was here any more')
  await using store = await openStore(directory)
  for await (const line of store.packages.verify(third.id)) assert.equal(line.problem, undefined)
})
