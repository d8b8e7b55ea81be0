import type { ReadableStream } from 'node:stream/web'

/** An event as a browser dispatches it, or (with `retry`) what it was told about coming back. */
export interface SentEvent {
  readonly type: string
  readonly id: string
  readonly data: string
}

/**
 * Reads server-sent events as WHATWG HTML section 9.2.6 says, without coming back when the stream ends. Written from the standard, not from the code
 * that sends.
 */
export async function* readSentEvents(body: ReadableStream<Uint8Array> | null): AsyncGenerator<SentEvent, void, undefined> {
  let [type, data, id]: [string, string[], string] = ['', [], '']
  for await (const line of linesOf(body)) {
    if (line === '') {
      if (data.length > 0) yield { type: type === '' ? 'message' : type, id, data: data.join('\n') }
      ;[type, data] = ['', []]
      continue
    }
    const colon = line.indexOf(':')
    if (colon === 0) continue
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1))
    if (field === 'event') type = value
    else if (field === 'data') data.push(value)
    else if (field === 'id' && !value.includes('\0')) id = value
  }
}

async function* linesOf(body: ReadableStream<Uint8Array> | null): AsyncGenerator<string, void, undefined> {
  if (body === null) return
  let rest = ''
  const decoder = new TextDecoder()
  for await (const piece of body) {
    rest += decoder.decode(piece, { stream: true })
    const lines = rest.split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    yield* lines
  }
}
