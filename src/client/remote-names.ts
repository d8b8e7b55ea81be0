import type { JsonObject } from '../core/canonical-json.ts'
import { parseRepositoryName, parseTagName } from '../core/name.ts'
import type { RepositoryPolicy } from '../core/repository-policy.ts'
import type { MetadataSchema, MetadataSchemas, Page, PageRequest, Repositories, RepositoryInfo, TagInfo, Tags } from '../store/interface.ts'
import { readPage } from './answer.ts'
import type { Connection } from './connection.ts'
import { jsonBody } from './json-body.ts'
import { readMetadataSchema, readRepository, readTag } from './package-answer.ts'
import { requestPath } from './request-url.ts'

/** The repositories of a store behind a server. */
export class RemoteRepositories implements Repositories {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  list(prefix?: string, page: PageRequest = {}): Promise<Page<RepositoryInfo>> {
    return this.#connection.json(
      { method: 'GET', path: requestPath(['repositories'], { prefix: prefix === '' ? undefined : prefix, ...page }) },
      readPage(readRepository),
    )
  }

  async get(name: string): Promise<RepositoryInfo> {
    return this.#connection.json({ method: 'GET', path: requestPath(['repositories', parseRepositoryName(name)]) }, readRepository)
  }

  async set(name: string, policy: RepositoryPolicy): Promise<RepositoryInfo> {
    const path = requestPath(['repositories', parseRepositoryName(name)])
    return this.#connection.json({ method: 'PUT', path, ...jsonBody(policy) }, readRepository)
  }
}

/** The tags of a store behind a server. */
export class RemoteTags implements Tags {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  async list(repository: string, page: PageRequest = {}): Promise<Page<TagInfo>> {
    const path = requestPath(['repositories', parseRepositoryName(repository), 'tags'], { ...page })
    return this.#connection.json({ method: 'GET', path }, readPage(readTag))
  }

  async get(repository: string, tag: string): Promise<TagInfo> {
    return this.#connection.json({ method: 'GET', path: tagPath(repository, tag) }, readTag)
  }

  async set(repository: string, tag: string, ref: string): Promise<void> {
    await this.#connection.json({ method: 'PUT', path: tagPath(repository, tag), ...jsonBody({ ref }) }, readTag)
  }

  async remove(repository: string, tag: string): Promise<void> {
    await this.#connection.done({ method: 'DELETE', path: tagPath(repository, tag) })
  }
}

/** The schemas of metadata of a store behind a server. */
export class RemoteSchemas implements MetadataSchemas {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  register(name: string, schema: JsonObject): Promise<MetadataSchema> {
    // The same schema again changes nothing.
    return this.#connection.json({ method: 'POST', path: 'metadata-schemas', ...jsonBody({ name, schema }), repeatable: true }, readMetadataSchema)
  }

  get(name: string): Promise<MetadataSchema> {
    return this.#connection.json({ method: 'GET', path: requestPath(['metadata-schemas', name]) }, readMetadataSchema)
  }

  list(page: PageRequest = {}): Promise<Page<MetadataSchema>> {
    return this.#connection.json({ method: 'GET', path: requestPath(['metadata-schemas'], { ...page }) }, readPage(readMetadataSchema))
  }
}

function tagPath(repository: string, tag: string): string {
  return requestPath(['repositories', parseRepositoryName(repository), 'tags', parseTagName(tag)])
}
