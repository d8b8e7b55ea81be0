import { LeaseLostError, StoreReadOnlyError, type StoreError } from '../core/errors.ts'
import { uuidv4 } from '../core/uuid.ts'
import { parseObjectKey } from '../ports/backend.ts'
import type { Allocation, DataPlane, DataPlaneHost, ObjectKind } from '../ports/data-plane.ts'
import { acquireLease, extendLease, leaseExists, releaseLease } from '../registry/leases.ts'
import { disownIntended, disownSealed, freezeObjects, hasAgedPack, insertIntent, markPackSealed, ownsObject } from '../registry/objects.ts'
import type { Registry } from '../registry/registry.ts'
import type { Session } from '../registry/statement.ts'

/** How long a writer that says nothing is taken for alive. */
const LEASE_MS = 60_000
const RENEW_MS = 20_000
/** A pack is not kept open for longer: until it is sealed nobody can look through it. */
const PACK_AGE_MS = 86_400_000

/**
 * This process's lease as a writer, and the objects it writes under it. Taken with the first object, renewed while the store is open. When it is
 * gone, this writer was taken for dead and its objects were frozen: what it had not named yet fails, retryably, and what comes next is written under
 * a new lease.
 */
export class WriterSession implements DataPlaneHost {
  /** A UUID: second component of this writer's object keys, and the owner of its leases. */
  readonly owner: string = uuidv4()
  readonly #storeId: string
  readonly #registry: Registry
  /** Being taken, or held. Not to be awaited inside a transaction, which it may be queued behind; {@link #held} is for there. */
  #lease: Promise<number> | undefined
  #held: number | undefined
  #renewal: NodeJS.Timeout | undefined
  #packs: Pick<DataPlane, 'abandon' | 'seal'> | undefined

  constructor(storeId: string, registry: Registry) {
    this.#storeId = storeId
    this.#registry = registry
  }

  /** The lease that this process holds at the moment, if it writes: while its row exists, the process may be alive. */
  get heldLease(): number | undefined {
    return this.#held
  }

  /** What lets go of open objects when the lease is lost, and what ends the open pack when it is time. */
  onEnding(packs: Pick<DataPlane, 'abandon' | 'seal'>): void {
    this.#packs = packs
  }

  async allocate(kind: ObjectKind): Promise<Allocation> {
    const key = parseObjectKey(`${this.#storeId}/${this.owner}/${uuidv4()}`)
    const known = this.#lease
    if (known === undefined) return { key, objectId: await this.#firstIntent(key, kind) }
    const lease = await known
    const objectId = await this.#registry.write('intent', async (session) =>
      (await leaseExists(session, lease)) ? insertIntent(session, key, kind, lease) : undefined,
    )
    if (objectId !== undefined) return { key, objectId }
    await this.#lost(lease)
    return this.allocate(kind)
  }

  /** The lease and the first intent share a commit. */
  async #firstIntent(key: Allocation['key'], kind: ObjectKind): Promise<number> {
    const both = this.#registry.write('lease', async (session) => {
      const lease = await acquireLease(session, this.owner, LEASE_MS)
      return { lease, objectId: await insertIntent(session, key, kind, lease) }
    })
    this.#lease = both.then(({ lease }) => (this.#held = lease))
    this.#lease.catch(() => (this.#lease = undefined))
    this.#renewal ??= setInterval(() => void this.#renew(), RENEW_MS).unref()
    return (await both).objectId
  }

  async sealed(objectId: number, facts: { readonly size: number; readonly entries: number }): Promise<void> {
    const lease = await this.#lease
    if (lease !== undefined) await this.#registry.write('seal', (session) => markPackSealed(session, objectId, lease, facts))
  }

  async dropped(objectId: number): Promise<void> {
    const lease = this.#held
    if (lease !== undefined) await this.#registry.write('drop', (session) => disownIntended(session, objectId, lease))
  }

  failed(error: StoreError): void {
    if (!error.retryable) {
      this.#registry.refuseWrites(
        new StoreReadOnlyError('a flush failed; this process writes nothing more. Check the disk, then open the store again', { cause: error }),
      )
    }
  }

  /**
   * The fence of every commit that names bytes: this writer still owns the object they lie in (I3).
   * @returns the lease
   * @throws LeaseLostError; what this writer holds open is given up then
   */
  async assertOwns(session: Session, objectId: number): Promise<number> {
    const lease = this.#held
    if (lease !== undefined && (await ownsObject(session, objectId, lease))) return lease
    // Not awaited: it waits for nothing but the data plane, which this transaction must not.
    if (lease !== undefined && !(await leaseExists(session, lease))) void this.#lost(lease)
    throw new LeaseLostError('this writer was taken for dead and its objects were frozen; nothing acknowledged is lost. Start the operation again')
  }

  async close(): Promise<void> {
    clearInterval(this.#renewal)
    const lease = await this.#lease?.catch(() => undefined)
    if (lease === undefined) return
    await this.#registry.write('release', async (session) => {
      await releaseLease(session, lease, this.owner)
      await freezeObjects(session, lease)
    })
  }

  async #renew(): Promise<void> {
    try {
      const lease = await this.#lease
      if (lease === undefined) return
      const isAlive = await this.#registry.write('renew', async (session) => {
        await disownSealed(session, lease, LEASE_MS)
        return extendLease(session, lease, this.owner, LEASE_MS)
      })
      if (!isAlive) await this.#lost(lease)
      else if (await hasAgedPack(this.#registry.reader, lease, PACK_AGE_MS)) await this.#packs?.seal()
    } catch {
      // The next commit meets the same failure and reports it to somebody who can act.
    }
  }

  async #lost(lease: number): Promise<void> {
    // Of several that find out, the first acts.
    if (this.#held !== lease) return
    this.#lease = undefined
    this.#held = undefined
    await this.#packs?.abandon()
  }
}
