import type { StoreError } from '../core/errors.ts'
import { getLogHead } from '../registry/events.ts'
import { listEndedDrafts } from '../registry/drafts.ts'
import { getSetting } from '../registry/settings.ts'
import type { StoreContext } from './context.ts'
import { EmbeddedEvents } from './events.ts'
import { EmbeddedFiles } from './files.ts'
import type { Health, Store } from './interface.ts'
import { closeContext } from './open-context.ts'
import { PackageReader } from './package-reader.ts'
import { EmbeddedPackages } from './packages.ts'
import { EmbeddedTags } from './tags.ts'

/** A store in this process. Made by `openStore` and `createStore`. */
export class EmbeddedStore implements Store {
  readonly id: string
  readonly packages: EmbeddedPackages
  readonly files: EmbeddedFiles
  readonly tags: EmbeddedTags
  readonly events: EmbeddedEvents
  readonly #context: StoreContext
  #closing: Promise<void> | undefined

  constructor(context: StoreContext) {
    this.id = context.storeId
    this.#context = context
    const reader = new PackageReader(context)
    this.files = new EmbeddedFiles(context, reader)
    this.packages = new EmbeddedPackages(context, reader, this.files)
    this.tags = new EmbeddedTags(context, reader)
    this.events = new EmbeddedEvents(context)
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
    await check('clearance', async () => ({ status: 'pass', observed: `${(await listEndedDrafts(reader, 1_000)).length} ended packages to clear` }))
    const statuses = Object.values(checks).map(({ status }) => status)
    return { status: statuses.includes('fail') ? 'fail' : statuses.includes('warn') ? 'warn' : 'pass', checks }
  }

  close(): Promise<void> {
    this.#closing ??= closeContext(this.#context)
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
