import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Contender, OperationFacts } from '../contender.ts'
import { parseFields, textField } from '../json-fields.ts'
import { measureManyPackages } from '../many-packages.ts'
import { launcher } from '../place.ts'
import type { Input, Operation } from '../scenario.ts'
import { runSelfMeasured } from '../self-measured.ts'
import { ServerProcess } from '../server-process.ts'
import { HttpAttempt, type HttpSubject } from './http-server.ts'

const operations: Readonly<Partial<Record<Operation, OperationFacts>>> = {
  download: { flushes: false },
  'download by 16': { flushes: false },
  'download by 64': { flushes: false },
  upload: { flushes: true },
  'upload by 16': { flushes: true },
  'upload by 64': { flushes: true },
  keep: { flushes: true },
  'page at half load': { flushes: false },
}

/** This store over HTTP, as users start it. Many files are kept by one request with an archive. */
export const oursHttp: Contender = {
  name: 'ours (http)',
  about: '`artifact-store serve`, asked from another process of the same machine; many files come as one tar',
  operations,
  prepare: async (input, folder) => new HttpAttempt(oursHttp, input, folder, await serve(input, folder, true)),
}

/** The same, with a request for each file. */
export const oursRequests: Contender = {
  name: 'ours (a request a file)',
  about: 'as ours (http), with one request for each of many files, 16 at a time',
  operations: { keep: { flushes: true } },
  prepare: async (input, folder) => new HttpAttempt(oursRequests, input, folder, await serve(input, folder, false)),
}

async function serve(input: Input, folder: string, archives: boolean): Promise<HttpSubject> {
  const store = join(folder, 'store')
  mkdirSync(join(folder, 'cache'))
  const id = await fill(input, store, folder)
  const server = await ServerProcess.start(launcher, ['serve', '--store', store, '--port', '0', '--json'], folder)
  const address = textField(parseFields(server.said), 'address')
  const open = async (): Promise<string> => {
    const headers = { 'Content-Type': 'application/json' }
    const response = await fetch(`${address}/packages`, { method: 'POST', headers, body: '{"repository":"bench/uploads"}' })
    return `/packages/${textField(parseFields(await response.text()), 'id')}/files`
  }
  return {
    port: Number(new URL(address).port),
    get peakBytes() {
      return server.peakBytes
    },
    download: (path) => `/packages/${id}/files/${path}`,
    upload: async () => `${await open()}/`,
    seal: (prefix) => ({ method: 'POST', target: prefix.replace(/files\/$/, 'finalize') }),
    ...(archives && { keep: async (archive: string) => [{ method: 'POST' as const, target: await open(), file: archive }] }),
    end: () => server.end(),
  }
}

/** A store with the input, or with many packages. @returns the id of the package that holds the input */
async function fill(input: Input, store: string, folder: string): Promise<string> {
  if (input.packages !== undefined) {
    await measureManyPackages('fill', store, input, folder)
    return ''
  }
  const library = (...args: string[]): ReturnType<typeof runSelfMeasured> => runSelfMeasured('library-run.ts', args, folder)
  await library('create', store, join(folder, 'cache'))
  return textField((await library('push', store, join(folder, 'cache'), input.folder)).fields, 'id')
}
