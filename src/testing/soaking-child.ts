import { Buffer } from 'node:buffer'
import { writeSync } from 'node:fs'
import { digestOf } from '../core/digest.ts'
import { EmbeddedStore } from '../store/embedded-store.ts'
import { closeContext, openContext } from '../store/open-context.ts'
import type { StoreContext } from '../store/context.ts'
import { purgePackage } from './purge-package.ts'
import { seededRandom } from './seeded-random.ts'
import { SOAK_CONTENTS, soakContent } from './soak-content.ts'
import type { SoakLedger } from './soaker.ts'

/**
 * A process with several clients that push, push again, attach, abort, remove and read until SIGTERM, opening the store anew from time to time. Then it
 * says on standard output what it was promised. A call that fails is written down; none should. Arguments: directory, seed, clients.
 */
const [directory = '', seed = '0', clients = '1'] = process.argv.slice(2)
let stopping = false
process.once('SIGTERM', () => (stopping = true))

/** Rounds after which a process opens the store anew, so that its packs are nobody's. */
const ROUNDS = 6

/** A number from 0 on below another. */
type Below = (bound: number) => number

const kept = new Map<string, { readonly id: string; readonly files: Readonly<Record<string, number>> }>()
const counts = { pushes: 0, removals: 0, reads: 0 }
const failures: string[] = []

for (let session = 0; !stopping; session += 1) {
  const context = await openContext(directory, { actor: 'os:soaker' })
  if (session === 0) writeSync(1, 'started\n')
  await Promise.all(Array.from({ length: Number(clients) }, (_, client) => liveFor(context, Number(seed) * 1_000_000 + session * 100 + client)))
  await closeContext(context)
}
const ledger: SoakLedger = { kept: [...kept.values()], ...counts, failures }
writeSync(1, `${JSON.stringify(ledger)}\n`)

async function liveFor(context: StoreContext, name: number): Promise<void> {
  const next = seededRandom(name)
  const random: Below = (bound) => Math.floor(next() * bound)
  const store = new EmbeddedStore(context)
  for (let round = 0; round < ROUNDS && !stopping; round += 1) {
    try {
      await act(context, store, random, `${name}-${round}`)
    } catch (error) {
      failures.push(`${name}-${round}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    }
  }
}

async function act(context: StoreContext, store: EmbeddedStore, random: Below, run: string): Promise<void> {
  const choice = random(10)
  if (choice < 5) await push(store, random, run)
  else if (choice < 9) await removeSome(context, random)
  else await readSome(store, random)
}

async function push(store: EmbeddedStore, random: Below, run: string): Promise<void> {
  // Without a run two packages may be the same, in one repository or in several.
  const draft = await store.packages.open({ repository: `soak/r${random(3)}`, ...(random(3) === 0 ? {} : { runId: run }) })
  const files: Record<string, number> = {}
  for (let count = 1 + random(6); count > 0; count -= 1) {
    const content = random(SOAK_CONTENTS)
    const path = `f${count}`
    files[path] = content
    const bytes = soakContent(content)
    const [known] = random(2) === 0 ? await draft.attach([{ path, digest: digestOf(bytes), size: bytes.length }]) : [false]
    if (known !== true) await draft.put(path, bytes)
  }
  if (random(5) === 0) return draft.abort()
  const { id, reusedExisting } = await draft.finalize()
  counts.pushes += 1
  // Another client may remove a package that was there already.
  if (!reusedExisting) kept.set(id, { id, files })
}

async function removeSome(context: StoreContext, random: Below): Promise<void> {
  const id = pick(random)
  if (id === undefined) return
  kept.delete(id)
  await purgePackage(context.registry, id)
  counts.removals += 1
}

async function readSome(store: EmbeddedStore, random: Below): Promise<void> {
  const id = pick(random)
  const files = id === undefined ? undefined : kept.get(id)?.files
  if (id === undefined || files === undefined) return
  for await (const read of store.files.readMany(id)) {
    // Somebody here may have removed it meanwhile.
    if (!kept.has(id)) return
    if ('error' in read) throw read.error
    const bytes = 'bytes' in read ? read.bytes : Buffer.concat(await Array.fromAsync(read.stream))
    if (!Buffer.from(soakContent(files[read.file.path] ?? -1)).equals(bytes)) throw new Error(`${id} ${read.file.path} has other bytes`)
  }
  counts.reads += 1
}

function pick(random: Below): string | undefined {
  return [...kept.keys()][random(Math.max(1, kept.size))]
}
