import { AbortedError } from '../../core/errors.ts'
import { formatTime } from '../../core/event.ts'
import { catches } from '../../core/hold.ts'
import { type DueStep, dueStep } from '../../core/retention-rules.ts'
import { uuidv7 } from '../../core/uuid.ts'
import { type DisposalRow, listDisposals, listUncertified, listUnreleased, noteChecked, setsOf } from '../../registry/disposals.ts'
import { findDocument } from '../../registry/documents.ts'
import { letGo } from '../../registry/holders.ts'
import { listReleasedHolds, listStandingSelectors, noteSettledTo, noteUnblocked, type StoredHold } from '../../registry/holds.ts'
import {
  listDueParts,
  listSightedParts,
  noteBlocked,
  noteSighted,
  type PartPlace,
  type StoredPart,
  unblockParts,
} from '../../registry/package-parts.ts'
import { listKeptPackages } from '../../registry/packages.ts'
import { listOverduePlans, type PlanRow } from '../../registry/plans.ts'
import { sha256Digest } from '../../core/digest.ts'
import type { Session } from '../../registry/statement.ts'
import type { StoreContext } from '../context.ts'
import { heldFacts, loadSubject, type RetentionSubject } from './retention-subject.ts'
import { Certificates } from './certificates.ts'
import { restartPackageClock } from './holds.ts'
import { ofPackage } from './package-event.ts'
import { ReleaseStep } from './release.ts'
import { recordEvent } from './retention-log.ts'

/** How a sweep goes about it. */
export interface SweepSettings {
  /**
   * Milliseconds between the two looks that must both find something over, and between deletion and destruction. Counted in trusted time: retention is a
   * matter of the calendar; the grace of collection is the database's.
   */
  readonly grace: number
  /** Parts of packages that one transaction looks at; default 200. */
  readonly batch?: number
  readonly signal?: AbortSignal | undefined
}

/** What a sweep did. All but `doubt` are counts: of parts for the first steps, of deletions for the last three. */
export interface SweepReport {
  /** Why nothing was done: the clock is in doubt. */
  readonly doubt?: string
  readonly sighted: number
  readonly confirmed: number
  readonly deleted: number
  readonly purging: number
  readonly released: number
  readonly certified: number
}

/** Parts that went a step on, and those that were put aside since a hold is in the way. */
interface Outcome {
  readonly done: number
  readonly aside: number
}

const nothing: Outcome = { done: 0, aside: 0 }

type Counts = { -readonly [Name in Exclude<keyof SweepReport, 'doubt'>]: number }

const BATCH = 200
/** Deletions that are worked on at once. */
const TOGETHER = 32
/** How often within a grace period is asked what became of something. */
const CHECKS_PER_GRACE = 24
const ROWS_AT_ONCE = 1_000

/**
 * What retention does by itself, in small steps that can be taken in any number of processes, stopped and taken up again anywhere: each finds what is due
 * by an index, decides within a transaction by the rules of core/retention-rules.ts, and does it there. What a hold blocks is put aside until that is
 * released, so that it costs nothing meanwhile.
 */
export class RetentionSweep {
  readonly #context: StoreContext
  readonly #grace: number
  readonly #batch: number
  readonly #signal: AbortSignal | undefined
  readonly #certificates: Certificates
  readonly #release: ReleaseStep

  constructor(context: StoreContext, { grace, batch = BATCH, signal }: SweepSettings) {
    this.#context = context
    this.#grace = grace
    this.#batch = batch
    this.#signal = signal
    this.#certificates = new Certificates(context)
    this.#release = new ReleaseStep(context)
  }

  /** Does all that is due but certificates, see {@link certify}: they come after collection. */
  async run(): Promise<SweepReport> {
    const counts: Counts = { sighted: 0, confirmed: 0, deleted: 0, purging: 0, released: 0, certified: 0 }
    const { clock, registry } = this.#context
    await clock.report(registry)
    const doubt = await clock.doubt(registry.reader)
    if (doubt !== undefined) return { ...counts, doubt }
    await this.#settleHolds()
    counts.sighted = await this.#repeat('kept', 'sight', (session, subject, parts) => this.#sight(session, subject, parts))
    counts.confirmed = await this.#repeat('sighted', 'confirm', (session, subject, parts) => this.#confirm(session, subject, parts))
    counts.deleted = await this.#repeat('eligible', 'delete', (session, subject, parts) => this.#delete(session, subject, parts))
    counts.purging = await this.#repeat('deleted', 'purge', (session, subject, parts) => this.#purge(session, subject, parts))
    for (let after = 0; ;) {
      const page = await listUnreleased(registry.reader, after, this.#batch)
      counts.released += await this.#together(page, (disposal) => this.#release.run(disposal))
      const last = page.at(-1)
      if (last === undefined) break
      after = last.id
    }
    await this.#expirePlans()
    return counts
  }

  /** Writes the certificates of deletions whose bytes are all gone, or held by something else. @returns how many */
  async certify(): Promise<number> {
    const { registry, clock } = this.#context
    const now = clock.now()
    // Destruction takes hours to days: each is looked at now and then, not at every turn.
    const checked = now - this.#grace / CHECKS_PER_GRACE
    const seen = new Set<number>()
    let certified = 0
    for (;;) {
      const page = (await listUncertified(registry.reader, checked, this.#batch)).filter(({ id }) => !seen.has(id))
      if (page.length === 0) return certified
      const waiting: number[] = []
      certified += await this.#together(page, async (disposal) => {
        seen.add(disposal.id)
        const written = await this.#certificates.write(disposal)
        if (!written) waiting.push(disposal.id)
        return written
      })
      await registry.write('checked', async (session) => {
        for (const id of waiting) await noteChecked(session, id, now)
      })
    }
  }

  /** Does something with several deletions at once, whose transactions then share commits. @returns how many said that they are done */
  async #together(disposals: readonly DisposalRow[], act: (disposal: DisposalRow) => Promise<boolean>): Promise<number> {
    let done = 0
    for (let start = 0; start < disposals.length; start += TOGETHER) {
      this.#check()
      const outcomes = await Promise.all(disposals.slice(start, start + TOGETHER).map(act))
      done += outcomes.filter(Boolean).length
    }
    return done
  }

  /** Takes one step with all parts that it is due for, a batch a transaction. */
  async #repeat(
    due: 'kept' | 'sighted' | 'eligible' | 'deleted',
    step: DueStep,
    act: (session: Session, subject: RetentionSubject, parts: readonly StoredPart[]) => Promise<Outcome>,
  ): Promise<number> {
    let done = 0
    for (;;) {
      this.#check()
      const batch = await this.#context.registry.write(`sweep-${step}`, async (session) => {
        const now = this.#context.clock.now()
        // Another process may have found the clock suspect since.
        const places = (await this.#context.clock.doubt(session)) === undefined ? await this.#duePlaces(session, due, now) : []
        const selectors = places.length === 0 ? [] : await listStandingSelectors(session)
        const outcome = { done: 0, aside: 0 }
        for (const [packageId, sets] of byPackage(places)) {
          const subject = await loadSubject(session, packageId, selectors)
          const parts = subject.state.parts.filter(
            (part) => sets.has(part.set) && dueStep(part, part.sightedAt, { now, grace: this.#grace }) === step,
          )
          const { done: more, aside } = await act(session, subject, parts)
          outcome.done += more
          outcome.aside += aside
        }
        return { found: places.length, ...outcome }
      })
      done += batch.done
      if (batch.found < this.#batch || batch.done + batch.aside === 0) return done
    }
  }

  #duePlaces(session: Session, due: 'kept' | 'sighted' | 'eligible' | 'deleted', now: number): Promise<readonly PartPlace[]> {
    if (due === 'sighted') return listSightedParts(session, now - this.#grace, this.#batch)
    return listDueParts(session, due, due === 'deleted' ? now - this.#grace : now, this.#batch)
  }

  async #sight(session: Session, { row }: RetentionSubject, parts: readonly StoredPart[]): Promise<Outcome> {
    const now = this.#context.clock.now()
    for (const { set } of parts) await noteSighted(session, row.id, set, now)
    return { done: parts.length, aside: 0 }
  }

  async #confirm(session: Session, { row }: RetentionSubject, parts: readonly StoredPart[]): Promise<Outcome> {
    if (parts.length === 0) return nothing
    const data = { ...ofPackage(row, this.#context.clock.now()), sets: parts.map(({ set }) => set) }
    await recordEvent(this.#context, session, { type: 'package.eligible', data })
    return { done: parts.length, aside: 0 }
  }

  async #delete(session: Session, subject: RetentionSubject, parts: readonly StoredPart[]): Promise<Outcome> {
    if (parts.length === 0) return nothing
    if (await putAside(session, subject, parts)) return { done: 0, aside: parts.length }
    const now = this.#context.clock.now()
    const data = { ...ofPackage(subject.row, now), sets: parts.map(({ set }) => set), deletionId: uuidv7(now), authority: 'automatic' as const }
    await recordEvent(this.#context, session, { type: 'package.deleted', data })
    return { done: parts.length, aside: 0 }
  }

  /** The point of no return (I11): within this transaction nothing holds or retains it, and from the next on no hold can be placed. */
  async #purge(session: Session, subject: RetentionSubject, parts: readonly StoredPart[]): Promise<Outcome> {
    if (parts.length === 0) return nothing
    if (await putAside(session, subject, parts)) return { done: 0, aside: parts.length }
    const ready = new Set(parts.map(({ set }) => set))
    let purging = 0
    for (const disposal of await listDisposals(session, subject.row.id)) {
      const sets = disposal.purging_at === null ? setsOf(disposal).filter((set) => ready.has(set)) : []
      if (sets.length === 0) continue
      const data = { ...ofPackage(subject.row, this.#context.clock.now()), sets, deletionId: disposal.uuid }
      await recordEvent(this.#context, session, { type: 'package.purging', data })
      purging += sets.length
    }
    return { done: purging, aside: 0 }
  }

  /** Carries out what the release of holds means: clocks that start, and what was blocked and is not any more. */
  async #settleHolds(): Promise<void> {
    for (const stored of await listReleasedHolds(this.#context.registry.reader)) {
      if (!stored.settled) await this.#settle(stored)
      if (stored.unblocking) await this.#unblock(stored)
    }
  }

  async #settle(stored: StoredHold): Promise<void> {
    const { hold, released } = stored
    if (released === undefined) return
    for (let after = stored.settledTo; ;) {
      this.#check()
      const page = await listKeptPackages(this.#context.registry.reader, after, this.#batch)
      await this.#context.registry.write('settle-hold', async (session) => {
        for (const row of page) if (catches(hold.target, heldFacts(row))) await restartPackageClock(this.#context, session, row, hold.id, released.at)
        const last = page.at(-1)
        if (last !== undefined) await noteSettledTo(session, stored.id, last.id)
        if (page.length < this.#batch) {
          const data = { holdId: hold.id, at: formatTime(this.#context.clock.now()) }
          await recordEvent(this.#context, session, { type: 'hold.settled', data })
        }
      })
      const last = page.at(-1)
      if (last === undefined || page.length < this.#batch) return
      after = last.id
    }
  }

  async #unblock({ id }: StoredHold): Promise<void> {
    for (;;) {
      this.#check()
      const count = await this.#context.registry.write('unblock', async (session) => {
        const found = await unblockParts(session, id, this.#batch)
        if (found < this.#batch) await noteUnblocked(session, id)
        return found
      })
      if (count < this.#batch) return
    }
  }

  async #expirePlans(): Promise<void> {
    for (const plan of await listOverduePlans(this.#context.registry.reader, this.#context.clock.now(), this.#batch)) {
      await this.#context.registry.write('plan-expired', (session) => this.#expirePlan(session, plan))
    }
  }

  async #expirePlan(session: Session, { digest }: PlanRow): Promise<void> {
    const plan = sha256Digest(digest)
    const document = await findDocument(session, 'plan', plan)
    if (document === undefined) return
    while ((await letGo(session, 'document', document.id, ROWS_AT_ONCE)) > 0);
    await recordEvent(this.#context, session, { type: 'plan.expired', data: { plan, at: formatTime(this.#context.clock.now()) } })
  }

  /** Each step is whole; stopping between two of them leaves nothing half done. */
  #check(): void {
    if (this.#signal?.aborted === true) throw new AbortedError('stopped on request', { cause: this.#signal.reason })
  }
}

/** Puts parts aside that a hold is in the way of. @returns whether there is one */
async function putAside(session: Session, { row, holds }: RetentionSubject, parts: readonly StoredPart[]): Promise<boolean> {
  const [first] = holds
  if (first === undefined) return false
  for (const { set } of parts) await noteBlocked(session, row.id, set, first.id)
  return true
}

function byPackage(places: readonly PartPlace[]): ReadonlyMap<number, ReadonlySet<string>> {
  const packages = new Map<number, Set<string>>()
  for (const { package_id: id, set_key: set } of places) packages.set(id, (packages.get(id) ?? new Set()).add(set))
  return packages
}
