/** The event log's encoding as docs/format/event-log.md says it. If a vector fails, the code is wrong. */
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { encodeCanonical, type JsonObject } from './canonical-json.ts'
import { LimitExceededError, LogCorruptError, StoreError } from './errors.ts'
import {
  ChainVerifier,
  chainHash,
  encodeSegment,
  EVENT_DATA_LIMIT,
  eventDataHash,
  eventLeafHash,
  formatTime,
  GENESIS_HASH,
  type LoggedEvent,
  type NewEvent,
  parseSegment,
  placeEvent,
  type SegmentHeader,
} from './event.ts'
import { mutationRuns } from '../testing/mutation-runs.ts'

interface EventText extends Omit<NewEvent, 'data'> {
  readonly seq: number
  readonly time: string
  readonly salt: string
  readonly data: JsonObject
}
interface ChainVector {
  readonly event: EventText
  readonly canonicalData: string
  readonly dataHash: string
  readonly record: string
  readonly leaf: string
  readonly previous: string
  readonly hash: string
}
interface SegmentVector {
  readonly name: string
  readonly storeId: string
  readonly logId: string
  readonly first: number
  readonly last: number
  readonly text: string
}
interface RefusedVector {
  readonly name: string
  readonly code: string
  readonly event?: number
  readonly text: string
}

function vectors(name: string): Readonly<Record<string, unknown>> {
  const file = new URL(`../../docs/format/vectors/event-log-v1/${name}`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')) as Readonly<Record<string, unknown>>
}
const chain = vectors('chain.json')['events'] as readonly ChainVector[]
const segments = vectors('segments.json')['segments'] as readonly SegmentVector[]
const refused = vectors('refused.json')['segments'] as readonly RefusedVector[]

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const raw = (text: string): Uint8Array => Buffer.from(text, 'hex')

function logged({ event, hash }: ChainVector): LoggedEvent {
  return { ...event, time: Date.parse(event.time), salt: raw(event.salt), hash: raw(hash) }
}

/** A log as a store writes it. */
function place(events: readonly NewEvent[], startAt = 1_795_510_800_000): readonly LoggedEvent[] {
  const log: LoggedEvent[] = []
  for (const [index, event] of events.entries()) {
    const salt = Uint8Array.from({ length: 16 }, (_, byte) => (index * 31 + byte * 7) % 256)
    log.push(placeEvent(event, { seq: index + 1, time: startAt + index, salt, previous: log.at(-1)?.hash ?? GENESIS_HASH }))
  }
  return log
}

function headerOf(events: readonly LoggedEvent[], previous: Uint8Array = GENESIS_HASH): SegmentHeader {
  return { storeId: 'store', logId: 'log', first: events[0]?.seq ?? 0, last: events.at(-1)?.seq ?? 0, previous }
}

const word = fc.string({ unit: 'grapheme', maxLength: 12 })
const json = fc.dictionary(word, fc.oneof(word, fc.maxSafeInteger(), fc.boolean(), fc.constant(null), fc.array(word, { maxLength: 3 })), {
  maxKeys: 4,
  noNullPrototype: true,
})
const newEvent: fc.Arbitrary<NewEvent> = fc.record({ id: fc.uuid(), type: word, tenant: word, resource: word, actor: word, data: json })
const log = fc.array(newEvent, { minLength: 2, maxLength: 12 }).map((events) => place(events))

/** Fails unless following the chain fails, naming this position. */
function assertFoundAt(events: readonly LoggedEvent[], seq: number): void {
  const verifier = new ChainVerifier()
  assert.throws(
    () => events.forEach((event) => verifier.add(event)),
    (error: unknown) => {
      assert.ok(error instanceof LogCorruptError)
      assert.equal(error.detail['expected'] ?? error.detail['seq'], seq)
      assert.match(error.message, new RegExp(`^event ${seq} `))
      return true
    },
  )
}

describe('the vectors of the event log', () => {
  for (const vector of chain) {
    test(`event ${vector.event.seq}, ${vector.event.type}, has the hashes that its vector says`, () => {
      const event = logged(vector)
      assert.equal(Buffer.from(encodeCanonical(event.data)).toString(), vector.canonicalData)
      assert.equal(hex(eventDataHash(event.salt, event.data)), vector.dataHash)
      assert.equal(hex(eventLeafHash(event)), vector.leaf)
      assert.equal(hex(chainHash(raw(vector.previous), raw(vector.leaf))), vector.hash)
      const { seq, time, salt } = event
      assert.deepEqual(placeEvent(event, { seq, time, salt, previous: raw(vector.previous) }), event)
      assert.equal(formatTime(time), vector.event.time)
    })
  }

  for (const { name, text, ...header } of segments) {
    test(`${name} is the segment that its vector says, and reads back`, () => {
      const events = chain.slice(header.first - 1, header.last).map(logged)
      const given = { ...header, previous: raw(chain[header.first - 1]?.previous ?? '') }
      assert.equal(Buffer.from(encodeSegment(given, events)).toString(), text)
      assert.deepEqual(parseSegment(Buffer.from(text)), { header: given, events })
    })
  }

  for (const { name, code, event, text } of refused) {
    test(`${name} is refused`, () => {
      assert.throws(
        () => parseSegment(Buffer.from(text)),
        (error: unknown) => {
          assert.ok(error instanceof StoreError, String(error))
          assert.equal(error.code, code, error.message)
          if (event !== undefined) assert.match(error.message, new RegExp(`^event ${event} `))
          return true
        },
      )
    })
  }
})

describe('an event', () => {
  const [event] = place([{ id: 'id', type: 'package.finalized', tenant: 't', resource: 'r', actor: 'a', data: {} }])
  assert.ok(event !== undefined)

  test('carries data of at most 64 KiB', () => {
    const envelope = Buffer.byteLength('{"x":""}')
    const data = (bytes: number): JsonObject => ({ x: 'x'.repeat(bytes - envelope) })
    assert.equal(eventDataHash(event.salt, data(EVENT_DATA_LIMIT)).length, 32)
    assert.throws(() => eventDataHash(event.salt, data(EVENT_DATA_LIMIT + 1)), LimitExceededError)
  })

  test('does not betray its data: the same data under another salt have another hash', () => {
    assert.notEqual(hex(eventDataHash(raw('00'.repeat(16)), event.data)), hex(eventDataHash(raw('01'.repeat(16)), event.data)))
  })

  test('depends on every part of its record', () => {
    const leaf = hex(eventLeafHash(event))
    for (const [part, other] of Object.entries({
      ...event,
      seq: 2,
      time: 5,
      data: { a: 1 },
      salt: raw('ff'.repeat(16)),
      id: 'j',
      type: 'u',
      tenant: 'v',
      resource: 's',
      actor: 'b',
    })) {
      if (part !== 'hash') assert.notEqual(hex(eventLeafHash({ ...event, [part]: other })), leaf, part)
    }
  })

  test('cannot be taken for an inner node of a tree of hashes, which start with another byte', () => {
    const two = Buffer.concat([GENESIS_HASH, eventLeafHash(event)])
    assert.notEqual(hex(chainHash(GENESIS_HASH, eventLeafHash(event))), hex(eventLeafHash({ ...event, id: two.toString('latin1') })))
  })
})

describe('the chain', () => {
  test('follows a log from its beginning, and from any place whose hash is known', () => {
    fc.assert(
      fc.property(log, fc.nat(), (events, at) => {
        const from = at % events.length
        const verifier = new ChainVerifier(from, events[from - 1]?.hash ?? GENESIS_HASH)
        for (const event of events.slice(from)) verifier.add(event)
        assert.equal(verifier.seq, events.length)
        assert.deepEqual(verifier.hash, events.at(-1)?.hash)
      }),
    )
  })

  const edits: Readonly<Record<string, (event: LoggedEvent) => LoggedEvent>> = {
    id: (event) => ({ ...event, id: `${event.id}x` }),
    type: (event) => ({ ...event, type: `${event.type}x` }),
    tenant: (event) => ({ ...event, tenant: `${event.tenant}x` }),
    resource: (event) => ({ ...event, resource: `${event.resource}x` }),
    actor: (event) => ({ ...event, actor: `${event.actor}x` }),
    time: (event) => ({ ...event, time: event.time + 1 }),
    data: (event) => ({ ...event, data: { ...event.data, added: 1 } }),
    salt: (event) => ({ ...event, salt: event.salt.map((byte) => byte ^ 1) }),
    hash: (event) => ({ ...event, hash: event.hash.map((byte) => byte ^ 1) }),
  }
  for (const [part, edit] of Object.entries(edits)) {
    test(`names an event whose ${part} was edited`, () => {
      fc.assert(
        fc.property(log, fc.nat(), (events, at) => {
          const index = at % events.length
          assertFoundAt(
            events.map((event, position) => (position === index ? edit(event) : event)),
            index + 1,
          )
        }),
      )
    })
  }

  test('names the place of an event that was removed, renumbered or not', () => {
    fc.assert(
      fc.property(log, fc.nat(), (events, at) => {
        const index = at % (events.length - 1)
        const left = events.toSpliced(index, 1)
        assertFoundAt(left, index + 1)
        assertFoundAt(
          left.map((event, position) => ({ ...event, seq: position + 1 })),
          index + 1,
        )
      }),
    )
  })

  test('names the place of an event that was inserted, however well it fits to the one before', () => {
    fc.assert(
      fc.property(log, newEvent, fc.nat(), (events, added, at) => {
        const index = at % events.length
        const previous = events[index - 1]?.hash ?? GENESIS_HASH
        const forged = placeEvent(added, { seq: index + 1, time: 0, salt: new Uint8Array(16), previous })
        const longer = events.toSpliced(index, 0, forged)
        // The forged event itself follows from what stands before it; what cannot follow any more is its successor.
        assertFoundAt(longer, index + 2)
        assertFoundAt(
          longer.map((event, position) => ({ ...event, seq: position + 1 })),
          index + 2,
        )
      }),
    )
  })

  test('names the first of two events that changed places, renumbered or not', () => {
    fc.assert(
      fc.property(log, fc.nat(), fc.nat(), (events, one, two) => {
        const [first = 0, second = 0] = [one % events.length, two % events.length].toSorted((a, b) => a - b)
        const [left, right] = [events[first], events[second]]
        if (left === undefined || right === undefined || first === second) return
        const swapped = events.with(first, right).with(second, left)
        assertFoundAt(swapped, first + 1)
        assertFoundAt(
          swapped.map((event, position) => ({ ...event, seq: position + 1 })),
          first + 1,
        )
      }),
    )
  })

  test('cannot see that the end was cut off or all of it rewritten: for that its head is compared with the mirror', () => {
    const events = place(Array.from({ length: 3 }, (_, index) => ({ id: `${index}`, type: 't', tenant: 't', resource: 'r', actor: 'a', data: {} })))
    const rewritten = place(events.map((event) => ({ ...event, actor: 'b' })))
    for (const other of [events.slice(0, 2), rewritten]) {
      const verifier = new ChainVerifier()
      for (const event of other) verifier.add(event)
      assert.notEqual(hex(verifier.hash), hex(events[2]?.hash ?? GENESIS_HASH))
    }
  })
})

describe('a segment', () => {
  test('of any part of any log reads back as it was written', () => {
    fc.assert(
      fc.property(log, fc.nat(), fc.nat(), (events, from, count) => {
        const start = from % events.length
        const part = events.slice(start, start + 1 + (count % (events.length - start)))
        const header = headerOf(part, events[start - 1]?.hash)
        assert.deepEqual(parseSegment(encodeSegment(header, part)), {
          header: { ...header, previous: Buffer.from(header.previous) },
          events: part.map(asParsed),
        })
      }),
    )
  })

  test('that was mutated is refused with a clear error, or says of every event what was said before', () => {
    const originals = segments.map(({ text }) => Buffer.from(text))
    const known = new Map(chain.map((vector) => [vector.event.seq, logged(vector)]))
    let refusals = 0
    fc.assert(
      fc.property(fc.constantFrom(...originals), fc.array(mutation, { minLength: 1, maxLength: 3 }), (original, mutations) => {
        const bytes = mutations.reduce(mutate, original)
        try {
          for (const event of parseSegment(bytes).events) assert.deepEqual(event, known.get(event.seq))
        } catch (error) {
          if (!(error instanceof StoreError)) throw error
          assert.ok(['document_invalid', 'log_corrupt', 'limit_exceeded'].includes(error.code), error.code)
          assert.match(error.message, /^\S.{15,}/)
          refusals += 1
        }
      }),
      { numRuns: mutationRuns(10_000) },
    )
    assert.ok(refusals > 8_000, `only ${refusals} of 10,000 mutants were refused`)
  })

  test('with anything in the place of any member is refused with a clear error', () => {
    const lines = (segments[0]?.text ?? '').trimEnd().split('\n')
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.jsonValue(), (at, which, replacement) => {
        const fields = JSON.parse(lines[at % lines.length] ?? '') as JsonObject
        const name = Object.keys(fields)[which % Object.keys(fields).length] ?? ''
        for (const value of [replacement, { toString: 1 }]) {
          // Whose segment it is, is no part of the chain.
          if ((name === 'storeId' || name === 'logId') && typeof value === 'string') continue
          if (isDeepStrictEqual(value, fields[name])) continue
          const changed = lines.with(at % lines.length, JSON.stringify({ ...fields, [name]: value }))
          assert.throws(() => parseSegment(Buffer.from(`${changed.join('\n')}\n`)), StoreError)
        }
      }),
      { numRuns: 2_000 },
    )
  })

  test('has one form: an unknown member, a blank, another spelling of a time and a segment without events are refused', () => {
    const text = segments[2]?.text ?? ''
    const lines = text.split('\n')
    const others = [
      text.replace('{"actor"', '{"also":1,"actor"'),
      text.replace('"actor":', '"actor": '),
      text.replace('.999Z', '.9990Z'),
      text.replace('"first"', '"extra":0,"first"'),
      text.replace('anonymous', '\\u0061nonymous'),
      `${(lines[0] ?? '').replace('"last":5', '"last":4')}\n`,
    ]
    for (const other of others) {
      assert.notEqual(other, text)
      assert.throws(() => parseSegment(Buffer.from(other)), { code: 'document_invalid' }, other)
    }
  })

  test('made of any bytes, lines or JSON fails in no other way than with an error of the store', () => {
    const line = fc.oneof(fc.json(), fc.constantFrom(...segments.flatMap(({ text }) => text.split('\n'))), word)
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(line, { maxLength: 4 }).map((lines) => Buffer.from(lines.map((text) => `${text}\n`).join(''))),
    )
    fc.assert(
      fc.property(bytes, (given) => {
        try {
          parseSegment(given)
        } catch (error) {
          if (!(error instanceof StoreError)) throw error
        }
      }),
      { numRuns: 3_000 },
    )
  })
})

function asParsed(event: LoggedEvent): LoggedEvent {
  return { ...event, salt: Buffer.from(event.salt), hash: Buffer.from(event.hash) }
}

type Mutation =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'cut'; readonly at: number; readonly length: number }
  | { readonly kind: 'copy'; readonly at: number; readonly length: number; readonly to: number }
  | { readonly kind: 'insert'; readonly at: number; readonly text: string }
  | { readonly kind: 'truncate'; readonly at: number }
  | { readonly kind: 'swap'; readonly one: number; readonly two: number }

const token = fc.constantFrom(
  '\n',
  '"',
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  '\\',
  '\0',
  ' ',
  '0',
  '-',
  '9',
  'null',
  'true',
  '{}',
  '[]',
  '"__proto__":{},',
  '\ufeff',
  '1e999',
  'é',
)
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat({ max: 7 }) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 400 }) }),
  fc.record({ kind: fc.constant('copy' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 800 }), to: fc.nat() }),
  fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), text: token }),
  fc.record({ kind: fc.constant('truncate' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('swap' as const), one: fc.nat(), two: fc.nat() }),
)

function mutate(bytes: Buffer, change: Mutation): Buffer {
  const offset = (at: number): number => at % (bytes.length + 1)
  switch (change.kind) {
    case 'flip': {
      const copy = Buffer.from(bytes)
      if (copy.length > 0) copy[change.at % copy.length] = (copy[change.at % copy.length] ?? 0) ^ (1 << change.bit)
      return copy
    }
    case 'cut':
      return Buffer.concat([bytes.subarray(0, offset(change.at)), bytes.subarray(offset(change.at) + change.length)])
    case 'copy': {
      const piece = bytes.subarray(offset(change.at), offset(change.at) + change.length)
      return Buffer.concat([bytes.subarray(0, offset(change.to)), piece, bytes.subarray(offset(change.to))])
    }
    case 'insert':
      return Buffer.concat([bytes.subarray(0, offset(change.at)), Buffer.from(change.text), bytes.subarray(offset(change.at))])
    case 'truncate':
      return bytes.subarray(0, offset(change.at))
    case 'swap': {
      const lines = bytes.toString('latin1').split('\n')
      const [one, two] = [change.one % lines.length, change.two % lines.length]
      return Buffer.from(
        lines
          .with(one, lines[two] ?? '')
          .with(two, lines[one] ?? '')
          .join('\n'),
        'latin1',
      )
    }
  }
}
