import { createHash } from 'node:crypto'
import { encodeCanonical, isJsonObject, type JsonObject, parseJson } from './canonical-json.ts'
import { DocumentInvalidError, LimitExceededError, LogCorruptError } from './errors.ts'

/**
 * The event log's encoding (docs/format/event-log.md). A leaf is the RFC 6962 leaf hash over the canonical JSON of the record; the chain hashes the
 * one before with the leaf. Data stand beside the record under a salted hash, so that they can be forgotten one day without rewriting history.
 */

/** Canonical data of one event are at most this many bytes. */
export const EVENT_DATA_LIMIT = 65_536
/** Names the encoding of a mirrored segment. */
const SEGMENT_FORMAT = 'artifact-store.event-segment.v1'
/** The one event before which time may stand still or go back: an operator says that the wall clock is right. */
export const CLOCK_ACCEPTED = 'clock.accepted'
/** What stands before the first event of a log: 32 zero bytes. */
export const GENESIS_HASH: Uint8Array = new Uint8Array(32)

/** What happened, before it has a place in the log. */
export interface NewEvent {
  /** UUIDv7. */
  readonly id: string
  /** Noun and past participle, as in `package.finalized`. */
  readonly type: string
  readonly tenant: string
  /** What changed: `packages/<id>`, `repositories/<name>`, `repositories/<name>/tags/<tag>`, `store`. */
  readonly resource: string
  readonly actor: string
  readonly data: JsonObject
}

/** An event in its place. `time` is UTC milliseconds, `salt` 16 bytes, `hash` the 32 bytes of the chain up to and including it. */
export interface LoggedEvent extends NewEvent {
  /** Dense, from 1, in commit order. */
  readonly seq: number
  readonly time: number
  readonly salt: Uint8Array
  readonly hash: Uint8Array
}

/** SHA-256 over the salt and the canonical data. @throws LimitExceededError beyond {@link EVENT_DATA_LIMIT} */
export function eventDataHash(salt: Uint8Array, data: JsonObject): Uint8Array {
  const bytes = encodeCanonical(data)
  if (bytes.length > EVENT_DATA_LIMIT) {
    throw new LimitExceededError(`the data of one event would take ${bytes.length} bytes; at most ${EVENT_DATA_LIMIT} are allowed`)
  }
  return createHash('sha256').update(salt).update(bytes).digest()
}

/** RFC 6962 section 2.1 leaf hash of the event's record. */
export function eventLeafHash(event: Omit<LoggedEvent, 'hash'>): Uint8Array {
  const record = encodeCanonical({
    actor: event.actor,
    dataHash: Buffer.from(eventDataHash(event.salt, event.data)).toString('hex'),
    id: event.id,
    resource: event.resource,
    seq: event.seq,
    tenant: event.tenant,
    time: formatTime(event.time),
    type: event.type,
  })
  return createHash('sha256').update(Uint8Array.of(0)).update(record).digest()
}

/** The chain's hash after a leaf. */
export function chainHash(previous: Uint8Array, leaf: Uint8Array): Uint8Array {
  return createHash('sha256').update(previous).update(leaf).digest()
}

/** Gives an event its place after `previous`. */
export function placeEvent(
  event: NewEvent,
  place: { readonly seq: number; readonly time: number; readonly salt: Uint8Array; readonly previous: Uint8Array },
): LoggedEvent {
  const { seq, time, salt, previous } = place
  const placed = {
    id: event.id,
    type: event.type,
    tenant: event.tenant,
    resource: event.resource,
    actor: event.actor,
    data: event.data,
    seq,
    time,
    salt,
  }
  return { ...placed, hash: chainHash(previous, eventLeafHash(placed)) }
}

/** Follows the chain over consecutive events. */
export class ChainVerifier {
  #seq: number
  #hash: Uint8Array

  /** Begins after event `seq` (0: before the first) whose chain hash is `hash`. */
  constructor(seq = 0, hash: Uint8Array = GENESIS_HASH) {
    this.#seq = seq
    this.#hash = hash
  }

  get seq(): number {
    return this.#seq
  }

  get hash(): Uint8Array {
    return this.#hash
  }

  /** @throws LogCorruptError naming the first event that is missing, inserted, reordered or edited */
  add(event: LoggedEvent): void {
    if (event.seq !== this.#seq + 1) {
      throw new LogCorruptError(`event ${this.#seq + 1} is missing or out of order: found ${event.seq} (${event.id}) in its place`, {
        detail: { expected: this.#seq + 1, found: event.seq, id: event.id },
      })
    }
    const hash = chainHash(this.#hash, eventLeafHash(event))
    if (Buffer.compare(hash, event.hash) !== 0) {
      throw new LogCorruptError(
        `event ${event.seq} (${event.id}, ${event.type}) or one before it was changed: its hash does not follow from what it says`,
        {
          detail: { seq: event.seq, id: event.id },
        },
      )
    }
    this.#seq = event.seq
    this.#hash = hash
  }
}

/** What a mirrored segment says of itself. `previous` is the chain hash before its first event. */
export interface SegmentHeader {
  readonly storeId: string
  readonly logId: string
  readonly first: number
  readonly last: number
  readonly previous: Uint8Array
}

/** A segment as JSON Lines: the header, then one event a line. */
export function encodeSegment(header: SegmentHeader, events: readonly LoggedEvent[]): Uint8Array {
  const lines = [
    encodeCanonical({
      first: header.first,
      format: SEGMENT_FORMAT,
      last: header.last,
      logId: header.logId,
      previous: Buffer.from(header.previous).toString('hex'),
      storeId: header.storeId,
    }),
    ...events.map((event) =>
      encodeCanonical({
        actor: event.actor,
        data: event.data,
        hash: Buffer.from(event.hash).toString('hex'),
        id: event.id,
        resource: event.resource,
        salt: Buffer.from(event.salt).toString('hex'),
        seq: event.seq,
        tenant: event.tenant,
        time: formatTime(event.time),
        type: event.type,
      }),
    ),
  ]
  const newline = Uint8Array.of(10)
  return Buffer.concat(lines.flatMap((line) => [line, newline]))
}

/**
 * Parses a segment and checks its chain from its own header on. Only the bytes that {@link encodeSegment} writes are accepted.
 * @throws DocumentInvalidError, LogCorruptError, LimitExceededError for data beyond {@link EVENT_DATA_LIMIT}
 */
export function parseSegment(bytes: Uint8Array): { readonly header: SegmentHeader; readonly events: readonly LoggedEvent[] } {
  const lines = splitLines(bytes)
  const [head, ...rest] = lines
  if (head === undefined) throw new DocumentInvalidError('an event segment is empty')
  const fields = object(parseJson(head), 'segment header')
  const format = text(fields, 'format')
  if (format !== SEGMENT_FORMAT) throw new DocumentInvalidError(`not an event segment of a known format: '${format.slice(0, 100)}'`)
  const header: SegmentHeader = {
    storeId: text(fields, 'storeId'),
    logId: text(fields, 'logId'),
    first: integer(fields, 'first'),
    last: integer(fields, 'last'),
    previous: hex(fields, 'previous', 32),
  }
  const chain = new ChainVerifier(header.first - 1, header.previous)
  const events = rest.map((line) => {
    const event = parseLoggedEvent(object(parseJson(line), 'event'))
    chain.add(event)
    return event
  })
  if (chain.seq !== header.last) throw new LogCorruptError(`an event segment ends at event ${chain.seq}, its header says ${header.last}`)
  // The chain covers what an event says; this, that the segment says nothing else and in no other way.
  if (events.length === 0 || Buffer.compare(encodeSegment(header, events), bytes) !== 0) {
    throw new DocumentInvalidError(
      `the segment of events ${header.first} to ${header.last} is not in its one form: a member is unknown or spelled otherwise`,
    )
  }
  return { header, events }
}

/** RFC 3339 UTC with milliseconds. */
export function formatTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString()
}

function parseLoggedEvent(fields: JsonObject): LoggedEvent {
  const time = Date.parse(text(fields, 'time'))
  if (!Number.isSafeInteger(time)) throw new DocumentInvalidError(`event time is not RFC 3339: '${text(fields, 'time').slice(0, 100)}'`)
  return {
    seq: integer(fields, 'seq'),
    id: text(fields, 'id'),
    type: text(fields, 'type'),
    time,
    tenant: text(fields, 'tenant'),
    resource: text(fields, 'resource'),
    actor: text(fields, 'actor'),
    data: object(fields['data'], 'event data'),
    salt: hex(fields, 'salt', 16),
    hash: hex(fields, 'hash', 32),
  }
}

function splitLines(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = []
  let start = 0
  for (let end = bytes.indexOf(10, start); end !== -1; end = bytes.indexOf(10, start)) {
    lines.push(bytes.subarray(start, end))
    start = end + 1
  }
  if (start !== bytes.length) throw new DocumentInvalidError('an event segment ends in the middle of a line')
  return lines
}

function object(value: unknown, what: string): JsonObject {
  if (!isJsonObject(value)) throw new DocumentInvalidError(`${what} is not a JSON object`)
  return value
}

function text(fields: JsonObject, name: string): string {
  const value = fields[name]
  if (typeof value !== 'string') throw new DocumentInvalidError(`'${name}' is not a string`)
  return value
}

function integer(fields: JsonObject, name: string): number {
  const value = fields[name]
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1) throw new DocumentInvalidError(`'${name}' is not a positive integer`)
  return value
}

function hex(fields: JsonObject, name: string, length: number): Uint8Array {
  const value = text(fields, name)
  if (value.length !== length * 2 || !/^[0-9a-f]*$/.test(value)) throw new DocumentInvalidError(`'${name}' is not ${length} bytes in hexadecimal`)
  return Buffer.from(value, 'hex')
}
