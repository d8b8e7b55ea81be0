import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { type RunningServer, type ServerOptions, startServer } from '../http/server.ts'
import type { EmbeddedStore } from '../store/embedded-store.ts'
import { createStore, type StoreOptions } from '../store/open.ts'

/** A server on a store of its own. */
export interface TestServer extends RunningServer {
  readonly store: EmbeddedStore
  readonly directory: string
  /** Errors that the server did not expect. Empty unless a test wants one. */
  readonly unexpected: readonly unknown[]
}

/** Serves a new store on loopback until the file's tests are over; then there must be no unexpected error. */
export async function serveNewStore(options: Partial<ServerOptions> = {}, storeOptions: StoreOptions = {}): Promise<TestServer> {
  const directory = await mkdtemp(join(tmpdir(), 'artifact-store-http-'))
  const store = await createStore(join(directory, 'store'), storeOptions)
  const unexpected: unknown[] = []
  const served: { server?: RunningServer } = {}
  after(async () => {
    await served.server?.stop()
    await store.close().catch(() => undefined)
    await rm(directory, { recursive: true, force: true })
    if (unexpected.length > 0) throw new AggregateError(unexpected, 'the server met errors that it did not expect')
  })
  const server = await startServer({
    host: '127.0.0.1',
    port: 0,
    version: '0.0.0-test',
    storeFor: () => store,
    report: (error) => unexpected.push(error),
    ...options,
  })
  let stopped: Promise<void> | undefined
  const stop = (): Promise<void> => (stopped ??= server.stop())
  served.server = { ...server, stop }
  return { ...served.server, store, directory, unexpected }
}
