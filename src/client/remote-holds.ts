import type { HoldInput } from '../core/hold.ts'
import type { Page, PageRequest } from '../store/interface.ts'
import type { HoldInfo, Holds } from '../store/retention-interface.ts'
import { readPage } from './answer.ts'
import type { Connection } from './connection.ts'
import { idempotencyKey, jsonBody } from './json-body.ts'
import { requestPath } from './request-url.ts'
import { readHold } from './retention-answer.ts'

/** The holds of a store behind a server. */
export class RemoteHolds implements Holds {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  place(request: HoldInput): Promise<HoldInfo> {
    const { headers, body } = jsonBody(request)
    return this.#connection.json({ method: 'POST', path: 'holds', headers: { ...headers, ...idempotencyKey() }, body, repeatable: true }, readHold)
  }

  get(id: string): Promise<HoldInfo> {
    return this.#connection.json({ method: 'GET', path: requestPath(['holds', id]) }, readHold)
  }

  list({ released, ...page }: PageRequest & { readonly released?: boolean } = {}): Promise<Page<HoldInfo>> {
    const path = requestPath(['holds'], { ...page, released: released === true ? 'true' : undefined })
    return this.#connection.json({ method: 'GET', path }, readPage(readHold))
  }

  release(id: string, request: { readonly reason: string }): Promise<HoldInfo> {
    const { headers, body } = jsonBody(request)
    const path = requestPath(['holds', id, 'release'])
    return this.#connection.json({ method: 'POST', path, headers: { ...headers, ...idempotencyKey() }, body, repeatable: true }, readHold)
  }
}
