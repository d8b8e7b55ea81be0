import { formatTime } from '../core/event.ts'
import { parseRepositoryName, type RepositoryName, tenantOf } from '../core/name.ts'
import { checkRepositoryPolicy, parseRepositoryPolicy, type RepositoryPolicy } from '../core/repository-policy.ts'
import { uuidv7 } from '../core/uuid.ts'
import { findRepository, getListedRepository, listRepositories, type RepositoryListRow, type RepositoryRow } from '../registry/repositories.ts'
import { listRetentionClasses } from '../registry/retention-classes.ts'
import type { Session } from '../registry/statement.ts'
import { authorize, noRepository } from './authorization.ts'
import type { StoreContext } from './context.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import type { Page, PageRequest, Repositories, RepositoryInfo } from './interface.ts'
import { pageLimit } from './page-limit.ts'
import { applyPolicyChanged, applyRepositoryCreated, encodePolicy, eventData, type RepositoryCreated, type RepositoryPolicyChanged } from './views.ts'

/** The repositories of an embedded store. */
export class EmbeddedRepositories implements Repositories {
  readonly #context: StoreContext

  constructor(context: StoreContext) {
    this.#context = context
  }

  async list(prefix = '', page: PageRequest = {}): Promise<Page<RepositoryInfo>> {
    const limit = pageLimit(page.limit)
    const after = page.after === undefined ? '' : decodeCursor(page.after, ['string'])[0]
    const { registry, access } = this.#context
    const rows = await listRepositories(registry.reader, { readable: access.readable, prefix, after, limit: limit + 1 })
    const items = rows.slice(0, limit).map(repositoryInfo)
    const last = items.at(-1)
    return rows.length > limit && last !== undefined ? { items, next: encodeCursor([last.name]) } : { items }
  }

  async get(name: string): Promise<RepositoryInfo> {
    const repository = parseRepositoryName(name)
    await authorize(this.#context, 'read', repository)
    return this.#info(repository)
  }

  async set(name: string, policy: RepositoryPolicy): Promise<RepositoryInfo> {
    const repository = parseRepositoryName(name)
    await authorize(this.#context, 'admin', repository)
    const checked = checkRepositoryPolicy({ ...policy }, await listRetentionClasses(this.#context.registry.reader))
    await this.#context.registry.write('policy', async (session) => {
      const { policy: current } = await ensureRepository(this.#context, session, repository)
      if (current === encodePolicy(checked)) return
      const now = this.#context.clock.now()
      const data: RepositoryPolicyChanged = { repository, policy: checked, changedAt: formatTime(now) }
      await applyPolicyChanged(session, data)
      session.emit({
        id: uuidv7(now),
        type: 'repository.policy-changed',
        tenant: tenantOf(repository),
        resource: `repositories/${repository}`,
        actor: this.#context.actor,
        data: eventData(data),
      })
    })
    return this.#info(repository)
  }

  async #info(name: RepositoryName): Promise<RepositoryInfo> {
    const row = await getListedRepository(this.#context.registry.reader, name)
    if (row === undefined) throw noRepository(name)
    return repositoryInfo(row)
  }
}

/** Finds a repository, or makes it with its event. Whether the caller may has been decided. */
export async function ensureRepository(
  context: Pick<StoreContext, 'clock' | 'actor'>,
  session: Session,
  name: RepositoryName,
): Promise<RepositoryRow> {
  const known = await findRepository(session, name)
  if (known !== undefined) return known
  const now = context.clock.now()
  const data: RepositoryCreated = { repository: name, tenant: tenantOf(name), createdAt: formatTime(now) }
  session.emit({
    id: uuidv7(now),
    type: 'repository.created',
    tenant: data.tenant,
    resource: `repositories/${name}`,
    actor: context.actor,
    data: eventData(data),
  })
  return { id: await applyRepositoryCreated(session, data), policy: '{}', created_at: now }
}

function repositoryInfo({ name, packages, created_at, policy }: RepositoryListRow): RepositoryInfo {
  return { name, packages: packages ?? 0, createdAt: formatTime(created_at), policy: parseRepositoryPolicy(policy) }
}
