import { parsePackageId, type PackageId } from '../core/name.ts'
import type { PackageDocument } from '../core/package-document.ts'
import type {
  Draft,
  ManifestBytes,
  OpenPackage,
  PackageFilter,
  PackageInfo,
  Packages,
  Page,
  PageRequest,
  VerifiedFile,
  VerifiedPack,
} from '../store/interface.ts'
import { readDigest, readPage } from './answer.ts'
import type { Connection } from './connection.ts'
import { readVerifiedFile, readVerifiedPack } from './file-answer.ts'
import { jsonLines } from './json-lines.ts'
import { idempotencyKey, jsonBody } from './json-body.ts'
import { readDocument, readOpened, readPackageInfo } from './package-answer.ts'
import { RemoteDraft } from './remote-draft.ts'
import { requestPath } from './request-url.ts'

/** The packages of a store behind a server. */
export class RemotePackages implements Packages {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  async open(request: OpenPackage): Promise<Draft> {
    const { headers, body } = jsonBody(request)
    const opened = await this.#connection.json(
      { method: 'POST', path: 'packages', headers: { ...headers, ...idempotencyKey() }, body, repeatable: true },
      readOpened,
    )
    return new RemoteDraft(this.#connection, opened, opened.status === 'finalized')
  }

  async resume(id: string): Promise<Draft> {
    const parsed = parsePackageId(id)
    const { status, repository } = await this.get(parsed)
    return new RemoteDraft(this.#connection, { id: parsed, repository, status: status === 'open' ? 'open' : 'finalized', reusedExisting: true })
  }

  get(ref: string): Promise<PackageInfo> {
    const path = isPackageId(ref) ? requestPath(['packages', ref.toLowerCase()]) : requestPath(['resolve'], { ref })
    return this.#connection.json({ method: 'GET', path }, readPackageInfo)
  }

  /** The id that a reference stands for. An id is taken as it is: the server follows its aliases. */
  async idOf(ref: string, signal?: AbortSignal): Promise<PackageId> {
    if (isPackageId(ref)) return parsePackageId(ref)
    const { id } = await this.#connection.json({ method: 'GET', path: requestPath(['resolve'], { ref }), signal }, readPackageInfo)
    return id
  }

  search(filter: PackageFilter = {}, page: PageRequest = {}): Promise<Page<PackageInfo>> {
    const { metadata = {}, from, until, ...facts } = filter
    const times = { from: rfc3339(from), until: rfc3339(until) }
    const members = Object.fromEntries(Object.entries(metadata).map(([key, value]) => [`metadata.${key}`, value]))
    return this.#connection.json(
      { method: 'GET', path: requestPath(['packages'], { ...facts, ...times, ...members, ...page }) },
      readPage(readPackageInfo),
    )
  }

  async document(ref: string): Promise<PackageDocument> {
    return this.#connection.json({ method: 'GET', path: requestPath(['packages', await this.idOf(ref), 'document']) }, readDocument)
  }

  async manifest(ref: string, child?: string): Promise<ManifestBytes> {
    const path = requestPath(['packages', await this.idOf(ref), 'manifest'], { digest: child })
    return this.#connection.call({ method: 'GET', path }, async (response) => ({
      digest: readDigest(response.headers.get('etag')?.replaceAll('"', ''), 'ETag'),
      mediaType: response.headers.get('content-type') ?? '',
      bytes: await this.#connection.held(response),
    }))
  }

  async *verify(ref: string | 'all', options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<VerifiedFile, void, undefined> {
    const { signal } = options
    const path = ref === 'all' ? 'verify' : requestPath(['packages', await this.idOf(ref, signal), 'verify'])
    for await (const line of this.#lines(path, signal)) yield readVerifiedFile(line, 'line')
  }

  async *verifyPacks(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<VerifiedPack, void, undefined> {
    for await (const line of this.#lines('verify/packs', options.signal)) yield readVerifiedPack(line, 'line')
  }

  async *#lines(path: string, signal: AbortSignal | undefined): AsyncGenerator<unknown, void, undefined> {
    const response = await this.#connection.call({ method: 'POST', path, signal, repeatable: true }, (answer) => answer)
    yield* jsonLines(this.#connection.pieces(response, signal))
  }
}

function isPackageId(ref: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i.test(ref)
}

/** A day alone means its beginning, in UTC. What is no time is left for the server to refuse. */
function rfc3339(time: string | undefined): string | undefined {
  return time !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(time) ? `${time}T00:00:00Z` : time
}
