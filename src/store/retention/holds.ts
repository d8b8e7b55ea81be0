import { NotFoundError, StateConflictError } from '../../core/errors.ts'
import { formatTime } from '../../core/event.ts'
import { type Hold, type HoldInput, type HoldTarget, parseHold, parseReason } from '../../core/hold.ts'
import type { RepositoryName } from '../../core/name.ts'
import { parseRepositoryPolicy } from '../../core/repository-policy.ts'
import { assertAnother, assertHoldable, assertSomebody, restartClock } from '../../core/retention-rules.ts'
import { uuidv7 } from '../../core/uuid.ts'
import { findHold, listHolds, type StoredHold } from '../../registry/holds.ts'
import { loadRetention } from '../../registry/package-parts.ts'
import { findPackage, type PackageRow } from '../../registry/packages.ts'
import { listPolicies } from '../../registry/repositories.ts'
import type { Session } from '../../registry/statement.ts'
import { authorize, authorizeStore, mayRead } from '../authorization.ts'
import type { StoreContext } from '../context.ts'
import { decodeCursor, encodeCursor } from '../cursor.ts'
import type { Page, PageRequest } from '../interface.ts'
import type { PackageReader } from '../package-reader.ts'
import { pageLimit } from '../page-limit.ts'
import { setPolicy } from '../policy-facts.ts'
import type { HoldInfo, Holds } from '../retention-interface.ts'
import { ofPackage } from './package-event.ts'
import { recordEvent } from './retention-log.ts'

/** Repositories that are looked at together. */
const PAGE = 500

/** Holds in an embedded store. */
export class EmbeddedHolds implements Holds {
  readonly #context: StoreContext
  readonly #reader: PackageReader

  constructor(context: StoreContext, reader: PackageReader) {
    this.#context = context
    this.#reader = reader
  }

  async place(request: HoldInput): Promise<HoldInfo> {
    const parsed = parseHold(request)
    const row = await this.#authorize(parsed.target)
    const target: HoldTarget = row === undefined ? parsed.target : { packageId: row.uuid }
    const { clock, actor, registry } = this.#context
    return registry.write('hold', async (session) => {
      if (row !== undefined) assertHoldable(await loadRetention(session, row.id))
      const now = clock.now()
      const hold: Hold = { ...parsed, target, id: uuidv7(now), placedAt: now, placedBy: actor }
      const { kind, matter, authority, reason, id } = hold
      const repository = row?.repository ?? selectedRepository(target)
      await recordEvent(this.#context, session, {
        type: 'hold.placed',
        data: { holdId: id, kind, matter, authority, reason, ...target, at: formatTime(now), ...(repository === undefined ? {} : { repository }) },
      })
      return this.#info(id, session)
    })
  }

  /** @returns the package, where it is one that is held */
  async #authorize(target: HoldTarget): Promise<PackageRow | undefined> {
    if ('packageId' in target) return this.#reader.find(target.packageId, 'hold')
    const { repository } = target.selector
    if (repository === undefined) authorizeStore(this.#context, 'hold')
    else await authorize(this.#context, 'hold', repository)
    return undefined
  }

  async get(id: string): Promise<HoldInfo> {
    return holdInfo(await this.#visible(id))
  }

  async list(options: PageRequest & { readonly released?: boolean } = {}): Promise<Page<HoldInfo>> {
    const limit = pageLimit(options.limit)
    let after = options.after === undefined ? 0 : decodeCursor(options.after, ['number'])[0]
    const items: HoldInfo[] = []
    for (;;) {
      const page = await listHolds(this.#context.registry.reader, after, PAGE)
      for (const stored of page) {
        if ((options.released === true || !stored.settled) && (await this.#isVisible(stored))) {
          if (items.length === limit) return { items, next: encodeCursor([after]) }
          items.push(holdInfo(stored))
        }
        after = stored.id
      }
      if (page.length < PAGE) return { items }
    }
  }

  async release(id: string, request: { readonly reason: string }): Promise<HoldInfo> {
    const reason = parseReason(request.reason)
    const { actor, clock, registry } = this.#context
    assertSomebody(actor, 'release holds')
    const stored = await this.#visible(id)
    const { hold } = stored
    const row = await this.#authorize(hold.target)
    if (await this.#separatesDuties(row?.repository, hold.target)) assertAnother(actor, hold.placedBy, 'release this hold')
    return registry.write('release-hold', async (session) => {
      const current = await findHold(session, id)
      if (current?.released !== undefined) throw new StateConflictError(`hold ${id} is released already`)
      const now = clock.now()
      // A selector may have caught any number of packages: a sweep starts their clocks, in batches, and until then the hold stands.
      const settled = hold.kind !== 'event' || row !== undefined
      const repository = row?.repository ?? selectedRepository(hold.target)
      await recordEvent(this.#context, session, {
        type: 'hold.released',
        data: { holdId: id, reason, settled, at: formatTime(now), ...(repository === undefined ? {} : { repository }) },
      })
      if (hold.kind === 'event' && row !== undefined) await restartPackageClock(this.#context, session, row, id, now)
      return this.#info(id, session)
    })
  }

  /** Whether some repository that the hold is about wants a second person. */
  async #separatesDuties(repository: RepositoryName | undefined, target: HoldTarget): Promise<boolean> {
    const own = repository ?? selectedRepository(target)
    for (let after = ''; ;) {
      const page = await listPolicies(this.#context.registry.reader, own ?? '', after, PAGE)
      const concerned = page.filter(({ name }) => own === undefined || name === own || (repository === undefined && name.startsWith(`${own}/`)))
      if (concerned.some(({ policy }) => parseRepositoryPolicy(policy).separationOfDuties === true)) return true
      const last = page.at(-1)
      if (last === undefined || page.length < PAGE) return false
      after = last.name
    }
  }

  async #visible(id: string): Promise<StoredHold> {
    const stored = await findHold(this.#context.registry.reader, id)
    if (stored === undefined || !(await this.#isVisible(stored))) throw new NotFoundError(`no hold '${id}'`)
    return stored
  }

  /** Whoever may read what is held may know that it is. */
  async #isVisible({ hold: { target } }: StoredHold): Promise<boolean> {
    const { access, registry } = this.#context
    if (access.readable === 'all') return true
    const repository = 'packageId' in target ? (await findPackage(registry.reader, target.packageId))?.repository : target.selector.repository
    return repository !== undefined && mayRead(this.#context, repository)
  }

  async #info(id: string, session: Session): Promise<HoldInfo> {
    const stored = await findHold(session, id)
    if (stored === undefined) throw new TypeError('a hold vanished inside its own transaction')
    return holdInfo(stored)
  }
}

/** What the release of an event hold does to a package. @returns whether it changed anything */
export async function restartPackageClock(
  context: StoreContext,
  session: Session,
  row: PackageRow,
  holdId: string,
  cutoffAt: number,
): Promise<boolean> {
  const now = context.clock.now()
  const change = restartClock(await loadRetention(session, row.id), cutoffAt, now)
  if (change?.kind !== 'rescheduled') return false
  const policy = change.parts.map((facts) => setPolicy(facts.set, facts))
  const data = { ...ofPackage(row, now), policy, holdId, reason: 'the event hold was released' }
  await recordEvent(context, session, { type: 'package.retention-rescheduled', data })
  return true
}

function selectedRepository(target: HoldTarget): RepositoryName | undefined {
  return 'selector' in target ? target.selector.repository : undefined
}

function holdInfo({ hold, released, settled }: StoredHold): HoldInfo {
  const { id, kind, matter, authority, reason, target, placedAt, placedBy } = hold
  return {
    id,
    kind,
    matter,
    authority,
    reason,
    ...target,
    state: released === undefined ? 'standing' : settled ? 'released' : 'settling',
    placedAt: formatTime(placedAt),
    placedBy,
    ...(released === undefined ? {} : { releasedAt: formatTime(released.at), releasedBy: released.by, releaseReason: released.reason }),
  }
}
