import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Pace } from './pace.ts'
import { isBodyOutstanding } from './request-head.ts'
import type { ServerLimits } from './server-limits.ts'

/** A request and its answer. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Whether the client sends the body only when it is told to. */
  awaitsContinue: boolean
  /** Whether it counts as work under way. */
  counted: boolean
  /** Whether it has room that other uploads may be waiting for. */
  holdsRoom: boolean
  /** Gives back what was taken for it. */
  release: () => void
}

/** What a connection does wrong. */
export type Fault = 'body too slow' | 'answer not taken' | 'lingers'

/** One connection: the exchange under way, those that wait behind it, and how fast bytes move. */
export class Connection {
  readonly socket: Socket
  /** Came when there were too many. */
  readonly surplus: boolean
  /** Requests that arrived while an earlier one was under way, in order: what comes later may rely on what came before. */
  readonly behind: Exchange[] = []
  current: Exchange | undefined
  readonly #limits: ServerLimits
  #closing = false
  #lingeringMs: number | undefined
  #paced: Exchange | undefined
  #bodyPace: Pace
  #answerPace: Pace
  #hurriedPace: Pace | undefined
  #received = 0
  #sent = 0

  constructor(socket: Socket, surplus: boolean, limits: ServerLimits) {
    this.socket = socket
    this.surplus = surplus
    this.#limits = limits
    this.#bodyPace = new Pace(limits.body)
    this.#answerPace = new Pace(limits.answer)
    const destroySoon = socket.destroySoon.bind(socket)
    // Node calls this after the last answer. With bytes unread, closing would reset the connection, and the client might never see that answer.
    socket.destroySoon = () => (this.#mustLinger() ? this.linger() : destroySoon())
  }

  /** Whether nothing that still arrives is looked at. */
  get closing(): boolean {
    return this.#closing
  }

  /** What is under way is the last; requests behind it are forgotten. */
  startClosing(): void {
    this.#closing = true
    this.behind.length = 0
  }

  /** Says that nothing more will be sent, and throws away what the client sends until it closes too, for a while. */
  linger(lastWords: string = ''): void {
    this.startClosing()
    if (this.#lingeringMs !== undefined) return
    this.#lingeringMs = 0
    this.socket.end(lastWords)
    this.current?.request.resume()
    this.socket.resume()
  }

  /**
   * To be called now and then.
   * @param elapsedMs time since the last call
   * @param contended whether uploads wait for room
   */
  look(elapsedMs: number, contended: boolean): Fault | undefined {
    if (this.#lingeringMs !== undefined) {
      this.#lingeringMs += elapsedMs
      return this.#lingeringMs < this.#limits.lingerMs ? undefined : 'lingers'
    }
    const { current } = this
    if (current === undefined) return undefined
    if (current !== this.#paced) this.#startPacing(current)
    if (!contended || !current.holdsRoom) this.#hurriedPace = undefined
    else this.#hurriedPace ??= new Pace(this.#limits.uploads.contended)
    return this.#lookAtBody(elapsedMs, current) ?? this.#lookAtAnswer(elapsedMs)
  }

  #lookAtBody(elapsedMs: number, { request, awaitsContinue }: Exchange): Fault | undefined {
    const { bytesRead } = this.socket
    const bytes = bytesRead - this.#received
    this.#received = bytesRead
    // A socket is paused while what arrived has not been consumed: then it is the server that is slow.
    const waiting = !awaitsContinue && isBodyOutstanding(request) && !this.socket.isPaused()
    const paces = [this.#bodyPace, this.#hurriedPace]
    return paces.some((pace) => pace !== undefined && pace.observe(elapsedMs, bytes, waiting) !== 'fine') ? 'body too slow' : undefined
  }

  #lookAtAnswer(elapsedMs: number): Fault | undefined {
    const { sent, queued } = outputOf(this.socket)
    const bytes = sent - this.#sent
    this.#sent = sent
    return this.#answerPace.observe(elapsedMs, bytes, queued > 0) === 'fine' ? undefined : 'answer not taken'
  }

  #mustLinger(): boolean {
    return this.#closing || (this.current !== undefined && isBodyOutstanding(this.current.request))
  }

  #startPacing(exchange: Exchange): void {
    this.#paced = exchange
    this.#bodyPace = new Pace(this.#limits.body)
    this.#answerPace = new Pace(this.#limits.answer)
  }
}

/** Bytes that the kernel has taken, and bytes that it has not. */
function outputOf(socket: Socket): { readonly sent: number; readonly queued: number } {
  // Sound: only read, and both numbers are checked. Socket.bytesWritten counts what is still queued, and nothing public tells how much that is.
  const { _handle: handle } = socket as { readonly _handle?: { readonly bytesWritten?: unknown; readonly writeQueueSize?: unknown } | null }
  const queued = typeof handle?.writeQueueSize === 'number' ? handle.writeQueueSize : 0
  return { sent: typeof handle?.bytesWritten === 'number' ? handle.bytesWritten - queued : 0, queued }
}
