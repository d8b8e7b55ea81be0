import { parseDigest } from '../core/digest-text.ts'
import type { RetentionClassInput } from '../core/retention.ts'
import type { Page, PageRequest } from '../store/interface.ts'
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
} from '../store/retention-interface.ts'
import { Members, type Read, readCount, readList, readPage } from './answer.ts'
import type { Connection } from './connection.ts'
import { idempotencyKey, jsonBody } from './json-body.ts'
import type { RemotePackages } from './remote-packages.ts'
import { requestPath } from './request-url.ts'
import { readCertificate, readClass, readClock, readExplanation, readPlan, readPlanItem, readRetention } from './retention-answer.ts'

/** Retention of a store behind a server. Requests carry a key by which the server knows one again that is sent twice. */
export class RemoteRetention implements Retention {
  readonly #connection: Connection
  readonly #packages: RemotePackages

  constructor(connection: Connection, packages: RemotePackages) {
    this.#connection = connection
    this.#packages = packages
  }

  async show(ref: string): Promise<RetentionInfo> {
    return this.#connection.json({ method: 'GET', path: await this.#path(ref, 'retention') }, readRetention)
  }

  async explain(ref: string): Promise<RetentionExplanation> {
    return this.#connection.json({ method: 'GET', path: await this.#path(ref, 'retention', 'explain') }, readExplanation)
  }

  async extend(ref: string, { expiresAt, reason, sets }: ExtendRetention): Promise<RetentionInfo> {
    const body = { expiresAt, reason, ...(sets === undefined ? {} : { sets }) }
    return this.#post(await this.#path(ref, 'retention', 'extensions'), body, readRetention)
  }

  async shorten(ref: string, { expiresAt, reason, sets, bypass }: ShortenRetention): Promise<RetentionInfo> {
    const body = { expiresAt, reason, bypass, ...(sets === undefined ? {} : { sets }) }
    return this.#post(await this.#path(ref, 'retention', 'shorten'), body, readRetention)
  }

  async setMode(ref: string, request: { readonly mode: RetentionInfo['mode']; readonly reason: string }): Promise<RetentionInfo> {
    return this.#post(await this.#path(ref, 'retention', 'mode'), request, readRetention)
  }

  classes(): Promise<readonly RetentionClassInfo[]> {
    return this.#connection.json({ method: 'GET', path: requestPath(['retention', 'classes']) }, readItems(readClass))
  }

  setClass({ name, ...facts }: RetentionClassInput): Promise<RetentionClassInfo> {
    return this.#connection.json({ method: 'PUT', path: requestPath(['retention', 'classes', name]), ...jsonBody(facts) }, readClass)
  }

  reschedule(name: string, request: { readonly reason: string }): Promise<{ readonly packages: number }> {
    return this.#post(requestPath(['retention', 'classes', name, 'reschedule']), request, (value, where) => ({
      packages: new Members(value, where).one('packages', readCount),
    }))
  }

  createPlan(request: { readonly repository?: string } = {}): Promise<DeletionPlan> {
    return this.#post(requestPath(['retention', 'plans']), request, readPlan)
  }

  plans(page: PageRequest = {}): Promise<Page<DeletionPlan>> {
    return this.#connection.json({ method: 'GET', path: requestPath(['retention', 'plans'], { ...page }) }, readPage(readPlan))
  }

  async plan(digest: string): Promise<DeletionPlan> {
    return this.#connection.json({ method: 'GET', path: planPath(digest) }, readPlan)
  }

  async planItems(digest: string, page: PageRequest = {}): Promise<Page<PlanItem>> {
    const path = requestPath(['retention', 'plans', parseDigest(digest), 'items'], { ...page })
    return this.#connection.json({ method: 'GET', path }, readPage(readPlanItem))
  }

  async approve(digest: string, request: { readonly reason?: string } = {}): Promise<DeletionPlan> {
    return this.#post(requestPath(['retention', 'plans', parseDigest(digest), 'approve']), request, readPlan)
  }

  async delete(ref: string, { reason }: { readonly reason?: string } = {}): Promise<RetentionInfo> {
    const path = requestPath(['packages', await this.#packages.idOf(ref)], { reason })
    return this.#connection.json({ method: 'DELETE', path, repeatable: false }, readRetention)
  }

  async undelete(ref: string, request: { readonly reason?: string } = {}): Promise<RetentionInfo> {
    return this.#post(await this.#path(ref, 'undelete'), request, readRetention)
  }

  async certificates(ref: string): Promise<readonly Certificate[]> {
    return this.#connection.json({ method: 'GET', path: await this.#path(ref, 'certificate') }, readItems(readCertificate))
  }

  async *certificateDocument(deletionId: string): AsyncGenerator<Uint8Array, void, undefined> {
    const path = requestPath(['certificates', deletionId])
    const response = await this.#connection.call({ method: 'GET', path }, (answer) => answer)
    yield* this.#connection.pieces(response)
  }

  clock(): Promise<ClockInfo> {
    return this.#connection.json({ method: 'GET', path: requestPath(['retention', 'clock']) }, readClock)
  }

  acceptClock(request: { readonly reason: string }): Promise<ClockInfo> {
    return this.#post(requestPath(['retention', 'clock', 'accept']), request, readClock)
  }

  async #path(ref: string, ...below: readonly string[]): Promise<string> {
    return requestPath(['packages', await this.#packages.idOf(ref), ...below])
  }

  #post<T>(path: string, body: object, read: Read<T>): Promise<T> {
    const { headers, body: text } = jsonBody(body)
    return this.#connection.json({ method: 'POST', path, headers: { ...headers, ...idempotencyKey() }, body: text, repeatable: true }, read)
  }
}

function planPath(digest: string): string {
  return requestPath(['retention', 'plans', parseDigest(digest)])
}

function readItems<T>(item: Read<T>): Read<readonly T[]> {
  return (value, where) => new Members(value, where).one('items', readList(item))
}
