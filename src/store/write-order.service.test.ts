import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serviceTest } from '../testing/service-test.ts'
import { assertOrder, traceSystemCalls } from '../testing/system-call-trace.ts'

const FLUSHED_REGISTRY = /^f(data)?sync\(\d+<[^>]*\/registry\.db-wal>\) += 0/

serviceTest('bytes are flushed and in place before the registry names them, and the registry before the answer', ['strace'], async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'order-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const calls = traceSystemCalls(`
    import { writeSync } from 'node:fs'
    import { createStore } from ${JSON.stringify(new URL('open.ts', import.meta.url).href)}
    const store = await createStore(${JSON.stringify(join(folder, 'data'))})
    const draft = await store.packages.open({ repository: 'r' })
    writeSync(1, 'opened')
    await draft.put('small', Buffer.from('small file'))
    writeSync(1, 'small stored')
    await draft.put('large', Buffer.alloc(3 * 1024 * 1024, 7))
    writeSync(1, 'large stored')
    await draft.finalize()
    writeSync(1, 'sealed')
    await store.close()
  `)
  const object = `${folder.replaceAll('.', '\\.')}/data/objects/[-0-9a-f]{36}/[-0-9a-f]{36}`
  const pack = new RegExp(`^(pwritev?2?|writev?|pwrite64)\\(\\d+<${object}/[-0-9a-f]{36}>`)
  const packFlushed = new RegExp(`^f(data)?sync\\(\\d+<${object}/[-0-9a-f]{36}>\\) += 0`)
  // A small file: its intent is committed, the pack appears in its folder, bytes, flush, row, answer.
  assertOrder(calls, [
    /^write\(1<.*"opened"/,
    FLUSHED_REGISTRY,
    new RegExp(`^openat\\(.*"${object}/\\.[-0-9a-f]{36}\\.put".*O_CREAT`),
    new RegExp(`^rename\\w*\\(.*"${object}/\\.[-0-9a-f]{36}\\.put"`),
    new RegExp(`^fsync\\(\\d+<${object}>\\) += 0`),
    pack,
    packFlushed,
    FLUSHED_REGISTRY,
    /^write\(1<.*"small stored"/,
  ])
  // A large file: intent, temporary file, flush, rename, folder, its placement in the pack, row, answer.
  assertOrder(calls, [
    /^write\(1<.*"small stored"/,
    FLUSHED_REGISTRY,
    new RegExp(`^f(data)?sync\\(\\d+<${object}/\\.[-0-9a-f]{36}\\.put>\\) += 0`),
    new RegExp(`^rename\\w*\\(.*"${object}/\\.[-0-9a-f]{36}\\.put"`),
    new RegExp(`^fsync\\(\\d+<${object}>\\) += 0`),
    pack,
    packFlushed,
    FLUSHED_REGISTRY,
    /^write\(1<.*"large stored"/,
  ])
  // Sealing: document and manifest into the pack, their rows, the publication, answer.
  assertOrder(calls, [/^write\(1<.*"large stored"/, pack, packFlushed, FLUSHED_REGISTRY, FLUSHED_REGISTRY, /^write\(1<.*"sealed"/])
})
