import assert from 'node:assert/strict'
import { randomBytes, randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Upload, type UploadOptions } from 'tus-js-client'
import { digestOf } from '../core/digest.ts'
import type { Store } from '../store/interface.ts'
import { createStore, openStore } from '../store/open.ts'
import { cutConnections } from '../testing/cutting-proxy.ts'
import { serveInProcess } from '../testing/served-process.ts'
import { serveNewStore } from '../testing/served-store.ts'

const MIB = 1024 * 1024

/** Uploads with the official client; however often that must go on. */
function uploadFile(content: Buffer, options: Pick<UploadOptions, 'endpoint' | 'metadata'> & Partial<UploadOptions>): Promise<void> {
  return new Promise((resolve, reject) => {
    // Small retry delays: what is tested is how it goes on, not how it waits.
    const upload = new Upload(content, { retryDelays: Array.from({ length: 400 }, () => 5), ...options, onSuccess: () => resolve(), onError: reject })
    upload.start()
  })
}

async function assertStored(store: Store, id: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  for (const [path, content] of files) {
    const read = Buffer.concat(await Array.fromAsync(store.files.read(id, path)))
    assert.equal(digestOf(read), digestOf(content), path)
  }
  for await (const { path, problem } of store.packages.verify(id)) assert.equal(problem, undefined, path ?? '')
}

test('the official client stores every file as it is, although its connections are cut at random', { timeout: 120_000 }, async (t) => {
  const { address, store } = await serveNewStore()
  await using proxy = await cutConnections(address, () => (randomInt(8) === 0 ? undefined : randomInt(1, 400_000)))
  const draft = await store.packages.open({ repository: 'tus' })
  const files = new Map<string, Buffer>()
  const ways: readonly Partial<UploadOptions>[] = [
    {},
    { chunkSize: 300_000 },
    { uploadDataDuringCreation: true },
    { uploadDataDuringCreation: true, chunkSize: 150_000 },
    { overridePatchMethod: true },
    { uploadLengthDeferred: true, chunkSize: 250_000 },
  ]
  const uploads = [...ways, ...ways].map(async (way, index) => {
    const content = randomBytes(index === 0 ? 0 : randomInt(1, 3 * MIB))
    const path = `d/file-${index}`
    files.set(path, content)
    await uploadFile(content, {
      endpoint: `${proxy.address}/uploads`,
      metadata: { packageId: draft.id, path, filetype: 'application/x-test', digest: digestOf(content) },
      ...way,
    })
  })
  await Promise.all(uploads)
  t.diagnostic(`${proxy.cuts} connections were cut`)
  assert.ok(proxy.cuts > 20)
  const { id, fileCount } = await draft.finalize()
  assert.equal(fileCount, files.size)
  await assertStored(store, id, files)
  assert.equal((await store.files.stat(id, 'd/file-1')).mediaType, 'application/x-test')
})

test('the official client goes on when the server was killed and started again', { timeout: 120_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'tus-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const directory = join(folder, 'data')
  const made = await createStore(directory)
  const draft = await made.packages.open({ repository: 'tus' })
  await made.close()
  let server = await serveInProcess(t, directory)
  await using proxy = await cutConnections(server.address, () => undefined)
  const content = randomBytes(60 * MIB)
  let sent = 0
  let moved = (): void => undefined
  const offsets: number[] = []
  const uploading = uploadFile(content, {
    endpoint: `${proxy.address}/uploads`,
    metadata: { packageId: draft.id, path: 'f', digest: digestOf(content) },
    chunkSize: 8 * MIB,
    retryDelays: Array.from({ length: 400 }, () => 50),
    onProgress: (bytes) => {
      sent = bytes
      moved()
    },
    onAfterResponse: (request, response) => {
      if (request.getMethod() === 'HEAD' && response.getStatus() === 200) offsets.push(Number(response.getHeader('Upload-Offset')))
    },
  })
  for (const share of [0.2, 0.5, 0.8]) {
    while (sent < share * content.length) await new Promise<void>((resolve) => (moved = resolve))
    await server.end('SIGKILL')
    server = await serveInProcess(t, directory)
    proxy.leadTo(server.address)
  }
  await uploading
  assert.ok(offsets.length >= 3 && offsets.some((offset) => offset > 0), `went on from ${offsets.join(', ')}`)
  await server.end('SIGKILL')
  await using store = await openStore(directory)
  const { id } = await (await store.packages.resume(draft.id)).finalize()
  await assertStored(store, id, new Map([['f', content]]))
})
