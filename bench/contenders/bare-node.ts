import { cpSync } from 'node:fs'
import { join } from 'node:path'
import type { Contender } from '../contender.ts'
import { childProgram } from '../place.ts'
import { ServerProcess } from '../server-process.ts'
import { HttpAttempt } from './http-server.ts'

/** The least that a Node server can do with the same files: no digests, no index, no checks. */
export const bareNode: Contender = {
  name: 'bare Node',
  about: "Node's own HTTP server sending files of a folder, and storing each durably: written, flushed, renamed, its folder flushed",
  operations: {
    download: { flushes: false },
    'download by 16': { flushes: false },
    'download by 64': { flushes: false },
    upload: { flushes: true },
    'upload by 16': { flushes: true },
    'upload by 64': { flushes: true },
    keep: { flushes: true },
  },
  prepare: async (input, folder) => {
    const files = join(folder, 'files')
    cpSync(input.folder, files, { recursive: true })
    const server = await ServerProcess.start(process.execPath, [childProgram('bare-server.ts'), files], folder)
    return new HttpAttempt(bareNode, input, folder, {
      port: Number(server.said),
      get peakBytes() {
        return server.peakBytes
      },
      download: (path) => `/${path}`,
      upload: async () => '/uploaded-',
      end: () => server.end(),
    })
  },
}
