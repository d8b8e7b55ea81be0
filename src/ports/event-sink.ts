/** One message for somebody outside. */
export interface OutgoingMessage {
  /** Names the event it tells of. The same event may come again, under the same id. */
  readonly id: string
  readonly contentType: string
  readonly body: Uint8Array
}

/** What became of a message. A rejected one will never be taken, however often it is sent. */
export type DeliveryOutcome = { readonly outcome: 'accepted' } | { readonly outcome: 'rejected'; readonly reason: string }

/** Somebody outside who is told of events. */
export interface EventSink {
  /**
   * Hands a message over, once: whoever calls repeats it.
   * @throws whatever may be over later, such as ServerUnreachableError, whose `detail.retryAfterMs` says how long to wait at least, if that is known
   */
  deliver(message: OutgoingMessage, options: { readonly signal: AbortSignal }): Promise<DeliveryOutcome>
}
