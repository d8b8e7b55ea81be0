import { once } from 'node:events'
import { type AddressInfo, type Server, type Socket, connect } from 'node:net'

/** An answer as it came over a socket. */
export interface RawAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly fields: ReadonlyMap<string, string>
  readonly body: string
}

/** Listens on a free port of the loopback interface. @returns the port */
export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // Sound: a server that listens on TCP has such an address.
  return (server.address() as AddressInfo).port
}

/** Opens a connection that never throws: what breaks it is seen as its end. */
export async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' })
  await once(socket, 'connect')
  socket.on('error', () => undefined)
  return socket
}

/** Everything that arrives until the other side ends or breaks the connection. */
export async function readToEnd(socket: Socket): Promise<string> {
  let received = ''
  socket.setEncoding('latin1')
  socket.on('data', (piece: string) => (received += piece))
  if (!socket.closed) {
    const ended = new AbortController()
    await Promise.race([once(socket, 'end', ended), once(socket, 'close', ended)]).finally(() => ended.abort())
  }
  socket.destroy()
  return received
}

/** Sends bytes on a connection of their own and takes all answers until the server ends it. */
export async function exchangeRaw(port: number, bytes: string | Uint8Array): Promise<readonly RawAnswer[]> {
  const socket = await dial(port)
  socket.write(bytes)
  return parseAnswers(await readToEnd(socket))
}

/** Takes apart answers that follow each other. Interim ones (1xx) are left out; bodies have a Content-Length, are chunked, or end with the text. */
export function parseAnswers(text: string): readonly RawAnswer[] {
  const answers: RawAnswer[] = []
  for (let rest = text; rest !== '';) {
    const end = rest.indexOf('\r\n\r\n')
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n')
    const status = /^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]
    if (end < 0 || status === undefined) throw new Error(`this is no answer: ${JSON.stringify(rest.slice(0, 200))}`)
    const fields = new Map(
      lines.map((line): [string, string] => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    )
    const interim = status.startsWith('1')
    const { body, next } = interim ? { body: '', next: end + 4 } : bodyAt(rest, end + 4, fields)
    if (!interim) answers.push({ status: Number(status), fields, body })
    rest = rest.slice(next)
  }
  return answers
}

function bodyAt(text: string, start: number, fields: ReadonlyMap<string, string>): { readonly body: string; readonly next: number } {
  const length = fields.get('content-length')
  if (length !== undefined) return { body: text.slice(start, start + Number(length)), next: start + Number(length) }
  if (fields.get('transfer-encoding') !== 'chunked') return { body: text.slice(start), next: text.length }
  let body = ''
  for (let position = start; ;) {
    const line = text.indexOf('\r\n', position)
    const size = Number.parseInt(text.slice(position, line), 16)
    if (line < 0 || !(size > 0)) return { body, next: line < 0 ? text.length : line + 4 }
    body += text.slice(line + 2, line + 2 + size)
    position = line + 2 + size + 2
  }
}
