import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { openFileSystemBackend } from '../adapters/backend-fs/backend-fs.ts'
import { openMemoryBackend } from '../adapters/backend-memory/backend-memory.ts'
import type { Backend, BackendCapabilities } from '../ports/backend.ts'
import { dataPlaneSuite } from '../testing/data-plane-suite.ts'
import { createInprocDataPlane } from './inproc.ts'

/** A backend that only does what S3 does. */
function withoutAppend(backend: Backend): Backend {
  const capabilities: BackendCapabilities = { ...backend.capabilities, append: false }
  return {
    capabilities,
    put: (key, source, options) => backend.put(key, source, options),
    get: (key, range) => backend.get(key, range),
    head: (key) => backend.head(key),
    delete: (key) => backend.delete(key),
    list: (prefix, after) => backend.list(prefix, after),
    close: () => backend.close(),
  }
}

async function inFolder(t: TestContext): Promise<Backend> {
  const folder = mkdtempSync(join(tmpdir(), 'objects-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return openFileSystemBackend(folder)
}

dataPlaneSuite('in this process, files, two threads', {
  backend: inFolder,
  open: async (parts) => createInprocDataPlane({ ...parts, threads: 2 }),
})
dataPlaneSuite('in this process, memory, no threads', {
  backend: async () => openMemoryBackend(),
  open: async (parts) => createInprocDataPlane({ ...parts, threads: 0 }),
})
dataPlaneSuite('in this process, memory without append', {
  backend: async () => withoutAppend(openMemoryBackend()),
  open: async (parts) => createInprocDataPlane({ ...parts, threads: 1 }),
})
