import type { Access } from '../core/access.ts'
import type { StoreError } from '../core/errors.ts'
import { getLogHead } from '../registry/events.ts'
import { listEndedDrafts } from '../registry/drafts.ts'
import { getSetting } from '../registry/settings.ts'
import { authorizeStore } from './authorization.ts'
import type { StoreContext } from './context.ts'
import { deliveryHealth } from './delivery/delivery-state.ts'
import { EmbeddedEvents } from './events.ts'
import { EmbeddedFiles } from './files.ts'
import { IdempotencyLedger } from './idempotency.ts'
import type { Health, Store } from './interface.ts'
import { closeContext } from './open-context.ts'
import { PackageReader } from './package-reader.ts'
import { EmbeddedPackages } from './packages.ts'
import { EmbeddedSchemas } from './metadata-schemas.ts'
import { EmbeddedRepositories } from './repositories.ts'
import { EmbeddedHolds } from './retention/holds.ts'
import { EmbeddedRetention } from './retention/retention.ts'
import { RetentionSweep, type SweepReport, type SweepSettings } from './retention/sweep.ts'
import { EmbeddedTags } from './tags.ts'
import { EmbeddedUploads } from './uploads.ts'

/** A store in this process. Made by `openStore` and `createStore`. */
export class EmbeddedStore implements Store {
  readonly id: string
  readonly packages: EmbeddedPackages
  readonly repositories: EmbeddedRepositories
  readonly files: EmbeddedFiles
  readonly tags: EmbeddedTags
  readonly uploads: EmbeddedUploads
  readonly schemas: EmbeddedSchemas
  readonly events: EmbeddedEvents
  readonly retention: EmbeddedRetention
  readonly holds: EmbeddedHolds
  /** What was answered to requests that may be repeated; for servers. */
  readonly idempotency: IdempotencyLedger
  readonly #context: StoreContext
  readonly #closeParts: () => Promise<void>
  #closing: Promise<void> | undefined

  constructor(context: StoreContext, closeParts: () => Promise<void> = () => closeContext(context)) {
    this.id = context.storeId
    this.#context = context
    this.#closeParts = closeParts
    const reader = new PackageReader(context)
    this.files = new EmbeddedFiles(context, reader)
    this.packages = new EmbeddedPackages(context, reader, this.files)
    this.repositories = new EmbeddedRepositories(context)
    this.schemas = new EmbeddedSchemas(context)
    this.tags = new EmbeddedTags(context, reader)
    this.uploads = new EmbeddedUploads(context)
    this.events = new EmbeddedEvents(context)
    this.retention = new EmbeddedRetention(context, reader)
    this.holds = new EmbeddedHolds(context, reader)
    this.idempotency = new IdempotencyLedger(context)
  }

  /** The same store for somebody else: light, made for a request; closing it closes nothing. */
  actingAs(access: Access): EmbeddedStore {
    return new EmbeddedStore({ ...this.#context, actor: access.actor, access }, () => Promise.resolve())
  }

  /** Takes the steps of retention that are due: what is over is found, deleted and let go of. @throws ForbiddenError, StoreReadOnlyError */
  async sweep(settings: SweepSettings): Promise<SweepReport> {
    authorizeStore(this.#context, 'admin')
    const sweep = new RetentionSweep(this.#context, settings)
    const report = await sweep.run()
    return report.doubt === undefined ? { ...report, certified: await sweep.certify() } : report
  }

  async health(): Promise<Health> {
    const { reader } = this.#context.registry
    const checks: Record<string, Health['checks'][string]> = {}
    const check = async (name: string, probe: () => Promise<{ readonly status: 'pass' | 'warn'; readonly observed?: string }>): Promise<void> => {
      checks[name] = await probe().catch((error: unknown) => ({ status: 'fail', observed: error instanceof Error ? error.message : String(error) }))
    }
    await check('registry', async () => ({ status: 'pass', observed: `event ${(await getLogHead(reader)).seq}` }))
    await check('backend', async () => {
      for await (const _object of this.#context.backend.list(`${this.#context.storeId}/marker`)) return { status: 'pass' }
      throw new Error('the marker of this store is gone')
    })
    await check('writable', async () => {
      const reason: StoreError | undefined = this.#context.readOnly()
      return reason === undefined ? { status: 'pass' } : { status: 'warn', observed: reason.message }
    })
    await check('mirror', async () => {
      const behind = (await getLogHead(reader)).seq - Number(await getSetting(reader, 'mirrored-seq'))
      return { status: 'pass', observed: `${behind} events behind` }
    })
    await check('clock', async () => {
      const doubt = await this.#context.clock.doubt(reader)
      return doubt === undefined ? { status: 'pass' } : { status: 'warn', observed: `${doubt}; nothing is deleted` }
    })
    await check('delivery', () => deliveryHealth(reader))
    await check('clearance', async () => ({ status: 'pass', observed: `${(await listEndedDrafts(reader, 1_000)).length} ended packages to clear` }))
    const statuses = Object.values(checks).map(({ status }) => status)
    return { status: statuses.includes('fail') ? 'fail' : statuses.includes('warn') ? 'warn' : 'pass', checks }
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeParts()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
