/** A real run of the conformance kit, from its folder into a store and back, through all that happens to it in a year. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { after, describe, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { defaultRedactionRules } from '../../adapters/redactor-rules/redaction-rule.ts'
import { createRuleRedactor } from '../../adapters/redactor-rules/redactor-rules.ts'
import { connect } from '../../client/client.ts'
import { startServer } from '../../http/server.ts'
import type { StoreContext } from '../../store/context.ts'
import { EmbeddedStore } from '../../store/embedded-store.ts'
import type { Store } from '../../store/interface.ts'
import { createStore } from '../../store/open.ts'
import { openContext } from '../../store/open-context.ts'
import { pullTree } from '../../store/pull-tree.ts'
import { Upkeep } from '../../store/upkeep.ts'
import { AT_ONCE, withParts } from '../../testing/collection-case.ts'
import { compareTrees } from '../../testing/compare-trees.ts'
import { MovableClock } from '../../testing/movable-clock.ts'
import { type StateHub, startStateHub } from '../../testing/state-hub.ts'
import { collect, readAll, rejectsWith } from '../../testing/store-case.ts'
import { ingestRun } from './ingest.ts'

const recorded = fileURLToPath(new URL('../../../examples/guide-board/cmis-tck-run', import.meta.url))
const main = fileURLToPath(new URL('../../cli/main.ts', import.meta.url))
const REPOSITORY = 'boards/cmis'
const RUN = 'cmis-tck-recorded-1'
const DAY_MS = 86_400_000
const scratch = await mkdtemp(join(tmpdir(), 'guide-board-end-'))
after(() => rm(scratch, { recursive: true, force: true }))

/** A store as a producer has it, and its time. */
interface Rig {
  readonly store: Store
  /** Days pass, and what is due is done, as often as it takes. */
  readonly pass: (days: number) => Promise<void>
  readonly close: () => Promise<void>
  /** Closes it, so that nobody writes to its packs any more, and does what is due in other processes, as it were. */
  readonly laterOn: <T>(look: (store: Store) => Promise<T>) => Promise<T>
}

const kinds = ['embedded', 'over HTTP'] as const
type Kind = (typeof kinds)[number]

async function makeRig(kind: Kind): Promise<Rig> {
  const clock = new MovableClock('2026-11-24T12:00:00Z')
  const directory = await mkdtemp(join(scratch, 'store-'))
  await (await createStore(join(directory, 'store'), { clock })).close()
  const context = await openContext(join(directory, 'store'), { clock })
  const embedded = new EmbeddedStore(context)
  const upkeep = async (parts: StoreContext): Promise<void> => {
    for (let run = 0; run < 4; run += 1) {
      clock.advance(1_000)
      const report = await new Upkeep(parts, AT_ONCE).runOnce()
      assert.deepEqual([report.stopped, report.problems, report.retention.doubt], [undefined, [], undefined])
    }
  }
  const pass = (days: number): Promise<void> => {
    clock.advance(days * DAY_MS)
    return upkeep(context)
  }
  const laterOn =
    (close: () => Promise<void>): Rig['laterOn'] =>
    async (look) => {
      await close()
      for (let run = 0; run < 3; run += 1) await withParts(join(directory, 'store'), upkeep, { clock })
      return withParts(join(directory, 'store'), (parts) => look(new EmbeddedStore(parts)), { clock })
    }
  if (kind === 'embedded') {
    const close = (): Promise<void> => embedded.close()
    return { store: embedded, pass, close, laterOn: laterOn(close) }
  }
  const unexpected: unknown[] = []
  const server = await startServer({
    host: '127.0.0.1',
    port: 0,
    version: 'test',
    storeFor: () => embedded,
    report: (error) => unexpected.push(error),
  })
  const remote = await connect(server.address)
  let closing: Promise<void> | undefined
  const end = async (): Promise<void> => {
    await remote.close()
    await server.stop()
    await embedded.close()
    assert.deepEqual(unexpected, [])
  }
  const close = (): Promise<void> => (closing ??= end())
  return { store: remote, pass, close, laterOn: laterOn(close) }
}

/** The same run again under another id, as the next one would be. */
async function nextRun(runId: string): Promise<string> {
  const folder = await mkdtemp(join(scratch, 'run-'))
  await cp(recorded, folder, { recursive: true })
  for (const path of ['run.json', 'plan.json', 'retention-summary.json', 'reports/assessment-package.json', 'normalized/evidence.json']) {
    const file = join(folder, path)
    await writeFile(file, (await readFile(file, 'utf8')).replaceAll(RUN, runId))
  }
  return folder
}

const ingest = (store: Store, folder: string): ReturnType<typeof ingestRun> =>
  ingestRun(store, folder, { repository: REPOSITORY, redactor: createRuleRedactor(defaultRedactionRules) })

async function pathsOf(store: Store, id: string): Promise<readonly string[]> {
  return (await collect(store.files.list(id))).map(({ path }) => path)
}

async function problemsOf(store: Store, id: string): Promise<readonly string[]> {
  return (await collect(store.packages.verify(id))).flatMap(({ problem }) => (problem === undefined ? [] : [problem.message]))
}

/** Deletes what may be deleted, with the approval that evidence wants. */
async function dispose({ store, pass }: Rig): Promise<void> {
  const { digest } = await store.retention.createPlan({ repository: REPOSITORY })
  await store.retention.approve(digest, { reason: 'the month is over' })
  await pass(0)
}

for (const kind of kinds) {
  describe(`a run of guide-board, ${kind}`, { timeout: 170_000 }, () => {
    test('comes back byte for byte; a month later its raw artifacts are gone for good, and its summaries are what they were', async (t) => {
      const rig = await makeRig(kind)
      t.after(() => rig.close())
      const { store } = rig
      const { packageId, manifestDigest, fileCount } = await ingest(store, recorded)
      const output = join(scratch, `pulled-${kind}`)
      await pullTree(store, packageId, output)
      assert.deepEqual(await compareTrees(recorded, output), [])

      await rig.pass(29)
      await rejectsWith('not_found', store.retention.createPlan({ repository: REPOSITORY }))
      await rig.pass(2)
      await dispose(rig)
      const [tombstone, ...others] = await store.files.expired(packageId)
      const left = await pathsOf(store, packageId)
      assert.deepEqual([tombstone?.fileSets, others], [['raw'], []])
      assert.equal((tombstone?.count ?? 0) + left.length, fileCount)
      assert.ok(left.length > 0 && !left.some((path) => path.startsWith('artifacts/')))
      await rejectsWith('purged', readAll(store.files.read(packageId, 'artifacts/open-cmis-tck/tck/browser-basics/stdout.log')))
      for (const path of left) assert.equal(await readAll(store.files.read(packageId, path)), await readFile(join(recorded, path), 'utf8'), path)
      assert.deepEqual(await problemsOf(store, packageId), [])
      assert.equal((await store.packages.manifest(packageId)).digest, manifestDigest)
      assert.equal((await store.packages.get(packageId)).metadata?.['run_id'], RUN)
      await store.events.verify()

      // Given again, from another folder, it is whole again; and a month later it is what it was before.
      const copy = await nextRun(RUN)
      assert.deepEqual(await ingest(store, copy), { packageId, manifestDigest, fileCount, reusedExisting: true })
      assert.deepEqual([(await pathsOf(store, packageId)).length, await problemsOf(store, packageId)], [fileCount, []])
      await rig.pass(31)
      await dispose(rig)
      assert.deepEqual(await pathsOf(store, packageId), left)

      await rig.pass(340)
      await dispose(rig)
      assert.equal((await store.packages.get(packageId)).status, 'purged')
      await rejectsWith('run_disposed', ingest(store, recorded))
      // What was in a pack that this process writes to leaves it when that is done.
      const certificates = await rig.laterOn((later) => later.retention.certificates(packageId))
      assert.deepEqual(
        certificates.map(({ state, sets, authority }) => [state, sets, authority]),
        [
          ['certified', [''], 'plan'],
          ['certified', ['raw'], 'plan'],
          ['certified', ['raw'], 'plan'],
        ],
      )
    })

    test('is held by its matter, and so is the next one, for as long as the hold stands', async (t) => {
      const rig = await makeRig(kind)
      t.after(() => rig.close())
      const { store } = rig
      const first = await ingest(store, recorded)
      const hold = await store.holds.place({
        kind: 'legal',
        matter: 'Certification dispute 12',
        authority: 'Counsel',
        reason: 'what the kit found is contested',
        selector: { producer: 'guide-board', subject: 'targets/opencmis-inmemory' },
      })
      const next = await ingest(store, await nextRun('cmis-tck-2'))
      for (const { packageId } of [first, next]) assert.deepEqual((await store.retention.show(packageId)).holds, [hold.id])
      await rig.pass(31)
      await dispose(rig).catch((error: unknown) => assert.equal((error as { code?: string }).code, 'not_found'))
      for (const { packageId, fileCount } of [first, next]) {
        assert.equal((await pathsOf(store, packageId)).length, fileCount)
        const { steps } = await store.retention.explain(packageId)
        assert.ok(
          steps.some(({ rule, effect }) => rule === 'hold' && effect === 'keeps'),
          JSON.stringify(steps),
        )
      }
      await store.holds.release(hold.id, { reason: 'settled' })
      await rig.pass(1)
      await dispose(rig)
      for (const { packageId } of [first, next]) assert.ok(!(await pathsOf(store, packageId)).some((path) => path.startsWith('artifacts/')))
    })
  })
}

/** The command line in a process of its own, which knows of a State Hub. */
function program(t: TestContext, hub: StateHub, given: readonly string[], environment: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(process.execPath, [main, ...given], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, STATE_HUB_URL: hub.url, ...environment },
  })
  t.after(() => child.kill('SIGKILL'))
  return child
}

async function run(t: TestContext, hub: StateHub, given: readonly string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const child = program(t, hub, given)
  assert.ok(child.stdout !== null && child.stderr !== null)
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  assert.equal(child.exitCode, 0, stderr)
  return { stdout, stderr }
}

async function firstLine(child: ChildProcess): Promise<string> {
  assert.ok(child.stdout !== null)
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return line
}

describe('State Hub is told of a run once in effect', { timeout: 170_000, concurrency: 2 }, () => {
  for (const kind of kinds) {
    test(`although it was away, and the store was killed just when it had been told, ${kind}`, async (t) => {
      const folder = await mkdtemp(join(scratch, 'hub-'))
      const directory = join(folder, 'store')
      const database = join(folder, 'hub.db')
      const away = await startStateHub(database)
      await away.stop()
      await (await createStore(directory)).close()
      const runs = join(folder, 'runs')
      await cp(recorded, join(runs, 'one'), { recursive: true })
      const serve = ['serve', '--store', directory, '--port', '0', '--json']
      const deliver = kind === 'embedded' ? ['guide-board', 'ingest', '--watch', runs, '--settle', '0s', '--store', directory, '--json'] : serve

      // It is away: the run is stored all the same.
      let packageId = ''
      if (kind === 'embedded') {
        const { stdout, stderr } = await run(t, away, ['guide-board', 'ingest', join(runs, 'one'), '--store', directory, '--quiet'])
        packageId = stdout.trim()
        assert.equal(stderr, '')
      } else {
        const server = program(t, away, serve)
        const { address } = JSON.parse(await firstLine(server)) as { address: string }
        packageId = (await run(t, away, ['guide-board', 'ingest', join(runs, 'one'), '--url', address, '--quiet'])).stdout.trim()
        server.kill('SIGKILL')
        await once(server, 'exit')
      }

      // It is back. The process dies after the hub took the link, before the store knows.
      const hub = await startStateHub(database, away.port)
      t.after(() => hub.stop())
      const killed = program(t, hub, deliver, { ARTIFACT_STORE_FAILPOINT: 'registry.delivered:before-commit' })
      assert.deepEqual(await once(killed, 'exit'), [null, 'SIGKILL'])
      assert.equal(hub.entries().length, 1)

      // The next process says it again, since it cannot know.
      const last = program(t, hub, deliver)
      while (hub.entries().length < 2) await new Promise((resolve) => setTimeout(resolve, 50))
      last.kill('SIGTERM')
      const [code] = (await once(last, 'exit')) as [number | null]
      assert.equal(code, 0)
      const [link, ...others] = hub.effective()
      assert.deepEqual(others, [])
      assert.deepEqual(
        [link?.event_type, link?.detail['package_id'], link?.detail['run_id'], link?.detail['event_id'], hub.entries().length],
        ['artifact_link', packageId, RUN, link?.webhook_id, 2],
      )

      // And then no more.
      await run(t, hub, ['guide-board', 'ingest', join(runs, 'one'), '--store', directory])
      assert.equal(hub.entries().length, 2)
    })
  }
})
