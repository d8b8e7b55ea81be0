import type { EventSink, OutgoingMessage } from '../../ports/event-sink.ts'
import type { EventFilter, StoreEvent } from '../event-interface.ts'
import type { Store } from '../interface.ts'

/**
 * Says an event in the words of whom it is for. A producer brings its own; {@link renderCloudEvent} is for everybody else.
 * @returns undefined when there is nothing to say about it
 */
export type Renderer = (event: StoreEvent, store: Store) => Promise<Omit<OutgoingMessage, 'id'> | undefined>

/** Somebody outside who is told of events, in order. */
export interface DeliveryTarget {
  /** Stands for the position in the log that it has reached: another name begins at the beginning. */
  readonly name: string
  readonly wants: EventFilter
  readonly render: Renderer
  readonly sink: EventSink
}
