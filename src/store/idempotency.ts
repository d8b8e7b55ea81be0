import { IdempotencyMismatchError, IdempotencyRunningError } from '../core/errors.ts'
import { uuidv4 } from '../core/uuid.ts'
import {
  findIdempotency,
  finishIdempotency,
  forgetIdempotency,
  type IdempotencyRow,
  insertIdempotency,
  pruneIdempotency,
  removeIdempotency,
} from '../registry/idempotency.ts'
import { leaseExists } from '../registry/leases.ts'
import type { Session } from '../registry/statement.ts'
import type { StoreContext } from './context.ts'

/** How long an answer is kept, in ms. */
export const IDEMPOTENCY_MS: number = 24 * 60 * 60_000
/** When an attempt that does not end is taken for dead, in ms, unless its process is known to be dead earlier. */
const ATTEMPT_MS = 5 * 60_000
/** Old entries that each new one clears away: more than come, so that none stay for long. */
const PRUNED = 4
/** Longer answers are not kept, characters. */
const LONGEST_BODY = 65_536

/** An answer as it was sent. */
export interface KeptAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** A request that its caller may repeat: of which route, under which key, and what tells it from others (SHA-256). */
export interface RepeatableRequest {
  readonly route: string
  readonly key: string
  readonly fingerprint: Uint8Array
}

/** What to do with a request: answer it as before, or do it and say what came of it. */
export type Begun = { readonly replay: KeptAnswer } | { readonly attempt: Attempt }

/**
 * Remembers for a day what was answered to requests that carry a key, by actor and route, so that a repeated one is answered alike and done once. The
 * entry is written beside what the request does, not with it: a process that dies in between leaves an entry that is taken over, and the request is
 * done again.
 */
export class IdempotencyLedger {
  readonly #context: Pick<StoreContext, 'registry' | 'writer' | 'actor'>

  constructor(context: Pick<StoreContext, 'registry' | 'writer' | 'actor'>) {
    this.#context = context
  }

  /** @throws IdempotencyMismatchError when the key belongs to another request; IdempotencyRunningError while that request is under way */
  begin({ route, key, fingerprint }: RepeatableRequest): Promise<Begun> {
    const name = { actor: this.#context.actor, route, key }
    const attempt = uuidv4()
    return this.#context.registry.write('idempotency', async (session) => {
      const known = await findIdempotency(session, name)
      if (known !== undefined && (await isCurrent(session, known))) return { replay: kept(known, fingerprint, key) }
      if (known !== undefined) await removeIdempotency(session, known.id)
      await pruneIdempotency(session, IDEMPOTENCY_MS, PRUNED)
      await insertIdempotency(session, { ...name, fingerprint, attempt, lease: this.#context.writer.heldLease ?? null })
      return { attempt: new Attempt(this.#context, attempt) }
    })
  }
}

/** A request under way. */
export class Attempt {
  readonly #context: Pick<StoreContext, 'registry'>
  readonly #id: string

  constructor(context: Pick<StoreContext, 'registry'>, id: string) {
    this.#context = context
    this.#id = id
  }

  /** Keeps what is going to be answered. Of an attempt that was taken over, or whose answer is too long, nothing is kept. */
  async finish({ status, headers, body }: KeptAnswer): Promise<void> {
    if (body.length > LONGEST_BODY) return this.forget()
    const answer = { status, headers: JSON.stringify(headers), body }
    await this.#context.registry.write('idempotency-answer', (session) => finishIdempotency(session, this.#id, answer))
  }

  /** Nothing is to be kept: the next one with this key is a new request. */
  async forget(): Promise<void> {
    await this.#context.registry.write('idempotency-forget', (session) => forgetIdempotency(session, this.#id))
  }
}

/** Whether an entry still counts: an answer for a day, an attempt while its process may be alive. */
async function isCurrent(session: Session, { age, status, lease_id }: IdempotencyRow): Promise<boolean> {
  if (status !== null) return age < IDEMPOTENCY_MS
  return age < ATTEMPT_MS && (lease_id === null || (await leaseExists(session, lease_id)))
}

function kept(known: IdempotencyRow, fingerprint: Uint8Array, key: string): KeptAnswer {
  if (Buffer.compare(known.fingerprint, fingerprint) !== 0) {
    throw new IdempotencyMismatchError(`the idempotency key '${key}' was used by another request; use a new key for a new request`)
  }
  const { status, headers, body } = known
  if (status === null) throw new IdempotencyRunningError(`the request with the idempotency key '${key}' is still under way; ask again later`)
  // Sound: only finish() writes this column.
  return { status, headers: JSON.parse(headers ?? '{}') as Record<string, string>, body: body ?? '' }
}
