import { type Backend, type ObjectInfo, parseObjectKey } from '../../ports/backend.ts'
import { type LeaseState, listAbandoned, listLeases, listObjectsByKey, objectStateOf, type ObjectState } from '../../registry/inspection.ts'
import type { Session } from '../../registry/statement.ts'
import { objectKind, objectState } from '../../registry/tables.ts'
import { counted, type Finding, Sightings } from './finding.ts'

const PAGE = 1_000
/** Leases and abandoned objects that are looked at; a store with more has a trouble that is told all the same. */
const LOOKED_AT = 1_000

/** Who writes now, and what writers left that are gone. */
export async function examineWriters(session: Session): Promise<Finding> {
  const leases = await listLeases(session, LOOKED_AT)
  const writers = leases.filter(({ name }) => name === null)
  const alive = writers.filter(isAlive).length
  const packs = new Sightings()
  let intended = 0
  for (const { key, kind, state } of await listAbandoned(session, LOOKED_AT)) {
    if (kind === objectKind.pack && state === objectState.open) packs.add(key)
    else intended += 1
  }
  const check = 'writers'
  const now = `${alive === 1 ? '1 process holds' : `${alive} processes hold`} a lease as writer`
  const leftovers = intended === 0 ? '' : `; ${counted(intended, 'object')} begun and never named by writers that are gone, which collection removes`
  if (packs.count === 0 && alive === writers.length) return { check, status: 'ok', observed: `${now}${leftovers}` }
  const dead = writers.length - alive
  const observed = `${now}; ${counted(dead, 'writer')} ended without closing the store, leaving ${counted(packs.count, 'open pack')}${leftovers}`
  const advice = 'Nothing that was acknowledged is lost. The next process that writes to the store closes these packs; nothing needs to be done.'
  return { check, status: 'warn', observed, advice, examples: packs.examples }
}

function isAlive({ left }: LeaseState): boolean {
  return left >= 0
}

/**
 * Compares the objects that are there with those that rows name, both read in the order of their keys, a page at a time. Something that looks wrong is
 * looked at again, since others may be writing. Deletes nothing, ever (I9).
 */
export async function examineObjects(session: Session, backend: Backend, storeId: string): Promise<Finding> {
  return new ObjectComparison(session, backend, storeId).run()
}

class ObjectComparison {
  readonly #session: Session
  readonly #backend: Backend
  readonly #storeId: string
  readonly #missing = new Sightings()
  readonly #cut = new Sightings()
  readonly #unnamed = new Sightings()
  readonly #foreign = new Sightings()
  #unnamedBytes = 0
  #objects = 0
  #bytes = 0
  /** Objects that are not as their row says, but hold nothing that is still needed. */
  #unneeded = 0

  constructor(session: Session, backend: Backend, storeId: string) {
    this.#session = session
    this.#backend = backend
    this.#storeId = storeId
  }

  async run(): Promise<Finding> {
    const rows = this.#rows()
    let row = await nextOf(rows)
    for await (const object of this.#backend.list('')) {
      if (!object.key.startsWith(`${this.#storeId}/`)) this.#foreign.add(object.key)
      if (!this.#isContent(object.key)) continue
      this.#objects += 1
      this.#bytes += object.size
      for (; row !== undefined && row.key < object.key; row = await nextOf(rows)) await this.#expectGone(row)
      if (row?.key !== object.key) {
        await this.#expectNamed(object)
        continue
      }
      await this.#compare(row, object)
      row = await nextOf(rows)
    }
    for (; row !== undefined; row = await nextOf(rows)) await this.#expectGone(row)
    return this.#finding()
  }

  /** The marker and the mirrored log have no rows. */
  #isContent(key: string): boolean {
    return key.startsWith(`${this.#storeId}/`) && key !== `${this.#storeId}/marker` && !key.startsWith(`${this.#storeId}/log/`)
  }

  async *#rows(): AsyncGenerator<ObjectState, void, undefined> {
    for (let after = ''; ;) {
      const page = await listObjectsByKey(this.#session, after, PAGE)
      yield* page
      const last = page.at(-1)
      if (last === undefined) return
      after = last.key
    }
  }

  /** No object was listed under this key. One that was never finished, or is being deleted, need not be there. */
  async #expectGone(row: ObjectState): Promise<void> {
    const state = await objectStateOf(this.#session, row.key)
    if (state !== objectState.sealed && row.named_to === null) return
    if (state === undefined || state === objectState.condemned) return
    if ((await this.#head(row.key)) !== undefined) return
    if (row.named_to === null) this.#unneeded += 1
    else this.#missing.add(row.key)
  }

  async #compare(row: ObjectState, object: ObjectInfo): Promise<void> {
    const expected = Math.max(row.size, row.named_to ?? 0)
    const isRight = (size: number): boolean => (row.state === objectState.sealed && row.entries > 0 ? size === row.size : size >= expected)
    if (isRight(object.size)) return
    const now = await this.#head(row.key)
    if (now === undefined || isRight(now.size)) return
    if (row.named_to === null) this.#unneeded += 1
    else this.#cut.add(`${row.key}: ${now.size} bytes instead of ${expected}`)
  }

  async #expectNamed(object: ObjectInfo): Promise<void> {
    if ((await objectStateOf(this.#session, object.key)) !== undefined) return
    this.#unnamed.add(object.key)
    this.#unnamedBytes += object.size
  }

  async #head(key: string): Promise<ObjectInfo | undefined> {
    return this.#backend.head(parseObjectKey(key))
  }

  #finding(): Finding {
    const check = 'objects'
    const all = `${counted(this.#objects, 'object')}, ${this.#bytes} bytes`
    const aside = this.#unneeded === 0 ? '' : `; ${counted(this.#unneeded, 'object')} damaged or gone that nothing needs any more`
    if (this.#missing.count + this.#cut.count > 0) {
      const observed = `${all}; ${counted(this.#missing.count, 'object')} missing that packages need, ${this.#cut.count} cut short or grown${aside}`
      const advice =
        'If part of the objects folder was moved or not restored, put it back. Otherwise find out which files are affected with: artifact-store verify --all; pushing the same files again heals them.'
      return { check, status: 'fail', observed, advice, examples: [...this.#missing.examples, ...this.#cut.examples] }
    }
    if (this.#unnamed.count > 0) {
      const observed = `${all}; ${counted(this.#unnamed.count, 'object')} of them (${this.#unnamedBytes} bytes) that the registry does not know${aside}`
      const advice =
        'They take up space and do no harm. If the registry was restored from an older copy, they hold what was stored since: artifact-store recover finds it. Do not delete them by hand.'
      return { check, status: 'warn', observed, advice, examples: this.#unnamed.examples }
    }
    if (this.#foreign.count > 0) {
      const observed = `${all}; beside them ${counted(this.#foreign.count, 'object')} of another store${aside}`
      return {
        check,
        status: 'warn',
        observed,
        advice: 'Two stores share one folder. They do not disturb each other, but give each its own.',
        examples: this.#foreign.examples,
      }
    }
    return { check, status: 'ok', observed: `${all}, each named by the registry and as long as it should be${aside}` }
  }
}

async function nextOf(rows: AsyncGenerator<ObjectState, void, undefined>): Promise<ObjectState | undefined> {
  const step = await rows.next()
  return step.done === true ? undefined : step.value
}
