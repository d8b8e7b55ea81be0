/**
 * Sends requests over kept-alive connections as fast as they are answered, or at a steady rate, and tells how long all and each of them took:
 * `http-load.ts PLAN`, a file with a `LoadPlan` as JSON. It reads answers no further than needed, so that it costs little beside a server on the same machine.
 */
import { createCipheriv } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, readFileSync, statSync } from 'node:fs'
import { type Socket, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LoadPlan } from '../http-load.ts'
import { report, startMeasuring } from './self-report.ts'

// Sound: whoever starts this program writes the plan by the same type.
const plan = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as LoadPlan
const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16, 9), Buffer.alloc(16))
const READ_PIECE = 1024 * 1024

/** One connection. A request is sent when the one before was answered. */
class Connection {
  readonly #socket: Socket
  #head = ''
  /** Bytes of the body that are still to come; undefined while the head is awaited. */
  #left: number | undefined
  #answered: PromiseWithResolvers<undefined> | undefined

  constructor() {
    const buffer = Buffer.allocUnsafeSlow(READ_PIECE)
    this.#socket = connect({
      port: plan.port,
      host: '127.0.0.1',
      noDelay: true,
      // One buffer for all: bodies are counted and forgotten.
      onread: {
        buffer,
        callback: (length) => {
          this.#received(buffer, length)
          return true
        },
      },
    })
    this.#socket.on('close', () => this.#answered?.reject(new Error('the server closed the connection')))
    this.#socket.on('error', (error) => this.#answered?.reject(error))
  }

  async opened(): Promise<void> {
    await once(this.#socket, 'connect')
  }

  async get(target: string): Promise<void> {
    const answered = this.#begin()
    this.#socket.write(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
    await answered
  }

  async put(target: string, body: Buffer): Promise<void> {
    const answered = this.#begin()
    this.#socket.cork()
    this.#socket.write(`PUT ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${body.length}\r\n\r\n`)
    this.#socket.write(body)
    this.#socket.uncork()
    await answered
  }

  async send(method: string, target: string, file: string | undefined): Promise<void> {
    const answered = this.#begin()
    answered.catch(() => undefined)
    const length = file === undefined ? 0 : statSync(file).size
    this.#socket.write(`${method} ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${length}\r\n\r\n`)
    if (file !== undefined) {
      for await (const piece of createReadStream(file, { highWaterMark: READ_PIECE })) {
        // Sound: no encoding is set.
        if (!this.#socket.write(piece as Buffer)) await once(this.#socket, 'drain')
      }
    }
    await answered
  }

  close(): void {
    this.#answered = undefined
    this.#socket.destroy()
  }

  #begin(): Promise<undefined> {
    this.#answered = Promise.withResolvers()
    return this.#answered.promise
  }

  #received(buffer: Buffer, length: number): void {
    if (this.#left !== undefined) return this.#count(length)
    this.#head += buffer.toString('latin1', 0, length)
    const end = this.#head.indexOf('\r\n\r\n')
    if (end < 0) return
    const status = this.#head.slice(9, 12)
    const size = /\r\ncontent-length: *(\d+)/i.exec(this.#head.slice(0, end + 2))?.[1]
    if (!status.startsWith('2') || (size === undefined && status !== '204')) {
      this.#answered?.reject(new Error(`unexpected answer: ${this.#head.slice(0, 2_000)}`))
      return
    }
    const rest = this.#head.length - end - 4
    this.#head = ''
    this.#left = Number(size ?? 0)
    this.#count(rest)
  }

  #count(length: number): void {
    this.#left = (this.#left ?? 0) - length
    if (this.#left > 0) return
    this.#left = undefined
    this.#answered?.resolve(undefined)
  }
}

const connections = Array.from({ length: plan.connections }, () => new Connection())
await Promise.all(connections.map((connection) => connection.opened()))
for (let number = 0; number < (plan.warmUp ?? 0); number += 1) await perform(connections[number % connections.length], number)

const times: number[] = []
const measuring = startMeasuring()
if (plan.perSecond === undefined) await asFastAsAnswered()
else await atRate(plan.perSecond)
report(measuring.end(), { times })
for (const connection of connections) connection.close()

/** What number so-and-so asks for. */
async function perform(connection: Connection | undefined, number: number): Promise<void> {
  if (connection === undefined) throw new TypeError('a plan has at least one connection')
  switch (plan.kind) {
    case 'get':
      return connection.get(plan.targets[(number * 7919) % plan.targets.length] ?? '')
    case 'put':
      return connection.put(`${plan.prefix}${number}`, noise.update(Buffer.alloc(plan.bytes)))
    case 'steps':
      for (const { method, target, file } of plan.steps) await connection.send(method, target, file)
  }
}

async function asFastAsAnswered(): Promise<void> {
  let next = plan.warmUp ?? 0
  const last = next + plan.count
  await Promise.all(
    connections.map(async (connection) => {
      while (next < last) {
        const number = next
        next += 1
        const start = performance.now()
        await perform(connection, number)
        times.push(performance.now() - start)
      }
    }),
  )
}

/** Requests begin when their time has come, whether earlier ones were answered or not; their waiting for a free connection counts. */
async function atRate(perSecond: number): Promise<void> {
  const idle = [...connections]
  const waiting: (() => void)[] = []
  const begin = performance.now()
  const one = async (number: number): Promise<void> => {
    const due = begin + (number * 1_000) / perSecond
    while (idle.length === 0) await new Promise<void>((resolve) => waiting.push(resolve))
    const connection = idle.pop()
    await perform(connection, number)
    times.push(performance.now() - due)
    if (connection !== undefined) idle.push(connection)
    waiting.shift()?.()
  }
  const all: Promise<void>[] = []
  for (let number = 0; number < plan.count; number += 1) {
    const early = begin + (number * 1_000) / perSecond - performance.now()
    if (early > 0) await sleep(early)
    all.push(one(number))
  }
  await Promise.all(all)
}
