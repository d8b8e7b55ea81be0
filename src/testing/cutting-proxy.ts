import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A way to a server that breaks off now and then, as networks do. */
export interface CuttingProxy extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly address: string
  /** Connections that were cut so far. */
  readonly cuts: number
  /** Leads to another server from now on. */
  leadTo(address: string): void
}

/**
 * Starts a proxy on loopback in front of a server.
 * @param cutAfter is asked for each connection: after how many bytes, in both directions together, it is reset; undefined: never
 */
export async function cutConnections(address: string, cutAfter: () => number | undefined): Promise<CuttingProxy> {
  const proxy = new Proxying(address, cutAfter)
  await proxy.listen()
  return proxy
}

class Proxying implements CuttingProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #target: URL
  #cuts = 0

  constructor(address: string, cutAfter: () => number | undefined) {
    this.#target = new URL(address)
    this.#server = createServer((client) => this.#connect(client, cutAfter()))
  }

  get address(): string {
    const address: AddressInfo | string | null = this.#server.address()
    if (address === null || typeof address === 'string') throw new TypeError('a proxy that listens on a port has an address')
    return `http://127.0.0.1:${address.port}`
  }

  get cuts(): number {
    return this.#cuts
  }

  leadTo(address: string): void {
    this.#target = new URL(address)
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #connect(client: Socket, limit: number | undefined): void {
    const server = connect(Number(this.#target.port), this.#target.hostname)
    let left = limit ?? Infinity
    const end = (): void => {
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.on('error', end)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        end()
      })
    }
    const pass = (from: Socket, to: Socket): void => {
      from.on('data', (bytes: Buffer) => {
        const part = bytes.subarray(0, Math.min(bytes.length, left))
        left -= part.length
        if (!to.write(part)) {
          from.pause()
          to.once('drain', () => from.resume())
        }
        if (left > 0) return
        this.#cuts += 1
        client.resetAndDestroy()
        server.resetAndDestroy()
      })
    }
    pass(client, server)
    pass(server, client)
  }
}
