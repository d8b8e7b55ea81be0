import type { Step } from './search.ts'

/** `id`: where its bytes were first named. */
interface Chunk {
  readonly id: string
  readonly digest: string
  key: string
  condemned: boolean
}

interface StoredObject {
  readonly key: string
  readonly pack: boolean
  /** The lease of the writer; empty: nobody's. */
  owner: string
  state: 'unfinished' | 'sealed' | 'condemned'
}

/** Stores a digest as (or in) an object and seals a package that names it. */
export interface Uploader {
  readonly is: 'uploader'
  readonly name: string
  readonly digest: string
  readonly pack: boolean
  at: 'resolve' | 'attach' | 'intent' | 'put' | 'record' | 'publish' | 'done' | 'failed'
  lease: string
  /** Leases it has lost. */
  lost: number
  /** Objects it has begun. */
  begun: number
  key: string
  chunk: string
}

/** Deletes a package. */
export interface Remover {
  readonly is: 'remover'
  readonly name: string
  at: 'look' | 'commit' | 'done'
  chunk: string
  sawOthers: boolean
}

/** Reviews, condemns, deletes bytes, then rows. */
export interface Collector {
  readonly is: 'collector'
  at: 'idle' | 'look' | 'condemn' | 'keep' | 'unchecked' | 'confirmed'
  chunk: string
  key: string
}

/** Moves what lives out of a pack. */
export interface Compactor {
  readonly is: 'compactor'
  at: 'idle' | 'intent' | 'put' | 'point' | 'leave'
  lease: string
  from: string
  key: string
  moving: readonly { readonly chunk: string; readonly digest: string }[]
  begun: number
}

/** Somebody who takes steps. */
export type Actor = Uploader | Remover | Collector | Compactor

/** Everything there is: rows, bytes, locks, and how far each actor is. */
export interface World {
  chunks: Chunk[]
  objects: StoredObject[]
  leases: string[]
  drafts: string[]
  /** `[holder, chunk]` */
  holders: [string, string][]
  queue: string[]
  /** `[key, digest]`: durable. */
  bytes: [string, string][]
  /** `[row, actor, exclusive]` */
  locks: [string, number, boolean][]
  /** Deletes whose outcome nobody knows and that may land at any time. */
  late: string[]
  /** Packages that clients were told are stored, by name: their digest. */
  promised: Record<string, string>
  actors: Actor[]
  /** How often each of these may still happen; a stop: a lease is taken from somebody who is still at it. */
  crashes: number
  stops: number
  unknownDeletes: number
  expiries: number
}

/** An uploader at its beginning. */
export function uploader(name: string, digest: string, pack = false): Uploader {
  return { is: 'uploader', name, digest, pack, at: 'resolve', lease: '', lost: 0, begun: 0, key: '', chunk: '' }
}

/** A remover of a package that is there. */
export function remover(name: string): Remover {
  return { is: 'remover', name, at: 'look', chunk: '', sawOthers: false }
}

/** A collector at its beginning. */
export function collector(): Collector {
  return { is: 'collector', at: 'idle', chunk: '', key: '' }
}

/** A compactor at its beginning. */
export function compactor(): Compactor {
  return { is: 'compactor', at: 'idle', lease: '', from: '', key: '', moving: [], begun: 0 }
}

/** A world in which these packages, each with one digest, are stored already: `digests` by package. */
export function world(
  actors: Actor[],
  {
    stored = {},
    pack = false,
    ...budget
  }: Partial<Pick<World, 'crashes' | 'stops' | 'unknownDeletes' | 'expiries'>> & {
    readonly stored?: Readonly<Record<string, string>>
    readonly pack?: boolean
  } = {},
): World {
  const digests = [...new Set(Object.values(stored))]
  const chunks = digests.map((digest): Chunk => ({ id: digest, digest, key: pack ? 'old' : `old-${digest}`, condemned: false }))
  const keys = [...new Set(chunks.map(({ key }) => key))]
  return {
    chunks,
    objects: keys.map((key) => ({ key, pack, owner: '', state: 'sealed' })),
    leases: [],
    drafts: actors.flatMap((actor) => (actor.is === 'uploader' ? [actor.name] : [])),
    holders: Object.entries(stored).map(([name, digest]) => [`package ${name}`, digest]),
    queue: [],
    bytes: chunks.map(({ key, digest }) => [key, digest]),
    locks: [],
    late: [],
    promised: { ...stored },
    actors,
    crashes: 0,
    stops: 0,
    unknownDeletes: 0,
    expiries: 0,
    ...budget,
  }
}

/** A step that leaves the world before it as it is. */
export function step(what: string, now: World, change: (then: World) => void): Step<World> {
  const state: World = {
    ...now,
    chunks: now.chunks.map((chunk) => ({ ...chunk })),
    objects: now.objects.map((object) => ({ ...object })),
    leases: [...now.leases],
    drafts: [...now.drafts],
    holders: [...now.holders],
    queue: [...now.queue],
    bytes: [...now.bytes],
    locks: [...now.locks],
    late: [...now.late],
    promised: { ...now.promised },
    actors: now.actors.map((actor) => ({ ...actor })),
  }
  change(state)
  // Two ways to the same rows are the same state.
  for (const rows of [state.chunks, state.objects, state.leases, state.holders, state.queue, state.bytes, state.locks, state.late]) sort(rows)
  return { what, state }
}

function sort(rows: unknown[]): void {
  if (rows.length > 1) rows.sort((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1))
}

/** What locks a row: an exclusive lock excludes all others, a shared one the exclusive ones. */
export function lockable(now: World, row: string, by: number, exclusive: boolean): boolean {
  return !now.locks.some(([locked, holder, isExclusive]) => locked === row && holder !== by && (exclusive || isExclusive))
}

/** Ends a transaction. */
export function unlock(then: World, by: number): void {
  then.locks = then.locks.filter(([, holder]) => holder !== by)
}

/** Adds a holder. */
export function hold(then: World, holder: string, chunk: string): void {
  if (!then.holders.some(([by, target]) => by === holder && target === chunk)) then.holders.push([holder, chunk])
}

/** Removes a holder. */
export function letGo(then: World, holder: string, chunk: string): void {
  then.holders = then.holders.filter(([by, target]) => by !== holder || target !== chunk)
}

/** Queues a chunk for review. */
export function enqueue(then: World, chunk: string): void {
  if (!then.queue.includes(chunk)) then.queue.push(chunk)
}

/** Takes a lease, or keeps it. */
export function takeLease(then: World, lease: string): string {
  if (!then.leases.includes(lease)) then.leases.push(lease)
  return lease
}

/** The reaper: the lease goes, and in the same transaction all that was written under it is nobody's. */
export function freeze(then: World, lease: string): void {
  then.leases = then.leases.filter((id) => id !== lease)
  for (const object of then.objects) {
    if (object.owner !== lease) continue
    object.owner = ''
    if (object.pack && object.state === 'unfinished') object.state = 'sealed'
  }
}

/** An open package is given up, and what it held is queued. */
export function expire(then: World, name: string): void {
  then.expiries -= 1
  then.drafts = then.drafts.filter((draft) => draft !== name)
  for (const [by, chunk] of then.holders.filter(([holder]) => holder === `draft ${name}`)) {
    letGo(then, by, chunk)
    enqueue(then, chunk)
  }
}

/** An object is to be deleted. */
export function condemnObject(then: World, key: string): void {
  const object = then.objects.find((known) => known.key === key)
  if (object !== undefined) object.state = 'condemned'
}

/** The bytes under a key are gone. */
export function removeBytes(then: World, key: string): void {
  then.bytes = then.bytes.filter(([stored]) => stored !== key)
}

/** A delete whose outcome nobody knew happens. */
export function land(then: World, key: string): void {
  then.late.splice(then.late.indexOf(key), 1)
  removeBytes(then, key)
}

/** A process ends: its locks and what it had not committed are gone; another one starts over what it was at. */
export function crash(then: World, index: number): void {
  then.crashes -= 1
  unlock(then, index)
  const actor = then.actors[index]
  if (actor?.is === 'uploader') Object.assign(actor, { at: 'resolve', lease: '', lost: actor.lost + 1, key: '', chunk: '' })
  if (actor?.is === 'remover') actor.at = 'look'
  if (actor?.is === 'collector') Object.assign(actor, { at: 'idle', chunk: '', key: '' })
  if (actor?.is === 'compactor') Object.assign(actor, { at: 'idle', lease: '', key: '', from: '', moving: [] })
}

/** Whether a crash now leaves another state than stopping for a while would. */
export function losesSomething(actor: Actor): boolean {
  switch (actor.is) {
    case 'uploader':
      return !['resolve', 'done', 'failed'].includes(actor.at)
    case 'remover':
      return actor.at === 'commit'
    case 'collector':
      return actor.at === 'confirmed'
    case 'compactor':
      return actor.at !== 'idle'
  }
}

/** Which actor this is, for people. */
export function nameOf(now: World, index: number): string {
  const actor = now.actors[index]
  return actor?.is === 'uploader' || actor?.is === 'remover' ? `${actor.is} ${actor.name}` : `${actor?.is ?? ''} ${index}`
}
