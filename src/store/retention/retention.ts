import { InputInvalidError } from '../../core/errors.ts'
import { CLOCK_ACCEPTED, formatTime } from '../../core/event.ts'
import { parseReason } from '../../core/hold.ts'
import { findClass, parseRetentionClass, type RetentionClass, type RetentionClassInput, type RetentionMode } from '../../core/retention.ts'
import { explainRetention } from '../../core/retention-explanation.ts'
import { assertSomebody, extend, requestDeletion, reschedule, setMode, shorten, undelete } from '../../core/retention-rules.ts'
import { stageOf } from '../../core/retention-state.ts'
import { uuidv7 } from '../../core/uuid.ts'
import type { Verb } from '../../core/access.ts'
import { forgetChecks } from '../../registry/disposals.ts'
import { forgetSightings, listPackagesOfClass } from '../../registry/package-parts.ts'
import { listRetentionClasses } from '../../registry/retention-classes.ts'
import type { Session } from '../../registry/statement.ts'
import { authorizeStore } from '../authorization.ts'
import type { StoreContext } from '../context.ts'
import type { Page, PageRequest } from '../interface.ts'
import type { PackageReader } from '../package-reader.ts'
import { setPolicy } from '../policy-facts.ts'
import type {
  Certificate,
  ClockInfo,
  DeletionPlan,
  ExtendRetention,
  PlanItem,
  Retention,
  RetentionClassInfo,
  RetentionExplanation,
  RetentionInfo,
  ShortenRetention,
} from '../retention-interface.ts'
import { assertThere, statusName } from '../tombstone.ts'
import { assertClockTrusted, CLOCK_RESOURCE } from '../trusted-clock.ts'
import { Certificates } from './certificates.ts'
import { DeletionPlans } from './deletion-plans.ts'
import { ofPackage, ofParts } from './package-event.ts'
import type { RetentionEvent } from './retention-events.ts'
import { recordEvent } from './retention-log.ts'
import { loadSubject, retentionInfo, type RetentionSubject, standing } from './retention-subject.ts'
import { parseTime } from './retention-time.ts'

const MODES: readonly string[] = ['none', 'governance', 'compliance'] satisfies readonly RetentionMode[]
/** Packages that one transaction reschedules. */
const PACKAGES_PER_COMMIT = 100

/** Retention in an embedded store. Every rule is one of core/retention-rules.ts, asked within the transaction that carries out its answer. */
export class EmbeddedRetention implements Retention {
  readonly #context: StoreContext
  readonly #reader: PackageReader
  readonly #plans: DeletionPlans
  readonly #certificates: Certificates

  constructor(context: StoreContext, reader: PackageReader) {
    this.#context = context
    this.#reader = reader
    this.#plans = new DeletionPlans(context, reader)
    this.#certificates = new Certificates(context, reader)
  }

  async show(ref: string): Promise<RetentionInfo> {
    return retentionInfo(await this.#subject(ref))
  }

  async explain(ref: string): Promise<RetentionExplanation> {
    const subject = await this.#subject(ref)
    const now = this.#context.clock.now()
    return {
      packageId: subject.row.uuid,
      stage: stageOf(subject.state),
      at: formatTime(now),
      steps: explainRetention(subject.state, standing(subject), now),
    }
  }

  async #subject(ref: string): Promise<RetentionSubject> {
    const row = await this.#reader.find(ref)
    return loadSubject(this.#context.registry.reader, row.id)
  }

  async extend(ref: string, request: ExtendRetention): Promise<RetentionInfo> {
    const expiresAt = parseTime(request.expiresAt)
    const reason = parseReason(request.reason)
    return this.#change(ref, 'retention', async ({ row, state }, now) => {
      const change = extend(state, { expiresAt, sets: request.sets }, now)
      return { type: 'package.retention-extended', data: { ...ofParts(row, change), expiresAt: formatTime(expiresAt), reason } }
    })
  }

  async shorten(ref: string, request: ShortenRetention): Promise<RetentionInfo> {
    const expiresAt = parseTime(request.expiresAt)
    const reason = parseReason(request.reason)
    return this.#change(ref, 'retention', async ({ row, state }, now) => {
      const { sets, bypass } = request
      const change = shorten(state, { expiresAt, sets, bypass, actor: this.#context.actor }, now)
      return { type: 'package.retention-shortened', data: { ...ofParts(row, change), expiresAt: formatTime(expiresAt), reason, bypass: true } }
    })
  }

  async setMode(ref: string, request: { readonly mode: RetentionMode; readonly reason: string }): Promise<RetentionInfo> {
    const { mode } = request
    if (!MODES.includes(mode)) throw new InputInvalidError(`not a retention mode: '${mode.slice(0, 100)}'; there are ${MODES.join(', ')}`)
    const reason = parseReason(request.reason)
    return this.#change(ref, 'retention', async ({ row, state }, now) => {
      if (setMode(state, mode, now) === undefined) return undefined
      return { type: 'package.retention-mode-set', data: { ...ofPackage(row, now), mode, reason } }
    })
  }

  async delete(ref: string, request: { readonly reason?: string } = {}): Promise<RetentionInfo> {
    const reason = optionalReason(request.reason)
    return this.#change(ref, 'delete', async (subject, now, session) => {
      await assertClockTrusted(this.#context.clock, session)
      const change = requestDeletion(subject.state, standing(subject), now)
      const data = { ...ofParts(subject.row, change), deletionId: uuidv7(now), authority: 'request' as const, ...reason }
      return { type: 'package.deleted', data }
    })
  }

  async undelete(ref: string, request: { readonly reason?: string } = {}): Promise<RetentionInfo> {
    const reason = optionalReason(request.reason)
    return this.#change(ref, 'delete', async ({ row, state }, now) => ({
      type: 'package.undeleted',
      data: { ...ofParts(row, undelete(state, now)), ...reason },
    }))
  }

  /** Decides and carries out in one transaction. */
  async #change(
    ref: string,
    verb: Verb,
    decide: (subject: RetentionSubject, now: number, session: Session) => Promise<RetentionEvent | undefined>,
  ): Promise<RetentionInfo> {
    const row = await this.#reader.find(ref, verb)
    // What was destroyed cannot be changed any more.
    if (statusName(row.status) === 'purged') assertThere(row)
    return this.#context.registry.write('retention', async (session) => {
      const event = await decide(await loadSubject(session, row.id), this.#context.clock.now(), session)
      if (event !== undefined) await recordEvent(this.#context, session, event)
      return retentionInfo(await loadSubject(session, row.id))
    })
  }

  async classes(): Promise<readonly RetentionClassInfo[]> {
    return (await listRetentionClasses(this.#context.registry.reader)).map(classInfo)
  }

  async setClass(input: RetentionClassInput): Promise<RetentionClassInfo> {
    const parsed = parseRetentionClass(input)
    authorizeStore(this.#context, 'admin')
    await this.#context.registry.write('retention-class', async (session) => {
      const known = (await listRetentionClasses(session)).find(({ name }) => name === parsed.name)
      if (known !== undefined && JSON.stringify(classInfo(known)) === JSON.stringify(classInfo(parsed))) return
      const { name, duration = null, minimum = null, mode, disposition } = parsed
      const at = formatTime(this.#context.clock.now())
      await recordEvent(this.#context, session, { type: 'retention.class-set', data: { name, duration, minimum, mode, disposition, at } })
    })
    return classInfo(parsed)
  }

  async reschedule(name: string, request: { readonly reason: string }): Promise<{ readonly packages: number }> {
    const reason = parseReason(request.reason)
    authorizeStore(this.#context, 'admin')
    const to = findClass(name, await listRetentionClasses(this.#context.registry.reader))
    let packages = 0
    for (let after = 0; ;) {
      const page = await listPackagesOfClass(this.#context.registry.reader, name, after, PACKAGES_PER_COMMIT)
      packages += await this.#context.registry.write('reschedule', async (session) => {
        let changed = 0
        for (const id of page) if (await this.#reschedule(session, id, to, reason)) changed += 1
        return changed
      })
      const last = page.at(-1)
      if (last === undefined || page.length < PACKAGES_PER_COMMIT) return { packages }
      after = last
    }
  }

  async #reschedule(session: Session, packageId: number, to: RetentionClass, reason: string): Promise<boolean> {
    const { row, state } = await loadSubject(session, packageId)
    const now = this.#context.clock.now()
    const change = reschedule(state, to, now)
    if (change?.kind !== 'rescheduled') return false
    const policy = change.parts.map((facts) => setPolicy(facts.set, facts))
    await recordEvent(this.#context, session, {
      type: 'package.retention-rescheduled',
      data: { ...ofPackage(row, now), policy, class: to.name, reason },
    })
    return true
  }

  createPlan(request: { readonly repository?: string } = {}): Promise<DeletionPlan> {
    return this.#plans.create(request)
  }

  plans(page: PageRequest = {}): Promise<Page<DeletionPlan>> {
    return this.#plans.list(page)
  }

  plan(digest: string): Promise<DeletionPlan> {
    return this.#plans.get(digest)
  }

  planItems(digest: string, page: PageRequest = {}): Promise<Page<PlanItem>> {
    return this.#plans.items(digest, page)
  }

  approve(digest: string, request: { readonly reason?: string } = {}): Promise<DeletionPlan> {
    return this.#plans.approve(digest, request)
  }

  certificates(ref: string): Promise<readonly Certificate[]> {
    return this.#certificates.of(ref)
  }

  certificateDocument(deletionId: string): AsyncIterable<Uint8Array> {
    return this.#certificates.document(deletionId)
  }

  async clock(): Promise<ClockInfo> {
    const { clock, registry } = this.#context
    const doubt = await clock.doubt(registry.reader)
    const times = { trusted: formatTime(clock.now()), wall: formatTime(clock.reading().wall) }
    return doubt === undefined ? { state: 'trusted', ...times } : { state: 'suspect', ...times, doubt }
  }

  async acceptClock(request: { readonly reason: string }): Promise<ClockInfo> {
    const reason = parseReason(request.reason)
    authorizeStore(this.#context, 'admin')
    assertSomebody(this.#context.actor, 'accept the clock')
    const { clock, registry, actor } = this.#context
    if ((await clock.doubt(registry.reader)) === undefined) return this.clock()
    await registry.write('clock', async (session) => {
      await forgetSightings(session)
      await forgetChecks(session)
      const { wall } = clock.reading()
      const data = { trusted: formatTime(clock.now()), wall: formatTime(wall), reason }
      session.emit({ id: uuidv7(wall), type: CLOCK_ACCEPTED, tenant: 'default', resource: CLOCK_RESOURCE, actor, data })
    })
    return this.clock()
  }
}

function optionalReason(reason: string | undefined): { readonly reason?: string } {
  return reason === undefined ? {} : { reason: parseReason(reason) }
}

function classInfo({ name, duration, minimum, mode, disposition }: RetentionClass): RetentionClassInfo {
  return { name, ...(duration === undefined ? {} : { duration }), ...(minimum === undefined ? {} : { minimum }), mode, disposition }
}
