/**
 * The schedules of the model, against the real code: clients, removers, collectors and a reaper in one process, each with a registry connection of its
 * own, whose transactions and backend calls happen in an order that fast-check chooses.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { openMemoryBackend } from '../../adapters/backend-memory/backend-memory.ts'
import { digestOf } from '../../core/digest.ts'
import { StoreError } from '../../core/errors.ts'
import { observeBackend } from '../../decorators/observe-backend.ts'
import type { AppendBackend } from '../../ports/backend.ts'
import type { WriteWork } from '../../registry/registry.ts'
import { AT_ONCE } from '../../testing/collection-case.ts'
import { purgePackage } from '../../testing/purge-package.ts'
import { objectsWith } from '../../testing/stored-bytes.ts'
import type { StoreContext } from '../context.ts'
import { EmbeddedStore } from '../embedded-store.ts'
import { createStore } from '../open.ts'
import { closeContext, openContext } from '../open-context.ts'
import { freezeDeadWriters } from '../reaper.ts'
import { Collector } from './collector.ts'

/** Schedules a run; the nightly run asks for more. */
const RUNS = Number(process.env['ARTIFACT_STORE_SCHEDULES'] ?? 15)
/** How often a client tries again what failed and may be tried again. */
const TRIES = 20

/** Contents by name; they do not compress. One is an object of its own. */
function content(name: string): Buffer {
  const size = name === 'L' ? 2_200_000 : 3_000
  const blocks = Array.from({ length: Math.ceil(size / 64) }, (_, index) => createHash('sha512').update(`${name} ${index}`).digest())
  return Buffer.concat([Buffer.from(`canary of ${name}.`), ...blocks])
}

const NAMES = ['D', 'E', 'F', 'L'] as const
type Name = (typeof NAMES)[number]

/** What somebody does, beginning at once. */
type Actor =
  | { readonly is: 'client'; readonly names: readonly Name[]; readonly attaches: boolean; readonly aborts: boolean }
  | { readonly is: 'remover'; readonly of: number }
  | { readonly is: 'collector' }
  | { readonly is: 'reaper' }

const names = fc.subarray([...NAMES], { minLength: 1 })
const actor: fc.Arbitrary<Actor> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ is: fc.constant('client' as const), names, attaches: fc.boolean(), aborts: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ is: fc.constant('remover' as const), of: fc.nat({ max: 1 }) }) },
  { weight: 4, arbitrary: fc.constant({ is: 'collector' as const }) },
  { weight: 1, arbitrary: fc.constant({ is: 'reaper' as const }) },
)

/** A store in memory that several processes use, as it were. */
class Crowd {
  readonly directory: string
  readonly backend = openMemoryBackend()
  readonly #contexts: StoreContext[] = []
  /** Whether anybody waits for a turn; what happens when all is over does not. */
  #scheduled = false
  readonly #turn: (label: string) => Promise<unknown>

  constructor(directory: string, turn: (label: string) => Promise<unknown>) {
    this.directory = directory
    this.#turn = turn
  }

  /** The parts of the store as one more process has them. Everything it does waits for its turn, if `scheduled`. */
  async join(scheduled: boolean): Promise<StoreContext> {
    let active = false
    this.#scheduled = scheduled
    const observed = observeBackend(this.backend, async (step) => {
      if (active && this.#scheduled && step.endsWith(':before') && step !== 'backend.close:before') await this.#turn(step)
    })
    const context = await openContext(this.directory, { backend: keptOpen(observed) })
    const write = context.registry.write.bind(context.registry)
    Object.defineProperty(context.registry, 'write', {
      value: async <T>(label: string, work: WriteWork<T>): Promise<T> => {
        if (active && this.#scheduled) await this.#turn(label)
        return write(label, work)
      },
    })
    active = scheduled
    this.#contexts.push(context)
    return context
  }

  /** From now on nobody waits for a turn. */
  calm(): void {
    this.#scheduled = false
  }

  async close(): Promise<void> {
    this.calm()
    for (const context of this.#contexts.splice(0)) await closeContext(context)
  }
}

/** Of a backend that several use, none closes it. */
function keptOpen(backend: AppendBackend): AppendBackend {
  return new Proxy(backend, {
    get: (target, name) => {
      if (name === 'close') return () => Promise.resolve()
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (...given: unknown[]) => Reflect.apply(value, target, given) as unknown : value
    },
  })
}

interface Ledger {
  readonly promised: Map<string, readonly Name[]>
  failures: number
}

async function push(
  store: EmbeddedStore,
  { names: wanted, attaches, aborts }: Extract<Actor, { is: 'client' }>,
  ledger: Ledger,
  run: string,
): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const draft = await store.packages.open({ repository: 'client', runId: run })
      for (const name of draft.status === 'open' ? wanted : []) {
        const bytes = content(name)
        const [known] = attaches ? await draft.attach([{ path: name, digest: digestOf(bytes), size: bytes.length }]) : [false]
        if (known !== true) await draft.put(name, bytes)
      }
      if (aborts) return await draft.abort()
      const { id } = await draft.finalize()
      ledger.promised.set(id, wanted)
      return
    } catch (error) {
      if (!(error instanceof StoreError) || !error.retryable || attempt === TRIES) throw error
      ledger.failures += 1
    }
  }
}

async function act(
  crowd: Crowd,
  self: Actor,
  { stored, ledger, index }: { readonly stored: readonly string[]; readonly ledger: Ledger; readonly index: number },
): Promise<void> {
  const context = await crowd.join(true)
  if (self.is === 'client') await push(new EmbeddedStore(context), self, ledger, `run-${index}`)
  else if (self.is === 'remover') {
    const id = stored[self.of]
    if (id !== undefined && ledger.promised.delete(id)) await purgePackage(context.registry, id)
  } else if (self.is === 'collector') {
    for (let run = 0; run < 2; run += 1) {
      const { stopped, problems } = await new Collector(context, AT_ONCE).runOnce()
      assert.deepEqual([stopped, problems.filter((problem) => !/taken for dead|given up/.test(problem))], [undefined, []])
    }
  } else {
    await context.registry.write('age', (session) =>
      session.query({ sql: 'update leases set expires_at = 1 where name is null returning id', parameters: [] }),
    )
    await freezeDeadWriters(context.registry)
  }
}

async function assertKept(store: EmbeddedStore, promised: ReadonlyMap<string, readonly Name[]>): Promise<void> {
  for (const [id, expected] of promised) {
    const found: string[] = []
    for await (const read of store.files.readMany(id)) {
      assert.ok(!('error' in read), `${read.file.path} of ${id}: ${'error' in read ? read.error.message : ''}`)
      const bytes = 'bytes' in read ? read.bytes : Buffer.concat(await Array.fromAsync(read.stream))
      assert.equal(digestOf(bytes), digestOf(content(read.file.path)))
      found.push(read.file.path)
    }
    assert.deepEqual(found.toSorted(), [...expected].toSorted())
  }
}

test(
  'in any order of their transactions and backend calls nothing acknowledged is lost, and all garbage goes',
  { timeout: 300_000 + RUNS * 10_000 },
  async (t) => {
    let failures = 0
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(actor, { minLength: 3, maxLength: 6 }), async (scheduler, actors) => {
        const folder = await mkdtemp(join(tmpdir(), 'schedules-'))
        const crowd = new Crowd(join(folder, 'data'), (label) => scheduler.schedule(Promise.resolve(), label))
        try {
          await (await createStore(crowd.directory, { backend: keptOpen(crowd.backend) })).close()
          const ledger: Ledger = { promised: new Map(), failures: 0 }
          const first = new EmbeddedStore(await crowd.join(false))
          for (const wanted of [
            ['D', 'E', 'L'],
            ['D', 'F'],
          ] as const)
            await push(first, { is: 'client', names: wanted, attaches: false, aborts: false }, ledger, wanted.join('-'))
          await crowd.close()
          const stored = [...ledger.promised.keys()]
          await scheduler.waitFor(Promise.all(actors.map((self, index) => act(crowd, self, { stored, ledger, index }))))
          if (!actors.some(({ is }) => is === 'reaper')) assert.equal(ledger.failures, 0, 'a client saw a failure')
          failures += ledger.failures
          crowd.calm()
          // What was begun in the background, such as mirroring the log, has its turn.
          await scheduler.waitIdle()
          await crowd.close()
          await finish(crowd, ledger)
        } finally {
          await rm(folder, { recursive: true, force: true })
        }
      }),
      { numRuns: RUNS },
    )
    t.diagnostic(`${RUNS} schedules; ${failures} calls were tried again after a writer was taken for dead`)
  },
)

/** Closes the books: what was promised is there, and after some more runs nothing else is. */
async function finish(crowd: Crowd, ledger: Ledger): Promise<void> {
  for (let run = 0; run < 3; run += 1) {
    const context = await crowd.join(false)
    await context.registry.write('due', (session) =>
      session.query({ sql: 'update objects set erase_by = 1 where kind = 1 and state = 2 returning id', parameters: [] }),
    )
    const { stopped, problems } = await new Collector(context, AT_ONCE).runOnce()
    assert.deepEqual([stopped, problems], [undefined, []])
    await crowd.close()
  }
  const context = await crowd.join(false)
  const store = new EmbeddedStore(context)
  await assertKept(store, ledger.promised)
  for await (const line of store.packages.verify('all')) assert.equal(line.problem, undefined)
  const needed = new Set([...ledger.promised.values()].flat())
  for (const name of NAMES) {
    const places = await objectsWith(crowd.backend, context.storeId, Buffer.from(`canary of ${name}.`))
    assert.equal(places.length, needed.has(name) ? 1 : 0, `${name} lies in ${places.join(', ')}`)
  }
  await crowd.close()
}
