import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { get, request } from 'node:http'
import { describe, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { tarArchive } from '../testing/tar-archive.ts'
import { serveNewStore } from '../testing/served-store.ts'
import { zipArchive } from '../testing/zip-archive.ts'

const { address, store } = await serveNewStore()
const LARGE = Buffer.alloc(9 * 1024 * 1024 + 3, 'larger than what one piece holds ')
let counter = 0

async function opened(): Promise<string> {
  counter += 1
  return (await store.packages.open({ repository: `http/archives-${counter}` })).id
}

function send(id: string, body: Uint8Array, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${address}/packages/${id}/files`, { method: 'POST', body: Uint8Array.from(body), headers })
}

async function refused(answer: Response, status: number, code: string): Promise<Record<string, unknown>> {
  const problem = (await answer.json()) as Record<string, unknown>
  assert.deepEqual([answer.status, problem['code']], [status, code], JSON.stringify(problem))
  return problem
}

/** What fetch does not show: trailers, and how an answer ended. */
function download(path: string): Promise<{ readonly trailers: NodeJS.Dict<string>; readonly bytes: Buffer; readonly complete: boolean }> {
  return new Promise((resolve, reject) => {
    get(address + path, (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('error', () => undefined)
      response.on('close', () => resolve({ trailers: response.trailers, bytes: Buffer.concat(pieces), complete: response.complete }))
    }).on('error', reject)
  })
}

const entries = [
  { name: 'a', content: 'first' },
  { name: 'b/c', content: 'second' },
] as const

describe('an archive that is sent', () => {
  test('is told by its media type or by its first bytes', async () => {
    const tar = tarArchive(entries)
    for (const [body, type] of [
      [tar, 'application/x-tar'],
      [gzipSync(tar), 'application/gzip'],
      [zstdCompressSync(tar), 'application/zstd; x=y'],
      [zipArchive(entries), 'application/zip'],
      [zipArchive(entries), 'application/octet-stream'],
      [gzipSync(tar), 'application/x-www-form-urlencoded'],
      [tar, undefined],
    ] as const) {
      const answer = await send(await opened(), body, type === undefined ? {} : { 'Content-Type': type })
      assert.equal(answer.status, 200, String(type))
      assert.deepEqual(await answer.json(), { files: 2, symlinks: 0, directories: 0, bytes: 11 })
    }
  })

  test('is refused by name and leaves nothing', async () => {
    const id = await opened()
    const wrong = zipArchive([...entries, { name: '../up' }, { name: 'enc', flags: 1 }])
    const problem = await refused(await send(id, wrong), 422, 'tree_refused')
    const { problems } = problem['facts'] as { problems: { path: string; reason: string }[] }
    assert.deepEqual(problems.map(({ path }) => path).toSorted(), ['../up', 'enc'])
    await refused(await send(id, zipArchive(entries).subarray(1)), 422, 'input_invalid')
    await refused(await send(id, tarArchive(entries), { 'Content-Type': 'application/zip' }), 422, 'input_invalid')
    await refused(await send(id, zipArchive(entries), { 'Content-Type': 'application/x-tar' }), 422, 'input_invalid')
    await refused(await send(id, tarArchive(entries), { 'Content-Type': 'text/plain' }), 415, 'unsupported_media_type')
    await refused(await send(id, gzipSync(tarArchive(entries)), { 'Content-Encoding': 'gzip' }), 415, 'unsupported_media_type')
    assert.equal((await (await store.packages.resume(id)).finalize()).fileCount, 0)
    await refused(await send(id, tarArchive(entries)), 409, 'state_conflict')
    await refused(await send('019ad000-0000-7000-8000-000000000000', tarArchive(entries)), 404, 'not_found')
  })

  test('must have the digest that was announced', async () => {
    const tar = tarArchive(entries)
    const field = (bytes: Uint8Array): string => `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`
    const id = await opened()
    for (const body of [tar, gzipSync(tar), zipArchive(entries)]) {
      await refused(await send(id, body, { 'Content-Digest': field(Buffer.from('other')) }), 400, 'digest_mismatch')
    }
    const draft = await store.packages.resume(id)
    assert.equal((await send(id, tar, { 'Repr-Digest': field(tar) })).status, 200)
    assert.equal((await draft.finalize()).fileCount, 2)
  })

  test('that breaks off leaves nothing', async () => {
    const id = await opened()
    const sent = request(`${address}/packages/${id}/files`, { method: 'POST', headers: { 'Content-Length': '1000000' } })
    const broken = new Promise((resolve) => sent.on('error', resolve))
    sent.write(tarArchive(entries).subarray(0, 1024), () => sent.destroy())
    await broken
    const draft = await store.packages.resume(id)
    assert.equal((await draft.finalize()).fileCount, 0)
  })
})

describe('an archive that is asked for', () => {
  const sealed = async (large = false): Promise<string> => {
    const draft = await store.packages.resume(await opened())
    await draft.putArchive(
      (async function* () {
        yield tarArchive([...entries, ...(large ? [{ name: 'large', content: LARGE }] : [])])
      })(),
    )
    return (await draft.finalize()).id
  }

  test('comes whole, the same each time, to be saved and not to be run', async () => {
    const id = await sealed(true)
    for (const [format, type] of [
      ['tar', 'application/x-tar'],
      ['tar.zst', 'application/zstd'],
      ['zip', 'application/zip'],
    ] as const) {
      const answer = await fetch(`${address}/packages/${id}/archive?format=${format}`)
      assert.equal(answer.status, 200)
      assert.equal(answer.headers.get('content-type'), type)
      assert.match(answer.headers.get('content-disposition') ?? '', new RegExp(`^attachment; filename.*archives-\\d+-${id}\\.${format}`))
      assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
      assert.match(answer.headers.get('content-security-policy') ?? '', /sandbox/)
      const bytes = Buffer.from(await answer.arrayBuffer())
      const again = await download(`/packages/${id}/archive?format=${format}`)
      assert.ok(again.complete && again.bytes.equals(bytes), format)
      assert.deepEqual({ ...again.trailers }, { 'artifact-store-omitted': 'none' })
      const target = await opened()
      assert.equal((await send(target, bytes)).status, 200)
      assert.equal((await (await store.packages.resume(target)).finalize()).manifestDigest, (await store.packages.get(id)).manifestDigest)
    }
  })

  test('is a tar of everything unless told otherwise', async () => {
    const id = await sealed()
    const whole = await (await fetch(`${address}/packages/${id}/archive`)).bytes()
    const part = await (await fetch(`${address}/packages/${id}/archive?path=b`)).bytes()
    assert.deepEqual([whole.length, part.length], [3 * 1024, 2 * 1024])
    await refused(await fetch(`${address}/packages/${id}/archive?format=rar`), 422, 'input_invalid')
    await refused(await fetch(`${address}/packages/${id}/archive?path=../x`), 422, 'path_invalid')
    await refused(await fetch(`${address}/packages/${id}/archive?path=nowhere`), 404, 'file_not_found')
    await refused(await fetch(`${address}/packages/019ad000-0000-7000-8000-000000000000/archive`), 404, 'not_found')
  })

  test('is followed by what is not in it any more', async () => {
    const id = await sealed()
    const original = store.files.expired.bind(store.files)
    const deletedAt = '2030-01-01T00:00:00.000Z'
    store.files.expired = () =>
      Promise.resolve([
        { fileSets: ['raw', 'logs'], count: 12, size: 3456, deletedAt },
        { fileSets: [], count: 1, size: 7, deletedAt },
      ])
    try {
      const { trailers } = await download(`/packages/${id}/archive`)
      assert.deepEqual({ ...trailers }, { 'artifact-store-omitted': '"raw,logs";files=12;bytes=3456, "";files=1;bytes=7' })
    } finally {
      store.files.expired = original
    }
  })

  test('can be asked about without being made', async () => {
    const id = await sealed()
    const answer = await fetch(`${address}/packages/${id}/archive?format=zip`, { method: 'HEAD' })
    assert.deepEqual([answer.status, answer.headers.get('content-type'), (await answer.bytes()).length], [200, 'application/zip', 0])
  })

  test('whose making fails is cut off before its end, never ended as if it were whole', async () => {
    const id = await sealed(true)
    const { reader } = { reader: store.files }
    const original = reader.archive.bind(reader)
    let sent = 0
    reader.archive = async function* (ref, options) {
      for await (const piece of original(ref, options)) {
        if (sent > 4_000_000) throw new Error('the disk is gone')
        sent += piece.length
        yield piece
      }
    }
    try {
      const { complete, trailers, bytes } = await download(`/packages/${id}/archive`)
      assert.equal(complete, false)
      assert.deepEqual({ ...trailers }, {})
      assert.ok(bytes.length <= sent)
    } finally {
      reader.archive = original
    }
  })
})
