import { sha256Digest } from '../core/digest.ts'
import { InputInvalidError, NotFoundError } from '../core/errors.ts'
import { parseRepositoryName, parseTagName, type RepositoryName, tenantOf } from '../core/name.ts'
import { uuidv7 } from '../core/uuid.ts'
import { findRepository } from '../registry/repositories.ts'
import type { Session } from '../registry/statement.ts'
import { findTag, listTags } from '../registry/tags.ts'
import type { StoreContext } from './context.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import type { Page, PageRequest, Tags } from './interface.ts'
import type { PackageReader } from './package-reader.ts'
import { pageLimit } from './page-limit.ts'
import { applyTagRemoved, applyTagSet, eventData, type TagChanged } from './views.ts'

type TagInfo = Awaited<ReturnType<Tags['list']>>['items'][number]

/** The tags of an embedded store. */
export class EmbeddedTags implements Tags {
  readonly #context: StoreContext
  readonly #packages: PackageReader

  constructor(context: StoreContext, packages: PackageReader) {
    this.#context = context
    this.#packages = packages
  }

  async list(repository: string, page: PageRequest = {}): Promise<Page<TagInfo>> {
    const limit = pageLimit(page.limit)
    const after = page.after === undefined ? '' : decodeCursor(page.after, ['string'])[0]
    const { reader } = this.#context.registry
    const rows = await listTags(reader, await repositoryId(reader, parseRepositoryName(repository)), after, limit + 1)
    const items = rows.slice(0, limit).map((row) => ({
      tag: row.name,
      packageId: row.uuid,
      manifestDigest: sha256Digest(row.manifest_digest),
    }))
    const last = items.at(-1)
    return rows.length > limit && last !== undefined ? { items, next: encodeCursor([last.tag]) } : { items }
  }

  async set(repository: string, tag: string, ref: string): Promise<void> {
    const name = parseRepositoryName(repository)
    const parsed = parseTagName(tag)
    const target = await this.#packages.resolve(ref)
    if (target.repository !== name)
      throw new InputInvalidError(`package ${target.uuid} is in ${target.repository}; a tag of ${name} cannot point to it`)
    await this.#context.registry.write('tag', async (session) => {
      if ((await findTag(session, target.repository_id, parsed)) === target.id) return
      const data: TagChanged = { repository: name, tag: parsed, packageId: target.uuid }
      await applyTagSet(session, data)
      this.#emit(session, 'tag.set', name, data)
    })
  }

  async remove(repository: string, tag: string): Promise<void> {
    const name = parseRepositoryName(repository)
    const parsed = parseTagName(tag)
    await this.#context.registry.write('untag', async (session) => {
      const data: TagChanged = { repository: name, tag: parsed }
      await repositoryId(session, name)
      if (!(await applyTagRemoved(session, data))) throw new NotFoundError(`no tag '${name}:${parsed}'`)
      this.#emit(session, 'tag.removed', name, data)
    })
  }

  #emit(session: Session, type: string, repository: RepositoryName, data: TagChanged): void {
    session.emit({
      id: uuidv7(this.#context.clock.now()),
      type,
      tenant: tenantOf(repository),
      resource: `repositories/${repository}/tags/${data.tag}`,
      actor: this.#context.actor,
      data: eventData(data),
    })
  }
}

async function repositoryId(session: Session, name: RepositoryName): Promise<number> {
  const found = await findRepository(session, name)
  if (found === undefined) throw new NotFoundError(`no repository '${name}'`)
  return found.id
}
