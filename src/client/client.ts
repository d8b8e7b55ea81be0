import { InputInvalidError } from '../core/errors.ts'
import type { Health, Store } from '../store/interface.ts'
import { Members, readText } from './answer.ts'
import { type ConnectOptions, Connection } from './connection.ts'
import { readHealth } from './package-answer.ts'
import { RemoteEvents } from './remote-events.ts'
import { RemoteFiles } from './remote-files.ts'
import { RemoteHolds } from './remote-holds.ts'
import { RemoteRepositories, RemoteSchemas, RemoteTags } from './remote-names.ts'
import { RemotePackages } from './remote-packages.ts'
import { RemoteRetention } from './remote-retention.ts'
import { RemoteUploads } from './remote-uploads.ts'
import { parseServerUrl } from './request-url.ts'

/** artifact-store over the network: the store of a server, with the interface of one in this process. For Node and browsers. */
export type { ConnectOptions, Fetch, TransferProgress } from './connection.ts'
export type { Store } from '../store/interface.ts'
export { errorClasses, StoreError, TreeRefusedError } from '../core/errors.ts'
export type { EntryProblem, ErrorCode, ErrorDetail } from '../core/errors.ts'

/** Whoever names the wrong address wants to know soon. */
const GREETING_RETRIES = 2
/** RFC 6750 section 2.1, generously. */
const TOKEN = /^[\x21-\x7e]+$/

/**
 * Connects to a server.
 * @param url `http://host:port` or `https://host`, a path in front of the API is kept
 * @throws InputInvalidError for a malformed address or token; ServerUnreachableError; UnauthenticatedError
 */
export async function connect(url: string, options: ConnectOptions = {}): Promise<Store> {
  // Told here, as `fetch` would repeat it in its message.
  if (options.token !== undefined && !TOKEN.test(options.token)) throw new InputInvalidError('the token has characters that no token has')
  const connection = new Connection(parseServerUrl(url), options)
  const id = await connection.json({ method: 'GET', path: '', retries: GREETING_RETRIES }, (value, where) =>
    new Members(value, where).one('storeId', readText),
  )
  return new RemoteStore(connection, id)
}

class RemoteStore implements Store {
  readonly id: string
  readonly packages: RemotePackages
  readonly repositories: RemoteRepositories
  readonly files: RemoteFiles
  readonly tags: RemoteTags
  readonly uploads: RemoteUploads
  readonly schemas: RemoteSchemas
  readonly events: RemoteEvents
  readonly retention: RemoteRetention
  readonly holds: RemoteHolds
  readonly #connection: Connection

  constructor(connection: Connection, id: string) {
    this.#connection = connection
    this.id = id
    this.packages = new RemotePackages(connection)
    this.repositories = new RemoteRepositories(connection)
    this.files = new RemoteFiles(connection, this.packages)
    this.tags = new RemoteTags(connection)
    this.uploads = new RemoteUploads(connection)
    this.schemas = new RemoteSchemas(connection)
    this.events = new RemoteEvents(connection)
    this.retention = new RemoteRetention(connection, this.packages)
    this.holds = new RemoteHolds(connection)
  }

  health(): Promise<Health> {
    // A store that is not well says so with 503.
    return this.#connection.json({ method: 'GET', path: 'health', alsoAnswers: [503], headers: { accept: 'application/health+json' } }, readHealth)
  }

  async close(): Promise<void> {
    this.#connection.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
