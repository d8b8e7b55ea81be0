import { sha256Digest } from '../core/digest.ts'
import { InputInvalidError, NotFoundError, StateConflictError } from '../core/errors.ts'
import { parseRepositoryName, parseTagName, type RepositoryName, type TagName, tenantOf } from '../core/name.ts'
import { uuidv7 } from '../core/uuid.ts'
import { parseRepositoryPolicy } from '../core/repository-policy.ts'
import { findRepository, type RepositoryRow } from '../registry/repositories.ts'
import type { Session } from '../registry/statement.ts'
import { findTag, getTag, listTags, type TagRow } from '../registry/tags.ts'
import { authorize, noRepository } from './authorization.ts'
import type { StoreContext } from './context.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'
import type { Page, PageRequest, TagInfo, Tags } from './interface.ts'
import type { PackageReader } from './package-reader.ts'
import { pageLimit } from './page-limit.ts'
import { applyTagRemoved, applyTagSet, eventData, type TagChanged } from './views.ts'

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
    const name = parseRepositoryName(repository)
    await authorize(this.#context, 'read', name)
    const rows = await listTags(reader, (await repositoryOf(reader, name)).id, after, limit + 1)
    const items = rows.slice(0, limit).map(tagInfo)
    const last = items.at(-1)
    return rows.length > limit && last !== undefined ? { items, next: encodeCursor([last.tag]) } : { items }
  }

  async get(repository: string, tag: string): Promise<TagInfo> {
    const { reader } = this.#context.registry
    const name = parseRepositoryName(repository)
    const parsed = parseTagName(tag)
    await authorize(this.#context, 'read', name)
    const row = await getTag(reader, (await repositoryOf(reader, name)).id, parsed)
    if (row === undefined) throw new NotFoundError(`no tag '${name}:${parsed}'`)
    return tagInfo(row)
  }

  async set(repository: string, tag: string, ref: string): Promise<void> {
    const name = parseRepositoryName(repository)
    const parsed = parseTagName(tag)
    await authorize(this.#context, 'write', name)
    const target = await this.#packages.resolve(ref, 'write')
    if (target.repository !== name)
      throw new InputInvalidError(`package ${target.uuid} is in ${target.repository}; a tag of ${name} cannot point to it`)
    await this.#context.registry.write('tag', async (session) => {
      const current = await findTag(session, target.repository_id, parsed)
      if (current === target.id) return
      if (current !== undefined) assertMovable(await repositoryOf(session, name), name, parsed)
      const data: TagChanged = { repository: name, tag: parsed, packageId: target.uuid, manifestDigest: sha256Digest(target.manifest_digest) }
      await applyTagSet(session, data)
      this.#emit(session, 'tag.set', name, data)
    })
  }

  async remove(repository: string, tag: string): Promise<void> {
    const name = parseRepositoryName(repository)
    const parsed = parseTagName(tag)
    await authorize(this.#context, 'write', name)
    await this.#context.registry.write('untag', async (session) => {
      const data: TagChanged = { repository: name, tag: parsed }
      const row = await repositoryOf(session, name)
      if ((await findTag(session, row.id, parsed)) !== undefined) assertMovable(row, name, parsed)
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

async function repositoryOf(session: Session, name: RepositoryName): Promise<RepositoryRow> {
  const found = await findRepository(session, name)
  if (found === undefined) throw noRepository(name)
  return found
}

function assertMovable({ policy }: RepositoryRow, repository: RepositoryName, tag: TagName): void {
  if (parseRepositoryPolicy(policy).immutableTags === true) throw immutableTag(repository, tag)
}

/** What is thrown where a tag that is set stays as it is. */
export function immutableTag(repository: RepositoryName, tag: TagName): StateConflictError {
  return new StateConflictError(`tag '${repository}:${tag}' is set, and tags of this repository are immutable; use another tag`, {
    detail: { repository, tag },
  })
}

function tagInfo(row: TagRow): TagInfo {
  return { tag: row.name, packageId: row.uuid, manifestDigest: sha256Digest(row.manifest_digest) }
}
