/**
 * Many clients that follow the log of a server as server-sent events, in a process of their own: `<port> <how many>`. Prints `waiting` when all have
 * had their first watermark, then a number each time all have got one more event, and ends when the connections do.
 */
import { connect } from 'node:net'

const port = Number(process.argv[2])
const count = Number(process.argv[3])
/** How many clients have got that many events. */
const got: number[] = []
let waiting = 0
let open = count
let next = 0

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function startNext(): void {
  if (next === count) return
  next += 1
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let [text, events, isWaiting] = ['', 0, false]
  socket.on('connect', () => socket.write('GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n'))
  socket.on('data', (piece) => {
    text += piece.toString('latin1')
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    for (const line of lines) {
      if (!isWaiting && line.startsWith('data:')) {
        isWaiting = true
        waiting += 1
        if (waiting === count) say('waiting')
        startNext()
      } else if (line.startsWith('event: test.')) {
        events += 1
        got[events] = (got[events] ?? 0) + 1
        if (got[events] === count) say(String(events))
      }
    }
  })
  socket.on('error', (error) => process.stderr.write(`${error.message}\n`))
  socket.on('close', () => {
    open -= 1
    if (open === 0) say('closed')
  })
}

for (let ahead = 0; ahead < 64; ahead += 1) startNext()
