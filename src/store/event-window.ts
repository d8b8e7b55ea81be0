import { formatTime, type LoggedEvent } from '../core/event.ts'
import { getLogHead, listEvents, listEventsOfResource } from '../registry/events.ts'
import type { Session } from '../registry/statement.ts'
import { encodeCursor } from './cursor.ts'
import type { StoreEvent } from './event-interface.ts'

/** Events of one block: the log is cut at multiples of this, so that whoever reads the same stretch shares the read. */
const BLOCK = 256
/** Blocks in memory at most; with events of a usual size 2 MiB. */
const KEPT_BLOCKS = 16
/** Data of the blocks in memory at most, in characters, however large events are. */
const KEPT_LENGTH = 16 * 1024 * 1024

/** A stretch of the log: its events, and the position up to which there are no others. `through` is where one began at the end of the log. */
export interface Stretch {
  readonly events: readonly StoreEvent[]
  readonly through: number
}

interface Block {
  readonly events: Promise<readonly StoreEvent[]>
  /** Characters of its events' data, once they were read. */
  length: number
}

/**
 * The log as the consumers of this process read it: the end in memory, and of what lies before it the blocks that were read last. A committed event
 * never changes, so a complete block is right for ever; ten thousand consumers at about the same place cost one read.
 */
export class EventWindow {
  readonly #reader: Session
  readonly #logId: string
  /** The last event known, and the events of the block that the log ends in. */
  #head = 0
  #tail: StoreEvent[] = []
  /** Complete blocks by number, the one used last at the end. */
  readonly #blocks = new Map<number, Block>()
  #length = 0

  constructor(reader: Session, logId: string) {
    this.#reader = reader
    this.#logId = logId
  }

  /** The last event that is known here. */
  get head(): number {
    return this.#head
  }

  /** Looks for events committed since. @returns those that are in memory now; undefined when there are more than that. */
  async advance(): Promise<readonly StoreEvent[] | undefined> {
    const { seq } = await getLogHead(this.#reader)
    if (seq <= this.#head) return []
    const start = seq - (seq % BLOCK)
    const isNextBlock = start > this.#head
    const from = isNextBlock ? start : this.#head
    const events = (await listEvents(this.#reader, from, seq - from)).map((event) => this.#publicEvent(event))
    this.#tail = isNextBlock ? events : [...this.#tail, ...events]
    this.#head = seq
    return isNextBlock ? undefined : events
  }

  /** What follows a position, a block at most. With `resource` events of others may be left out. */
  async after(seq: number, resource: string | undefined): Promise<Stretch> {
    const start = this.#head - (this.#head % BLOCK)
    if (seq >= start) return { events: this.#tail.filter((event) => event.seq > seq), through: Math.max(seq, this.#head) }
    if (resource !== undefined) return this.#ofResource(resource, seq)
    const number = Math.floor(seq / BLOCK)
    const events = await this.#block(number)
    return { events: seq % BLOCK === 0 ? events : events.filter((event) => event.seq > seq), through: (number + 1) * BLOCK }
  }

  /** Uses the index: the history of one thing is short, the log is long. */
  async #ofResource(resource: string, after: number): Promise<Stretch> {
    // Every event up to here is committed, so the read below sees it. Nobody gets ahead of what is known here: it would be told of that again.
    const head = this.#head
    const events = (await listEventsOfResource(this.#reader, resource, after, BLOCK)).map((event) => this.#publicEvent(event))
    const last = events.length === BLOCK ? events.at(-1) : undefined
    return { events: events.filter(({ seq }) => seq <= head), through: Math.min(head, last?.seq ?? head) }
  }

  #block(number: number): Promise<readonly StoreEvent[]> {
    const block = this.#blocks.get(number) ?? { events: this.#read(number), length: 0 }
    this.#blocks.delete(number)
    this.#blocks.set(number, block)
    return block.events
  }

  async #read(number: number): Promise<readonly StoreEvent[]> {
    try {
      const events = (await listEvents(this.#reader, number * BLOCK, BLOCK)).map((event) => this.#publicEvent(event))
      const block = this.#blocks.get(number)
      if (block !== undefined) {
        block.length = events.reduce((sum, event) => sum + JSON.stringify(event.data).length, 0)
        this.#length += block.length
        this.#forgetOldest()
      }
      return events
    } catch (error) {
      this.#blocks.delete(number)
      throw error
    }
  }

  /** Keeps memory bounded, whatever the size of events. */
  #forgetOldest(): void {
    for (const [number, block] of this.#blocks) {
      if (this.#blocks.size <= KEPT_BLOCKS && this.#length <= KEPT_LENGTH) return
      this.#blocks.delete(number)
      this.#length -= block.length
    }
  }

  #publicEvent(event: LoggedEvent): StoreEvent {
    const { seq, id, type, tenant, resource, actor, data } = event
    const cursor = encodeCursor([this.#logId, seq])
    return { cursor, seq, id, type, time: formatTime(event.time), tenant, resource, actor, data, hash: Buffer.from(event.hash).toString('hex') }
  }
}
